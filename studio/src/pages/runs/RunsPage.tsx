export function RunsPage({ workspace }: { workspace: string }) {
  return <div class="page-body">{workspace}</div>;
}
