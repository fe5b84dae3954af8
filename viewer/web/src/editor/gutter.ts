/** The breakpoint gutter: one cell for every line, which is a checkbox to assistive technology. A line with a probe has a
 *  diamond too. */

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
    cell.setAttribute('role', 'checkbox');
    cell.setAttribute('aria-label', `Breakpoint line ${this.line}`);
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

/** Both get the number of the line: of a click, and of a right click. */
export function breakpointGutter(onToggle: (line: number) => void, onProbe: (line: number) => void) {
  const toggle = (view: EditorView, from: number) => onToggle(view.state.doc.lineAt(from).number);
  const contextmenu = (view: EditorView, block: { from: number }) => {
    onProbe(view.state.doc.lineAt(block.from).number);
    return true;
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
        );
      },
      lineMarkerChange: ({ startState, state }) =>
        watched.some((field: StateField<unknown>) => startState.field(field) !== state.field(field)),
      domEventHandlers: {
        contextmenu,
        click: (view, block) => {
          toggle(view, block.from);
          return true;
        },
        keydown: (view, block, event) => {
          const { key } = event as KeyboardEvent;
          if (key !== 'Enter' && key !== ' ') return false;
          event.preventDefault();
          toggle(view, block.from);
          return true;
        },
      },
    }),
    lineNumbers({ domEventHandlers: { contextmenu } }),
  ];
}
