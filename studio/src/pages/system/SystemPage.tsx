export function SystemPage() {
  return <div class="page-body" />;
}
