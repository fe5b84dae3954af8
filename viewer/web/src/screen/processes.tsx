import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { percent } from '../format';
import { conditionOf, levels, roster, type Row } from '../roster';
import type { Presence } from '../wire';
import { useScreen } from './context';
import { NoMatch, NothingRuns } from './empty';
import { ConditionMark } from './mark';
import { Sparkline } from './sparkline';

const ROW = 44;
const GROUP = 26;
const BEYOND = 400; // pixels drawn above and below what is seen

export function Processes() {
  const { page } = useScreen();
  const rows = useComputed(() => roster(page.store.processes.value.values(), page.places.now.value.filter));
  const empty = page.store.processes.value.size === 0;
  return (
    <nav class={`processes ${page.store.live.value ? '' : 'stale'}`} aria-label="Fleet">
      {empty && page.store.live.value && <NothingRuns />}
      {!empty && rows.value.length === 0 && <NoMatch />}
      {rows.value.length > 0 && <VirtualRows rows={rows.value} />}
    </nav>
  );
}

function VirtualRows({ rows }: { rows: readonly Row[] }) {
  const { page } = useScreen();
  const box = useRef<HTMLDivElement>(null);
  const seen = useSignal({ top: 0, height: 1200 });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = () => (seen.value = { top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, [seen]);
  const { tops, height } = useMemo(() => layOut(rows), [rows]);
  const chosen = page.process.value;
  const names = rows.flatMap((row) => (row.kind === 'process' ? [row.key] : []));
  const move = (by: number) => {
    const at = chosen === null ? -1 : names.indexOf(chosen);
    const next = names[Math.min(names.length - 1, Math.max(0, at + by))];
    if (next !== undefined) page.places.select(next);
  };
  const chosenTop = tops[rows.findIndex((row) => row.key === chosen)];
  const before = useRef({ chosen, top: chosenTop });
  useEffect(() => {
    const element = box.current;
    const last = before.current;
    before.current = { chosen, top: chosenTop };
    if (element === null || chosenTop === undefined) return;
    const { scrollTop, clientHeight } = element;
    const isSeen = (at = -ROW) => at + ROW > scrollTop && at < scrollTop + clientHeight;
    if (last.chosen === chosen && !isSeen(last.top)) return; // somebody has scrolled away from it
    if (chosenTop < scrollTop + GROUP) element.scrollTop = chosenTop - GROUP;
    else if (chosenTop + ROW > scrollTop + clientHeight) element.scrollTop = chosenTop + ROW - clientHeight;
  }, [chosen, chosenTop]);
  const { top, height: visible } = seen.value;
  let position = 0;
  return (
    <div
      ref={box}
      class="scroll"
      role="listbox"
      aria-label="Processes"
      tabIndex={0}
      aria-activedescendant={chosen !== null && names.includes(chosen) ? `process-${chosen}` : undefined}
      onKeyDown={(event) => {
        const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10 }[event.key];
        if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        move(by);
      }}
    >
      <div class="rows" role="presentation" style={{ height: `${height}px` }}>
        {rows.map((row, index) => {
          if (row.kind === 'process') position += 1;
          const at = tops[index] ?? 0;
          if (at + ROW < top - BEYOND || at > top + visible + BEYOND) return null;
          const style = { top: `${at}px`, height: `${row.kind === 'group' ? GROUP : ROW}px` };
          if (row.kind === 'group') {
            return (
              <div key={row.key} class="group" role="presentation" style={style}>
                {row.label} <span class="dim">{row.size}</span>
              </div>
            );
          }
          return (
            <ProcessRow
              key={row.key}
              presence={row.presence}
              depth={row.depth}
              childOf={row.childOf}
              style={style}
              chosen={row.key === chosen}
              position={position}
              size={names.length}
            />
          );
        })}
      </div>
    </div>
  );
}

function layOut(rows: readonly Row[]): { tops: number[]; height: number } {
  let height = 0;
  const tops = rows.map((row) => {
    const top = height;
    height += row.kind === 'group' ? GROUP : ROW;
    return top;
  });
  return { tops, height };
}

interface ProcessRowProps {
  presence: Presence;
  depth: number;
  childOf: string | null;
  style: { top: string; height: string };
  chosen: boolean;
  position: number;
  size: number;
}

const STEP = 14; // pixels to the right for each generation, as far as there is room
const DEEPEST = 5;

function ProcessRow({ presence, depth, childOf, style, chosen, position, size }: ProcessRowProps) {
  const { page } = useScreen();
  const { process, parent } = presence;
  const condition = conditionOf(presence);
  const { instance } = levels(process);
  return (
    <div
      id={`process-${process}`}
      class={`row ${condition}`}
      style={{ ...style, paddingInlineStart: `${10 + Math.min(depth, DEEPEST) * STEP}px` }}
      role="option"
      aria-selected={chosen}
      aria-posinset={position}
      aria-setsize={size}
      aria-label={`${process}, ${condition}, pid ${presence.pid} on ${presence.host}${parent === null ? '' : `, child of ${parent}`}`}
      title={`${process}\npid ${presence.pid} on ${presence.host}${parent === null ? '' : `\nchild of ${parent}`}`}
      onClick={() => page.places.select(process)}
    >
      <ConditionMark condition={condition} />
      <span class="names">
        <span class="name">{instance}</span>
        <span class="dim">
          {condition === 'running' ? `pid ${presence.pid}` : condition} · {childOf === null ? presence.host : `child of ${shortName(childOf, process)}`}
        </span>
      </span>
      {presence.state === 'online' && <Usage process={process} />}
    </div>
  );
}

/** A parent's name, without what the two have in common. */
function shortName(parent: string, child: string): string {
  const [of, here] = [levels(parent), levels(child)];
  if (of.namespace !== here.namespace) return parent;
  return of.service === here.service ? of.instance : `${of.service}/${of.instance}`;
}

function Usage({ process }: { process: string }) {
  const { page } = useScreen();
  const samples = useMemo(() => page.store.samples(process), [page, process]);
  const cpu = samples.value.at(-1)?.cpu ?? null;
  return (
    <>
      <Sparkline samples={samples} />
      <span class="cpu" data-cpu={cpu ?? ''}>
        {cpu === null ? '' : percent(cpu)}
      </span>
    </>
  );
}
