import { useComputed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { clock } from '../format';
import { tell } from '../recorded';
import type { Replaying } from '../replaying';

/** Rows that are drawn around the present step; a session may have many thousands. */
const AROUND = 150;
/** Pieces of output that are shown. */
const PIECES = 1000;

/** The session's events; choosing one goes there. */
export function ReplayEvents({ replaying }: { replaying: Replaying }) {
  const { replay } = replaying;
  const { step } = replaying.state.value;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [step]);
  const names = useMemo(() => replay.at(replay.last).names, [replay]);
  const first = Math.max(1, step - AROUND);
  const shown = replay.events.slice(first - 1, step + AROUND);
  const rest = replay.last - (first - 1 + shown.length);
  return (
    <div
      ref={box}
      class="timeline scroll"
      role="listbox"
      aria-label="Events of the session"
      tabIndex={0}
      aria-activedescendant={step === 0 ? undefined : `step-${step}`}
      onKeyDown={(event) => {
        const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
        if (by === 0) return;
        event.preventDefault();
        replaying.by(by);
      }}
    >
      {replay.last === 0 && <p class="dim">Nobody has an event of it any more.</p>}
      {first > 1 && <p class="dim">{first - 1} before</p>}
      {shown.map((event, index) => {
        const at = first + index;
        const { kind, text } = tell(event, names);
        return (
          <div
            key={at}
            id={`step-${at}`}
            role="option"
            aria-selected={at === step}
            class={`entry ${kind} ${at > step ? 'later' : ''}`}
            onClick={() => replaying.goTo(at)}
          >
            <span class="number">{at}</span>
            <time>{clock(event.time)}</time>
            <span class="kind">{kind}</span>
            <span class="text">{text}</span>
          </div>
        );
      })}
      {rest > 0 && <p class="dim">{rest} after</p>}
    </div>
  );
}

/** What was printed until then. */
export function ReplayOutput({ replaying }: { replaying: Replaying }) {
  const pieces = useComputed(() => replaying.replay.output(replaying.state.value, PIECES));
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [pieces.value]);
  return (
    <pre ref={box} class="printed scroll" role="log" aria-label="Output so far" tabIndex={0}>
      {pieces.value.length === 0 && <span class="dim">Nothing had been printed that was told.</span>}
      {pieces.value.map(({ text, isError }, index) => (
        <span key={index} class={isError ? 'error' : ''}>
          {text}
        </span>
      ))}
    </pre>
  );
}
