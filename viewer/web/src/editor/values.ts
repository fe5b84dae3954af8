/** The current line, and the values of variables behind the lines of the function that runs. */

import { syntaxTree } from '@codemirror/language';
import { StateEffect, StateField, type EditorState, type Range } from '@codemirror/state';
import { Decoration, EditorView, WidgetType, type DecorationSet } from '@codemirror/view';

export interface Spot {
  /** Where the selected frame is. */
  readonly line: number;
  /** `caller` when it waits for a call that it made, `here` when it is where the thread stands, `taken` when it was
   *  there when a snapshot was taken. */
  readonly kind: 'here' | 'caller' | 'taken';
  readonly values: ReadonlyMap<string, string>;
}

export const setSpot = StateEffect.define<Spot | null>();

export const spotField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(setSpot)) return effect.value === null ? Decoration.none : decorate(transaction.state, effect.value);
    }
    return value;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const SHOWN_VALUE = 60;
const SHOWN_LINE = 120;

class Values extends WidgetType {
  constructor(readonly text: string) {
    super();
  }

  override eq(other: Values): boolean {
    return other.text === this.text;
  }

  override toDOM(): HTMLElement {
    const element = document.createElement('span');
    element.className = 'values';
    element.textContent = this.text;
    element.setAttribute('aria-hidden', 'true'); // the tree of variables has them too
    return element;
  }
}

function decorate(state: EditorState, spot: Spot): DecorationSet {
  if (spot.line < 1 || spot.line > state.doc.lines) return Decoration.none;
  const current = state.doc.line(spot.line);
  const ranges: Range<Decoration>[] = [Decoration.line({ class: `spot ${spot.kind}` }).range(current.from)];
  for (const [line, names] of namesByLine(state, spot.line)) {
    const text = [...names]
      .flatMap((name) => {
        const value = spot.values.get(name);
        return value === undefined ? [] : [`${name} = ${cut(value, SHOWN_VALUE)}`];
      })
      .join(', ');
    if (text !== '') {
      const widget = new Values(cut(text, SHOWN_LINE));
      ranges.push(Decoration.widget({ widget, side: 1 }).range(state.doc.line(line).to));
    }
  }
  return Decoration.set(ranges, true);
}

const cut = (text: string, length: number) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** The names on each line of the function around `line`, up to that line: what comes later has not run. */
function namesByLine(state: EditorState, line: number): Map<number, Set<string>> {
  const { from, to } = state.doc.line(line);
  const indent = /^\s*/.exec(state.doc.lineAt(from).text)?.[0].length ?? 0;
  let node = syntaxTree(state).resolveInner(from + indent, 1);
  while (node.parent !== null && node.name !== 'FunctionDefinition') node = node.parent;
  const names = new Map<number, Set<string>>();
  if (node.name !== 'FunctionDefinition') return names;
  const outer = node.from;
  syntaxTree(state).iterate({
    from: outer,
    to,
    enter: (inner) => {
      if (inner.name === 'FunctionDefinition' && inner.from !== outer) return false; // names of another frame
      if (inner.name !== 'VariableName') return true;
      const at = state.doc.lineAt(inner.from).number;
      const known = names.get(at);
      const name = state.sliceDoc(inner.from, inner.to);
      if (known) known.add(name);
      else names.set(at, new Set([name]));
      return true;
    },
  });
  return names;
}
