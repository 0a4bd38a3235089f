/** Saved views: what the address says, under a name, remembered by this browser. */
import { useState } from "preact/hooks";
import { navigate, query } from "../../lib/router";
import { remember, remembered } from "../../lib/storage";
import { Button, IconButton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Menu } from "../../ui/Menu";
import { tell } from "../../ui/toasts";

interface SavedView {
  name: string;
  query: string;
}

/** What of an address is no part of a view. */
const NOT_SAVED = ["sel"];

export function ViewsMenu({ workspace }: { workspace: string }) {
  const place = `views.${workspace}`;
  const [views, setViews] = useState(() => remembered<SavedView[]>(place, []));
  const [name, setName] = useState("");
  const present = presentQuery();

  const keep = (next: SavedView[]): void => {
    setViews(next);
    remember(place, next);
  };
  const current = views.find((view) => view.query === present);

  return (
    <Menu label={current?.name ?? "Views"} icon="bookmark">
      {(close) => (
        <>
          {views.map((view) => (
            <div key={view.name} class="column-line">
              <button type="button" class="menu-item" aria-pressed={view.query === present} onClick={() => (close(), navigate(`${location.pathname}?${view.query}`))}>
                <Icon name="bookmark" size={13} />
                <span>{view.name}</span>
                {view.query === present && <Icon name="check" size={14} />}
              </button>
              <IconButton icon="x" label={`Forget the view ${view.name}`} onClick={() => keep(views.filter((one) => one !== view))} />
            </div>
          ))}
          <form
            class="menu-form"
            onSubmit={(event) => {
              event.preventDefault();
              const given = name.trim();
              if (!given) return;
              keep([...views.filter((view) => view.name !== given), { name: given, query: present }].sort((a, b) => a.name.localeCompare(b.name)));
              setName("");
              tell(`“${given}” is saved in this browser. Its address can be shared with anybody.`);
              close();
            }}
          >
            <input class="field" autofocus={views.length === 0} placeholder="Name for what you see now" aria-label="Name of the view" value={name} onInput={(event) => setName(event.currentTarget.value)} />
            <Button type="submit" disabled={!name.trim()}>
              Save as a view
            </Button>
          </form>
        </>
      )}
    </Menu>
  );
}

function presentQuery(): string {
  const values = new URLSearchParams(query.value);
  for (const left of NOT_SAVED) values.delete(left);
  values.sort();
  return values.toString();
}
