import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { selectorOf, SESSIONS, type Reach } from '../remembering';
import { levels } from '../roster';
import { useScreen } from './context';
import { Report } from './fleet_report';
import { FoundEvents } from './found_events';
import { RecordingPane } from './recording';
import { RecordedSessions } from './recorded_sessions';
import { Tabs } from './tabs';

/** What there was: the debug sessions that are remembered, and events after the fact. */
export function History() {
  const { page } = useScreen();
  const session = page.places.recorded.value;
  const { store } = page.store.history.value;
  return (
    <main class="main history">
      {page.store.live.value && store === 'none' && <NoHistory />}
      {store !== 'none' && session !== null && <RecordingPane key={session} />}
      {store !== 'none' && session === null && <Remembered />}
    </main>
  );
}

function NoHistory() {
  return (
    <section class="empty hero">
      <h2>This broker keeps no history</h2>
      <p>
        What happens is told to whoever listens, and then forgotten. To find sessions and events again, and to replay
        them, start the broker with a place to keep them in:
      </p>
      <pre>sonde broker --history history.db</pre>
    </section>
  );
}

const TABS = ['Sessions', 'Events', 'Report'] as const;

function Remembered() {
  const { page } = useScreen();
  const chosen = useSignal<(typeof TABS)[number]>('Sessions');
  const process = page.process.value;
  const reach = page.remembering.reach.value;
  const selector = selectorOf(reach, process);
  const { live } = page.store;
  const known = useRef(page.remembering.changes.peek());
  useSignalEffect(() => {
    const { changes, sessions } = page.remembering;
    const asked = selectorOf(page.remembering.reach.value, page.process.value);
    const again = changes.value !== known.current;
    known.current = changes.value;
    if (again && sessions.listed.peek().items.length > SESSIONS) return; // somebody reads on below
    if (live.value) void sessions.ask(asked);
  });
  useEffect(() => page.remembering.forget(), [page, selector]);
  return (
    <>
      <header class="bar">
        <h2>History</h2>
        <ReachChoice process={process} />
        <span class="space" />
        {chosen.value === 'Sessions' && (
          <button disabled={!live.value} onClick={() => void page.remembering.sessions.ask(selector)}>
            Refresh
          </button>
        )}
        <button onClick={() => page.places.showPast(false)}>Back to now</button>
      </header>
      <Tabs id="past" label="Sessions, events and report" tabs={TABS} chosen={chosen}>
        {chosen.value === 'Sessions' && <RecordedSessions selector={selector} />}
        {chosen.value === 'Events' && <FoundEvents selector={selector} />}
        {chosen.value === 'Report' && <Report selector={selector} />}
      </Tabs>
    </>
  );
}

/** Of which processes. Without a chosen one it is all of them. */
function ReachChoice({ process }: { process: string | null }) {
  const { page } = useScreen();
  const { reach } = page.remembering;
  if (process === null) return <span class="dim">of all processes; choose one on the left to see its own</span>;
  const { service, instance } = levels(process);
  const choices: readonly (readonly [Reach, string, string])[] = [
    ['process', instance, process],
    ['service', `service ${service}`, selectorOf('service', process)],
    ['all', 'all', 'every process that your token shows you'],
  ];
  return (
    <div class="choice" role="radiogroup" aria-label="Of which processes">
      {choices.map(([value, label, title]) => (
        <label key={value} class="chip" title={title}>
          <input
            type="radio"
            name="past-reach"
            checked={reach.value === value}
            onChange={() => (reach.value = value)}
          />
          {label}
        </label>
      ))}
    </div>
  );
}
