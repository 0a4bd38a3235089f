/** The frame around every page, and which page an address shows. */
import { useEffect } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { ask, hasToken, isSignedOut, signOut } from "./api/http";
import { connection } from "./api/live";
import { href, match, navigate, path } from "./lib/router";
import { setTheme, theme, type Theme } from "./lib/theme";
import { useQuery } from "./lib/useQuery";
import { workspace } from "./lib/workspace";
import { ComparePage } from "./pages/compare/ComparePage";
import { ExperimentsPage } from "./pages/experiments/ExperimentsPage";
import { RunPage } from "./pages/run/RunPage";
import { RunsPage } from "./pages/runs/RunsPage";
import { SignIn } from "./pages/SignIn";
import { SystemPage } from "./pages/system/SystemPage";
import { Empty, IconButton } from "./ui/basics";
import { Confirmation } from "./ui/dialogs";
import { Icon, type IconName } from "./ui/icons";
import { Menu, MenuItem } from "./ui/Menu";
import { Toasts } from "./ui/toasts";

const ROUTES: readonly (readonly [string, (named: Record<string, string>) => ComponentChildren])[] = [
  ["/w/:workspace/experiments", (named) => <ExperimentsPage key={named["workspace"]} workspace={named["workspace"] ?? ""} />],
  ["/w/:workspace/experiments/:experiment", (named) => <ToRuns workspace={named["workspace"] ?? ""} experiment={named["experiment"] ?? ""} />],
  ["/w/:workspace/runs", (named) => <RunsPage key={named["workspace"]} workspace={named["workspace"] ?? ""} />],
  ["/w/:workspace/compare", (named) => <ComparePage key={named["workspace"]} workspace={named["workspace"] ?? ""} />],
  ["/w/:workspace/runs/:run", (named) => runPage(named, "overview")],
  ["/w/:workspace/runs/:run/:tab", (named) => runPage(named, named["tab"] ?? "")],
  ["/system", () => <SystemPage />],
];

function runPage(named: Record<string, string>, tab: string): ComponentChildren {
  const runId = named["run"] ?? "";
  return <RunPage key={`${named["workspace"]}/${runId}`} workspace={named["workspace"] ?? ""} runId={runId} tab={tab} />;
}

export function App() {
  const isTop = path.value === "/";
  useEffect(() => {
    if (isTop) navigate(href(["w", workspace.value, "experiments"]), "replace");
  }, [isTop]);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>("main")?.focus())}>
        Skip to the content
      </a>
      <div class="frame">
        <Sidebar />
        <main id="main" tabIndex={-1}>
          {isSignedOut.value ? <SignIn /> : <Page />}
        </main>
      </div>
      <Toasts />
      <Confirmation />
    </>
  );
}

function Page() {
  const here = path.value;
  for (const [pattern, page] of ROUTES) {
    const named = match(pattern, here);
    if (named !== null) return <>{page(named)}</>;
  }
  if (here === "/") return null;
  return (
    <Empty icon="search" title="There is nothing at this address" action={<a class="button button-plain" href={href([])}>Go to the experiments</a>}>
      The link may be incomplete.
    </Empty>
  );
}

/** An experiment is looked at through its runs. */
function ToRuns({ workspace: at, experiment }: { workspace: string; experiment: string }) {
  useEffect(() => navigate(href(["w", at, "runs"], { experiment }), "replace"), [at, experiment]);
  return null;
}

function Sidebar() {
  const here = path.value;
  const at = workspace.value;
  const compared = here.endsWith("/compare");
  return (
    <nav class="sidebar" aria-label="Studio">
      <a class="brand" href={href([])}>
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <rect width="32" height="32" rx="8" fill="#4a50c8" />
          <path d="M9 22V10h8.5a4 4 0 0 1 0 8H13m4.5 0 5 4" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
        runfold
      </a>
      <WorkspaceChoice />
      <div class="nav">
        <NavLink icon="flask" to={href(["w", at, "experiments"])} isHere={here.endsWith("/experiments")} hint="g e">
          Experiments
        </NavLink>
        <NavLink icon="runs" to={href(["w", at, "runs"])} isHere={/^\/w\/[^/]+\/runs/.test(here)} hint="g r">
          Runs
        </NavLink>
        {compared && (
          <NavLink icon="compare" to={location.pathname + location.search} isHere>
            Comparison
          </NavLink>
        )}
        <NavLink icon="system" to={href(["system"])} isHere={here === "/system"} hint="g s">
          System
        </NavLink>
      </div>
      <div class="sidebar-end">
        <div class="sidebar-tools">
          <Liveness />
          <ThemeChoice />
          {hasToken.value && <IconButton icon="signOut" label="Sign out" onClick={signOut} />}
        </div>
      </div>
    </nav>
  );
}

function NavLink({ icon, to, isHere, hint, children }: { icon: IconName; to: string; isHere: boolean; hint?: string; children: ComponentChildren }) {
  return (
    <a href={to} aria-current={isHere ? "page" : undefined} title={hint === undefined ? undefined : `Keys: ${hint}`}>
      <Icon name={icon} />
      {children}
    </a>
  );
}

/** Shown where there is more than one workspace to choose from. */
function WorkspaceChoice() {
  const { data } = useQuery("workspaces", (signal) => ask<string[]>("/api/v1/workspaces", { signal }));
  const at = workspace.value;
  const names = data === undefined || data.includes(at) ? (data ?? []) : [at, ...data];
  if (names.length < 2) return null;
  return (
    <Menu label={<span class="truncate">{at}</span>} icon="chevronDown" title={`Workspace: ${at}`}>
      {(close) =>
        names.map((name) => (
          <MenuItem key={name} isChecked={name === at} onSelect={() => (close(), navigate(href(["w", name, "experiments"])))}>
            {name}
          </MenuItem>
        ))
      }
    </Menu>
  );
}

function Liveness() {
  const state = connection.value;
  const words = { live: "Live", lost: "Reconnecting…", off: "" }[state];
  return (
    <span class={`live live-${state}`} role="status" title={state === "live" ? "What happens is shown as it happens" : undefined}>
      {words}
    </span>
  );
}

const THEMES: readonly (readonly [Theme, string, IconName])[] = [
  ["system", "As the system", "theme"],
  ["light", "Light", "light"],
  ["dark", "Dark", "dark"],
];

function ThemeChoice() {
  const current = THEMES.find(([name]) => name === theme.value) ?? THEMES[0]!;
  return (
    <div class="menu-up">
      <Menu label={<Icon name={current[2]} size={15} />} title={`Theme: ${current[1]}`} align="right" look="icon-button">
        {(close) =>
          THEMES.map(([name, words, icon]) => (
            <MenuItem key={name} icon={icon} isChecked={theme.value === name} onSelect={() => (setTheme(name), close())}>
              {words}
            </MenuItem>
          ))
        }
      </Menu>
    </div>
  );
}
