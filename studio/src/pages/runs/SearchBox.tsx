import { useEffect, useRef, useState } from "preact/hooks";
import { IconButton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Menu } from "../../ui/Menu";
import { splitSearch } from "./search";

const PAUSE_MS = 200;

/** Words or a filter. What is typed is asked for after a pause; Enter asks at once. */
export function SearchBox({ value, error, onChange }: { value: string; error: string | null; onChange: (text: string) => void }) {
  const [text, setText] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const asked = useRef(value);
  useEffect(() => {
    // The address has changed by other means: a saved view, or going back.
    if (value !== asked.current) setText(value);
    asked.current = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const search = (next: string): void => {
    clearTimeout(timer.current);
    asked.current = next;
    onChange(next);
  };
  const onInput = (next: string): void => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => search(next), PAUSE_MS);
  };
  const { words, filter } = splitSearch(text);

  return (
    <>
      <div class="search" role="search">
        <Icon name="search" size={15} />
        <input
          data-search
          class="field"
          type="search"
          placeholder="Search words, or filter: metrics.loss < 0.5"
          aria-label="Search or filter runs"
          aria-invalid={error !== null}
          aria-describedby="search-error"
          spellcheck={false}
          autocomplete="off"
          value={text}
          onInput={(event) => onInput(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") search(event.currentTarget.value);
            else if (event.key === "Escape") {
              if (text) onInput("");
              else document.querySelector<HTMLElement>(".grid")?.focus();
            } else if (event.key === "ArrowDown") {
              event.preventDefault();
              document.querySelector<HTMLElement>(".grid")?.focus();
            }
          }}
        />
        <div class="search-end">
          {text && <span class="search-mode">{filter ? (words ? "words + filter" : "filter") : "words"}</span>}
          {text && <IconButton icon="x" label="Clear the search" onClick={() => (setText(""), search(""))} />}
          {!text && <kbd title="Press / to search">/</kbd>}
          <Menu label="?" title="How to search" align="right" look="icon-button">
            {() => <Help />}
          </Menu>
        </div>
      </div>
      <p id="search-error" class="search-error form-error" role="alert">
        {error}
      </p>
    </>
  );
}

function Help() {
  return (
    <div class="search-help" tabIndex={-1}>
      <h3>Words</h3>
      <p>
        Runs in which every word stands somewhere: in a name, the description, a tag, the experiment, or who submitted it.
        <code>ember baseline</code>
      </p>
      <h3>Filter</h3>
      <p>
        Conditions over attributes, tags, parameters, properties and metrics.
        <code>status = "Failed" and params.lr &lt; 0.01</code>
        <code>tags.quality like "fan%" or has(tags.keep)</code>
        <code>metrics.loss.min &lt; 0.2 and created_at &gt; "2026-05-01"</code>
      </p>
      <h3>Both</h3>
      <p>
        Words first, then the filter.
        <code>ember metrics.acc &gt; 0.9</code>
      </p>
    </div>
  );
}
