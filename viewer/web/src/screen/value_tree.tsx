import { useSignal, type Signal } from '@preact/signals';
import { beforeOf, change, inline, parts, remark, shortType, type Before, type Root } from '../captured';
import type { Value } from '../wire_probes';
import { moveInTree } from './variables';

const PAGE = 100;

/** Captured values as a tree; what is in them is here already. What differs from another snapshot is marked. */
export function ValueTree({ label, roots }: { label: string; roots: readonly Root[] }) {
  const open = useSignal<ReadonlySet<string>>(new Set(roots.map((root) => root.name)));
  return (
    <div class="variables scroll" role="tree" aria-label={label} onKeyDown={moveInTree}>
      {roots.map((root) => (
        <Item key={root.name} open={open} path={root.name} level={1} name={root.name} hasParts>
          {root.entries.map(({ name, value, error, before }, index) =>
            value === null ? (
              <Item key={index} open={open} path={`${root.name}/${index}`} level={2} name={name} error={error} />
            ) : (
              <Node
                key={index}
                open={open}
                path={`${root.name}/${index}`}
                level={2}
                name={name}
                value={value}
                before={before}
              />
            ),
          )}
          {root.entries.length === 0 && <p class="dim">{root.none}</p>}
        </Item>
      ))}
    </div>
  );
}

type Open = Signal<ReadonlySet<string>>;

interface NodeProps {
  open: Open;
  path: string;
  level: number;
  name: string;
  value: Value;
  before: Before;
}

function Node({ open, path, level, name, value, before }: NodeProps) {
  const shown = useSignal(PAGE);
  const inner = parts(value);
  const isOpen = open.value.has(path);
  const left = inner.length - shown.value;
  return (
    <Item
      open={open}
      path={path}
      level={level}
      name={name}
      value={value}
      change={change(value, before)}
      hasParts={inner.length > 0}
    >
      {isOpen &&
        inner
          .slice(0, shown.value)
          .map((part, index) => (
            <Node
              key={index}
              open={open}
              path={`${path}/${index}`}
              level={level + 1}
              name={part.name}
              value={part.value}
              before={beforeOf(before, part.name)}
            />
          ))}
      {isOpen && left > 0 && (
        <button class="plain link" onClick={() => (shown.value += PAGE)}>
          Show {Math.min(PAGE, left)} more of {left}
        </button>
      )}
    </Item>
  );
}

interface ItemProps {
  open: Open;
  path: string;
  level: number;
  name: string;
  value?: Value;
  /** How it differs, in words. */
  change?: string;
  error?: string;
  hasParts?: boolean;
  children?: preact.ComponentChildren;
}

function Item({ open, path, level, name, value, change: differs = '', error = '', hasParts = false, children }: ItemProps) {
  const isOpen = hasParts && open.value.has(path);
  const note = value === undefined ? '' : remark(value);
  const toggle = () => {
    const next = new Set(open.value);
    if (!next.delete(path)) next.add(path);
    open.value = next;
  };
  return (
    <div role="none">
      <div
        class={`variable ${level === 1 ? 'scope' : ''}`}
        style={{ paddingInlineStart: `${6 + (level - 1) * 14}px` }}
        role="treeitem"
        aria-level={level}
        aria-expanded={hasParts ? isOpen : undefined}
        aria-selected={false}
        tabIndex={level === 1 ? 0 : -1}
        title={value === undefined ? undefined : `${name}: ${value.type}\n${value.value ?? value.note}`}
        onClick={hasParts ? toggle : undefined}
        onKeyDown={(event) => {
          if (!hasParts) return;
          const wanted = { ArrowRight: true, ArrowLeft: false, Enter: !isOpen, ' ': !isOpen }[event.key];
          if (wanted === undefined) return;
          event.preventDefault();
          if (wanted !== isOpen) toggle();
        }}
      >
        <span class="twist" aria-hidden="true">
          {!hasParts ? '' : isOpen ? '▾' : '▸'}
        </span>
        <span class="name">{name}</span>
        {value !== undefined && <span class="type">{shortType(value.type)}</span>}
        {value !== undefined && !value.redacted && !value.seen && (
          <span class={differs === '' ? 'value' : 'value changed'}>{inline(value, 120)}</span>
        )}
        {differs !== '' && <span class="remark dim">{differs}</span>}
        {note !== '' && <span class="remark dim">{note}</span>}
        {error !== '' && <span class="error">{error}</span>}
      </div>
      {isOpen && <div role="group">{children}</div>}
    </div>
  );
}
