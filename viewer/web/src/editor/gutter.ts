/** The breakpoint gutter: one cell for every line, which is a checkbox to assistive technology, or a mark where nothing can
 *  be set. A line with a probe has a diamond too. */

import { RangeSet, StateEffect, StateField } from '@codemirror/state';
import { EditorView, gutter, GutterMarker, lineNumbers } from '@codemirror/view';
import type { Breakpoint, Breakpoints } from '../breakpoints';

/** The names of those others who stop on a line, by line. */
export type Others = ReadonlyMap<number, string>;

export const setBreakpoints = StateEffect.define<Breakpoints>();
export const setOthers = StateEffect.define<Others>();
/** What the probes on a line are, by line. */
export type ProbeTitles = ReadonlyMap<number, string>;
export const setProbes = StateEffect.define<ProbeTitles>();

/** What one can do at a line; both get its number. */
export interface LineActs {
  /** Sets its breakpoint or takes it away. */
  readonly toggle: (line: number) => void;
  /** Looks there without stopping. */
  readonly probe: (line: number) => void;
}

const breakpointsByLine = StateField.define<ReadonlyMap<number, Breakpoint>>({
  create: () => new Map(),
  update(value, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(setBreakpoints)) return new Map(effect.value.map((b) => [b.actual, b]));
    }
    return value;
  },
});

const kept = (set: typeof setOthers | typeof setProbes) =>
  StateField.define<ReadonlyMap<number, string>>({
    create: () => new Map(),
    update(value, transaction) {
      for (const effect of transaction.effects) {
        if (effect.is(set)) return effect.value;
      }
      return value;
    },
  });
const othersByLine = kept(setOthers);
const probesByLine = kept(setProbes);

class Cell extends GutterMarker {
  constructor(
    readonly line: number,
    readonly breakpoint: Breakpoint | undefined,
    readonly others: string | undefined,
    readonly probes: string | undefined,
    readonly live: boolean,
  ) {
    super();
  }

  override eq(other: Cell): boolean {
    return (
      other.line === this.line &&
      other.breakpoint === this.breakpoint &&
      other.others === this.others &&
      other.probes === this.probes
    );
  }

  override toDOM(): HTMLElement {
    const cell = document.createElement('div');
    const theirs = this.others === undefined ? '' : this.breakpoint === undefined ? 'others' : 'also';
    cell.className = `cell ${this.breakpoint?.state ?? 'none'} ${theirs} ${this.probes === undefined ? '' : 'probed'}`;
    const named = `Breakpoint line ${this.line}`;
    if (!this.live) return recorded(cell, this.breakpoint === undefined && theirs === '' ? null : named, this.others);
    cell.classList.add('live');
    cell.setAttribute('role', 'checkbox');
    cell.setAttribute('aria-label', named);
    cell.setAttribute('aria-checked', String(this.breakpoint !== undefined));
    cell.title = [
      explain(this.line, this.breakpoint),
      ...(this.others ? [`${this.others} stops here.`] : []),
      this.probes ?? 'Right click: look without stopping',
    ].join('\n');
    if (this.probes !== undefined) cell.setAttribute('aria-description', this.probes);
    cell.tabIndex = -1;
    return cell;
  }
}

/** A cell that only shows. */
function recorded(cell: HTMLElement, named: string | null, others: string | undefined): HTMLElement {
  if (named === null) return cell;
  cell.setAttribute('role', 'img');
  cell.setAttribute('aria-label', named);
  cell.title = others === undefined ? named : `${named}, of ${others}`;
  return cell;
}

function explain(line: number, breakpoint: Breakpoint | undefined): string {
  if (breakpoint === undefined) return `Stop at line ${line}`;
  const moved =
    breakpoint.line === breakpoint.actual
      ? ''
      : `Asked for line ${breakpoint.line}; line ${breakpoint.actual} is the next one with code. `;
  const condition = breakpoint.condition === '' ? '' : `Only if ${breakpoint.condition}. `;
  const state = { pending: 'Not in force yet.', set: 'Stops here.', unset: 'Will not stop here.' }[breakpoint.state];
  return `${moved}${condition}${breakpoint.message || state}`;
}

/** A click sets a breakpoint, a right click looks without stopping. */
export function breakpointGutter(acts: LineActs | null) {
  const toggle = (view: EditorView, from: number) => {
    acts?.toggle(view.state.doc.lineAt(from).number);
    return acts !== null;
  };
  const contextmenu = (view: EditorView, block: { from: number }) => {
    acts?.probe(view.state.doc.lineAt(block.from).number);
    return acts !== null;
  };
  const watched = [breakpointsByLine, othersByLine, probesByLine] as const;
  return [
    ...watched,
    gutter({
      class: 'breakpoints',
      renderEmptyElements: true,
      markers: () => RangeSet.empty,
      lineMarker: (view, block) => {
        const line = view.state.doc.lineAt(block.from).number;
        const { state } = view;
        return new Cell(
          line,
          state.field(breakpointsByLine).get(line),
          state.field(othersByLine).get(line),
          state.field(probesByLine).get(line),
          acts !== null,
        );
      },
      lineMarkerChange: ({ startState, state }) =>
        watched.some((field: StateField<unknown>) => startState.field(field) !== state.field(field)),
      domEventHandlers: {
        contextmenu,
        click: (view, block) => toggle(view, block.from),
        keydown: (view, block, event) => {
          const { key } = event as KeyboardEvent;
          if (key !== 'Enter' && key !== ' ') return false;
          event.preventDefault();
          return toggle(view, block.from);
        },
      },
    }),
    lineNumbers({ domEventHandlers: { contextmenu } }),
  ];
}
