import { useSignal } from '@preact/signals';
import { day } from '../format';
import { tell } from '../recorded';
import type { AnyEvent } from '../wire';
import { Choice } from './choice';
import { useScreen } from './context';
import { Rest } from './rest';

const TIMES: readonly (readonly [label: string, seconds: number | null])[] = [
  ['last 10 minutes', 600],
  ['last hour', 3600],
  ['last day', 86_400],
  ['all that is remembered', null],
];

const KINDS: readonly (readonly [label: string, kinds: readonly string[]])[] = [
  ['anything', []],
  ['starts and ends', ['process_started', 'process_ended']],
  ['debug sessions', ['session_opened', 'session_closed']],
  ['stops', ['dap.stopped', 'stop_located']],
  ['output', ['output']],
  ['what probes brought', ['snapshot_taken', 'probe_logged', 'watch_changed']],
  ['states of probes', ['probe_changed']],
  ['breakpoints', ['breakpoints_changed']],
  ['who drives, how long it stands', ['seat_changed', 'lease_changed']],
  ['the debugger', ['debugger_attached', 'debugger_detached']],
];

/** Events after the fact, by time, kind and text. */
export function FoundEvents({ selector }: { selector: string }) {
  const { page } = useScreen();
  const { found } = page.remembering;
  const time = useSignal(1);
  const kind = useSignal(0);
  const text = useSignal('');
  const { items, state } = found.listed.value;
  const search = () => {
    const seconds = TIMES[time.value]?.[1] ?? null;
    void found.ask({
      selector,
      since: seconds === null ? null : Date.now() / 1000 - seconds,
      kinds: KINDS[kind.value]?.[1] ?? [],
      text: text.value.trim(),
    });
  };
  return (
    <>
      <form
        class="bar search"
        role="search"
        aria-label="Events"
        onSubmit={(event) => {
          event.preventDefault();
          search();
        }}
      >
        <Choice label="Time" options={TIMES} chosen={time.value} onChoose={(at) => (time.value = at)} />
        <Choice label="Kind" options={KINDS} chosen={kind.value} onChoose={(at) => (kind.value = at)} />
        <input
          type="search"
          aria-label="Text"
          placeholder="Text in the event"
          maxLength={200}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={!page.store.live.value}>
          Search
        </button>
      </form>
      <div class="scroll past" tabIndex={0} aria-busy={state === 'loading'}>
        {state === 'idle' && <p class="empty">Search for events that were remembered, the newest first.</p>}
        <ul class="found" aria-label="Events found">
          {items.map((event) => (
            <Row key={`${event.process} ${event.boot} ${event.seq}`} event={event} one={!selector.includes('*')} />
          ))}
        </ul>
        <Rest paged={found} empty="Nothing that was remembered matches. Try a longer time, or fewer words." />
      </div>
    </>
  );
}

const NOBODY = new Map<string, string>();

/** In words; opened, it is the event itself. */
function Row({ event, one }: { event: AnyEvent; one: boolean }) {
  const { page } = useScreen();
  const open = useSignal(false);
  const { kind, text } = tell(event, NOBODY);
  return (
    <li>
      <div class={`entry ${kind}`}>
        <button
          class="plain"
          aria-expanded={open.value}
          aria-label="The whole event"
          onClick={() => (open.value = !open.value)}
        >
          {open.value ? '▾' : '▸'}
        </button>
        <time>{day(event.time)}</time>
        <span class="kind">{kind}</span>
        {!one && (
          <span class="dim" title={event.process}>
            {event.process}
          </span>
        )}
        <span class="text">{text}</span>
        {event.session !== null && (
          <button
            class="plain link"
            onClick={() => event.session !== null && page.places.openRecorded(event.session)}
          >
            session
          </button>
        )}
      </div>
      {open.value && <pre>{JSON.stringify(event, null, 2)}</pre>}
    </li>
  );
}
