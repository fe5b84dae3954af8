import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Session } from '../session';
import type { TranscriptLine } from '../transcript';
import type { Presence } from '../wire';
import { useScreen } from './context';

const MARKS = { asked: '›', answer: '', error: '', output: '', logged: '◆' } as const;

export function Console({ presence, session }: { presence: Presence; session: Session }) {
  const { page } = useScreen();
  const frame = session.looking.frame.value;
  const box = useRef<HTMLDivElement>(null);
  const lines = session.transcript.lines.value;
  useEffect(() => {
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const denied = !page.may('execute');
  const where = denied
    ? 'Evaluating is not in your token’s scopes (execute)'
    : frame === null
      ? 'Evaluate: nothing is stopped, so this runs outside of any frame'
      : `Evaluate in ${frame.name}`;
  return (
    <div class="console">
      <div ref={box} class="lines scroll" role="log" aria-label="Console" tabIndex={0}>
        {lines.length === 0 && (
          <p class="dim">What you evaluate runs in the program itself, with whatever side effects it has.</p>
        )}
        {lines.map((line) => (
          <Line key={line.key} line={line} />
        ))}
      </div>
      <Prompt
        placeholder={where}
        disabled={denied || presence.state !== 'online' || !page.store.live.value}
        history={lines.filter((line) => line.kind === 'asked').map((line) => line.text)}
        onAsk={(text) => void session.evaluate(text)}
      />
    </div>
  );
}

function Line({ line }: { line: TranscriptLine }) {
  return (
    <div class={`line ${line.kind}`}>
      <span class="sign" aria-hidden="true">
        {MARKS[line.kind]}
      </span>
      <span class="text">{line.text.trimEnd()}</span>
      {line.type !== '' && <span class="type">{line.type}</span>}
    </div>
  );
}

interface PromptProps {
  placeholder: string;
  disabled: boolean;
  history: readonly string[];
  onAsk: (text: string) => void;
}

function Prompt({ placeholder, disabled, history, onAsk }: PromptProps) {
  const back = useSignal(0); // how far back in the history; 0 is what is being written
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    const field = event.currentTarget;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      const text = field.value.trim();
      if (text === '') return;
      field.value = '';
      back.value = 0;
      onAsk(text);
      return;
    }
    const by = event.key === 'ArrowUp' ? 1 : event.key === 'ArrowDown' ? -1 : 0;
    if (by === 0 || event.shiftKey || (back.value === 0 && field.value.includes('\n'))) return;
    const next = back.value + by;
    if (next < 0 || next > history.length) return;
    event.preventDefault();
    back.value = next;
    field.value = next === 0 ? '' : (history[history.length - next] ?? '');
  };
  return (
    <div class="prompt">
      <span class="sign" aria-hidden="true">
        ›
      </span>
      <textarea
        id="evaluate"
        rows={1}
        aria-label="Evaluate"
        placeholder={placeholder}
        spellcheck={false}
        autocomplete="off"
        disabled={disabled}
        onKeyDown={onKeyDown}
      />
    </div>
  );
}
