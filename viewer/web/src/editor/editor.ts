/** CodeMirror, read-only, in a shadow root: there its styles are adopted style sheets, which the content
 *  security policy allows. Colours come from the page through custom properties. */

import { pythonLanguage } from '@codemirror/lang-python';
import {
  codeFolding,
  foldGutter,
  HighlightStyle,
  LanguageSupport,
  syntaxHighlighting,
} from '@codemirror/language';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Breakpoints } from '../breakpoints';
import {
  breakpointGutter,
  setBreakpoints,
  setOthers,
  setProbes,
  type LineActs,
  type Others,
  type ProbeTitles,
} from './gutter';
import { setSpot, spotField, type Spot } from './values';

const look = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--ground)', color: 'var(--text)', fontSize: '12.5px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
  '.cm-gutters': { backgroundColor: 'var(--ground)', color: 'var(--dim)', border: 'none' },
  '.cm-lineNumbers .cm-gutterElement': { minWidth: '34px', padding: '0 6px 0 2px' },
  '.cm-foldGutter .cm-gutterElement': { width: '12px', cursor: 'pointer' },
  '.cm-activeLine': { backgroundColor: 'var(--hover)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
    backgroundColor: 'var(--selection)',
  },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-selectionMatch, .cm-searchMatch': { backgroundColor: 'var(--match)' },
  '.cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--text)', borderColor: 'var(--line)' },
  '.cm-foldPlaceholder': { backgroundColor: 'var(--raised)', borderColor: 'var(--line)', color: 'var(--dim)' },
  '.cm-line.spot.here': { backgroundColor: 'var(--spot)' },
  '.cm-line.spot.caller': { backgroundColor: 'var(--caller)' },
  '.cm-line.spot.taken': { backgroundColor: 'var(--accent-ground)' },
  '.values': { marginInlineStart: '28px', color: 'var(--dim)', fontStyle: 'italic' },
  '.breakpoints .cm-gutterElement': { width: '26px', padding: '0 0 0 4px' },
  '.breakpoints .live': { cursor: 'pointer' },
  '.cell': { height: '100%', display: 'grid', placeItems: 'center start', paddingInlineStart: '2px' },
  '.cell::before': { content: '""', width: '10px', height: '10px', borderRadius: '50%', boxSizing: 'border-box' },
  '.cell.live.none:hover::before': { backgroundColor: 'var(--breakpoint)', opacity: '0.35' },
  '.cell.set::before': { backgroundColor: 'var(--breakpoint)' },
  '.cell.pending::before': { backgroundColor: 'var(--breakpoint)', opacity: '0.5' },
  '.cell.unset::before': { border: '2px solid var(--dim)' },
  '.cell.others::before': { border: '2px solid var(--others)' },
  '.cell.also': { boxShadow: 'inset 3px 0 var(--others)' },
  '.cell.probed': { position: 'relative' },
  '.cell.probed::after': {
    content: '""',
    position: 'absolute',
    right: '1px',
    width: '7px',
    height: '7px',
    transform: 'rotate(45deg)',
    backgroundColor: 'var(--accent)',
  },
  '.cell:focus-visible': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--code-number)' },
  { tag: tags.comment, color: 'var(--code-comment)', fontStyle: 'italic' },
  {
    tag: [tags.function(tags.variableName), tags.function(tags.definition(tags.variableName))],
    color: 'var(--code-function)',
  },
  { tag: [tags.className, tags.definition(tags.className), tags.meta], color: 'var(--code-class)' },
  { tag: tags.self, color: 'var(--code-number)' },
]);

export class Editor {
  readonly #view: EditorView;

  /** `acts` is null where nothing can be set, as in a recording. */
  constructor(host: HTMLElement, text: string, label: string, acts: LineActs | null) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
    this.#view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: text,
        extensions: [
          EditorState.readOnly.of(true), // still with a cursor, so that the keyboard reaches every line
          EditorView.contentAttributes.of({ 'aria-label': label, 'aria-readonly': 'true', spellcheck: 'false' }),
          breakpointGutter(acts),
          codeFolding(),
          foldGutter(),
          spotField,
          drawSelection(),
          highlightActiveLine(),
          highlightSelectionMatches(),
          search({ top: true }),
          keymap.of([
            ...(acts === null
              ? []
              : [
                  { key: 'F9', run: () => this.#atCursor(acts.toggle) },
                  { key: 'Ctrl-Shift-F9', run: () => this.#atCursor(acts.probe) },
                ]),
            ...searchKeymap,
          ]),
          /\.pyi?$|^<|^[^.]*$/.test(label) ? new LanguageSupport(pythonLanguage) : [],
          syntaxHighlighting(colours),
          look,
        ],
      }),
    });
    const { dom } = this.#view;
    dom.querySelector('.cm-gutters')?.removeAttribute('aria-hidden'); // ours says something
    for (const gutter of dom.querySelectorAll('.cm-lineNumbers, .cm-foldGutter')) {
      gutter.setAttribute('aria-hidden', 'true');
    }
  }

  #atCursor(act: (line: number) => void): boolean {
    const { state } = this.#view;
    act(state.doc.lineAt(state.selection.main.head).number);
    return true;
  }

  showBreakpoints(breakpoints: Breakpoints): void {
    this.#view.dispatch({ effects: setBreakpoints.of(breakpoints) });
  }

  /** Those of other viewers, which stop the process too. */
  showOthers(others: Others): void {
    this.#view.dispatch({ effects: setOthers.of(others) });
  }

  showProbes(titles: ProbeTitles): void {
    this.#view.dispatch({ effects: setProbes.of(titles) });
  }

  showSpot(spot: Spot | null): void {
    this.#view.dispatch({ effects: setSpot.of(spot) });
  }

  /** Brings a line to the middle, with the cursor in it. */
  goTo(line: number): void {
    const { doc } = this.#view.state;
    if (line < 1 || line > doc.lines) return;
    const at = doc.line(line).from;
    this.#view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) });
  }

  destroy(): void {
    this.#view.destroy();
  }
}
