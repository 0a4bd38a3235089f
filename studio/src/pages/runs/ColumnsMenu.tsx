import { useState } from "preact/hooks";
import type { RunView } from "../../api/types";
import { Button, IconButton } from "../../ui/basics";
import { Icon } from "../../ui/icons";
import { Menu } from "../../ui/Menu";
import { ATTRIBUTE_FIELDS, available, columnOf, fieldOf, NAME, type Column } from "./columns";

interface ColumnsMenuProps {
  columns: readonly Column[];
  sample: readonly RunView[];
  onChange: (fields: readonly string[] | null) => void;
}

/** Which columns there are, and in which order. */
export function ColumnsMenu({ columns, sample, onChange }: ColumnsMenuProps) {
  return (
    <Menu label="Columns" icon="columns" align="right">
      {() => <Panel columns={columns} sample={sample} onChange={onChange} />}
    </Menu>
  );
}

function Panel({ columns, sample, onChange }: ColumnsMenuProps) {
  const [sought, seek] = useState("");
  const fields = columns.map((column) => column.field);
  const move = (index: number, step: number): void => {
    const next = [...fields];
    const [field] = next.splice(index, 1);
    next.splice(index + step, 0, field!);
    onChange(next);
  };
  const keys = available(sample);
  const offers: readonly (readonly [string, readonly string[]])[] = [
    ["Metrics", keys.metrics.map((key) => fieldOf("metrics", key))],
    ["Parameters", keys.params.map((key) => fieldOf("params", key))],
    ["Tags", keys.tags.map((key) => fieldOf("tags", key))],
    ["Properties", keys.properties.map((key) => fieldOf("properties", key))],
    ["Attributes", ATTRIBUTE_FIELDS],
  ];
  const typed = columnOf(sought.trim());
  return (
    <div class="columns-panel">
      <div>
        <p class="menu-title">Shown</p>
        {columns.map((column, index) => (
          <div key={column.field} class="column-line">
            <span class="truncate" title={column.field}>{column.label}</span>
            {column.field !== NAME && (
              <>
                <IconButton icon="arrowUp" label={`Move ${column.label} to the left`} disabled={index <= 1} onClick={() => move(index, -1)} />
                <IconButton icon="arrowDown" label={`Move ${column.label} to the right`} disabled={index === columns.length - 1} onClick={() => move(index, 1)} />
                <IconButton icon="x" label={`Remove ${column.label}`} onClick={() => onChange(fields.filter((field) => field !== column.field))} />
              </>
            )}
          </div>
        ))}
        <Button look="quiet" icon="refresh" onClick={() => onChange(null)}>
          Choose for me
        </Button>
      </div>
      <div>
        <input class="field" autofocus placeholder="Add a column" aria-label="Find a column to add" value={sought} onInput={(event) => seek(event.currentTarget.value)} />
        {offers.map(([title, all]) => {
          const found = all.filter((field) => !fields.includes(field) && field.toLowerCase().includes(sought.trim().toLowerCase())).slice(0, 60);
          if (found.length === 0) return null;
          return (
            <div key={title}>
              <p class="menu-title">{title}</p>
              {found.map((field) => (
                <button key={field} type="button" class="menu-item" onClick={() => onChange([...fields, field])}>
                  <Icon name="plus" size={13} />
                  <span title={field}>{columnOf(field)?.label ?? field}</span>
                </button>
              ))}
            </div>
          );
        })}
        {typed !== null && !fields.includes(typed.field) && (
          <button type="button" class="menu-item" onClick={() => (onChange([...fields, typed.field]), seek(""))}>
            <Icon name="plus" size={13} />
            <span>{typed.field}</span>
          </button>
        )}
      </div>
    </div>
  );
}
