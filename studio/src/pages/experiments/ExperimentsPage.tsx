export function ExperimentsPage({ workspace }: { workspace: string }) {
  return <div class="page-body">{workspace}</div>;
}
