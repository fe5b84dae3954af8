import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Variable } from '../dap';
import type { Session } from '../session';
import { Failure, messageOf } from '../wire';

const PAGE = 100;

/** The tree of variables. What is open stays open from stop to stop, by its path; a value that differs from
 *  the last stop's is marked. */
export function Variables({ session }: { session: Session }) {
  const open = useSignal<ReadonlySet<string>>(new Set(['Locals']));
  const seen = useRef(new Map<string, string>());
  const { scopes } = session.looking.scopes.value;
  if (scopes.length === 0) return <p class="dim">The variables of a stopped thread appear here.</p>;
  return (
    <div class="variables scroll" role="tree" aria-label="Variables" onKeyDown={moveInTree}>
      {scopes.map((scope) => (
        <Node
          key={scope.name}
          at={{ session, open, seen: seen.current }}
          path={scope.name}
          level={1}
          name={scope.name}
          value=""
          type=""
          reference={scope.variablesReference}
        />
      ))}
    </div>
  );
}

interface Tree {
  readonly session: Session;
  readonly open: Signal<ReadonlySet<string>>;
  readonly seen: Map<string, string>;
}

interface NodeProps {
  at: Tree;
  path: string;
  level: number;
  name: string;
  value: string;
  type: string;
  reference: number;
}

function Node({ at, path, level, name, value, type, reference }: NodeProps) {
  const isOpen = reference > 0 && at.open.value.has(path);
  const changed = useChanged(at, path, value);
  const toggle = () => {
    const open = new Set(at.open.value);
    if (!open.delete(path)) open.add(path);
    at.open.value = open;
  };
  return (
    <div role="none">
      <div
        class={`variable ${level === 1 ? 'scope' : ''}`}
        style={{ paddingInlineStart: `${6 + (level - 1) * 14}px` }}
        role="treeitem"
        aria-level={level}
        aria-expanded={reference > 0 ? isOpen : undefined}
        aria-selected={false}
        tabIndex={level === 1 ? 0 : -1}
        title={value === '' ? undefined : `${name}: ${type}\n${value}`}
        onClick={reference > 0 ? toggle : undefined}
        onKeyDown={(event) => {
          if (reference === 0) return;
          const wanted = { ArrowRight: true, ArrowLeft: false, Enter: !isOpen, ' ': !isOpen }[event.key];
          if (wanted === undefined) return;
          event.preventDefault();
          if (wanted !== isOpen) toggle();
        }}
      >
        <span class="twist" aria-hidden="true">
          {reference === 0 ? '' : isOpen ? '▾' : '▸'}
        </span>
        <span class="name">{name}</span>
        {type !== '' && <span class="type">{type}</span>}
        {value !== '' && <span class={changed ? 'value changed' : 'value'}>{value}</span>}
      </div>
      {isOpen && <Children at={at} path={path} level={level + 1} reference={reference} />}
    </div>
  );
}

/** Whether the value is another than at the last stop in the same function. */
function useChanged(at: Tree, path: string, value: string): boolean {
  const { turn } = at.session.looking.scopes.value;
  const frame = at.session.looking.frame.value;
  const key = `${frame?.source?.path} ${frame?.name} ${path}`;
  const last = useRef({ turn: -1, value: '' as string | undefined });
  if (last.current.turn !== turn) last.current = { turn, value: at.seen.get(key) };
  useEffect(() => {
    at.seen.set(key, value);
  }, [at.seen, key, value]);
  return last.current.value !== undefined && last.current.value !== value;
}

function Children({ at, path, level, reference }: { at: Tree; path: string; level: number; reference: number }) {
  const variables = useSignal<readonly Variable[] | null>(null);
  const problem = useSignal('');
  const shown = useSignal(PAGE);
  const { turn } = at.session.looking.scopes.value;
  useEffect(() => {
    let wanted = true;
    at.session.looking.children(reference).then(
      (answer) => {
        if (!wanted) return;
        variables.value = answer;
        problem.value = '';
      },
      (failure: unknown) => {
        if (wanted && !(failure instanceof Failure && failure.reason === 'line_lost')) {
          problem.value = messageOf(failure);
        }
      },
    );
    return () => {
      wanted = false;
    };
  }, [at.session, reference, turn, variables, problem]);
  const indent = { paddingInlineStart: `${20 + (level - 1) * 14}px` };
  if (problem.value !== '') {
    return (
      <div class="error" style={indent}>
        {problem.value}
      </div>
    );
  }
  const all = variables.value;
  if (all === null) {
    return (
      <div class="dim" style={indent}>
        …
      </div>
    );
  }
  const left = all.length - shown.value;
  return (
    <div role="group">
      {all.length === 0 && (
        <div class="dim" style={indent}>
          empty
        </div>
      )}
      {all.slice(0, shown.value).map((variable, index) => (
        <Node
          key={`${variable.name} ${all[index - 1]?.name === variable.name ? index : ''}`}
          at={at}
          path={`${path}/${variable.name}`}
          level={level}
          name={variable.name}
          value={variable.value}
          type={variable.type}
          reference={variable.variablesReference}
        />
      ))}
      {left > 0 && (
        <button class="plain link" style={indent} onClick={() => (shown.value += PAGE)}>
          Show {Math.min(PAGE, left)} more of {left}
        </button>
      )}
    </div>
  );
}

/** Up and Down go through what is visible; the rest of the keys belongs to each node. */
export function moveInTree(event: KeyboardEvent & { currentTarget: HTMLElement }): void {
  const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (by === 0) return;
  const nodes = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=treeitem]')];
  const at = nodes.findIndex((node) => node === document.activeElement);
  nodes[at + by]?.focus();
  event.preventDefault();
}
