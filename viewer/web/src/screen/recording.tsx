import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { day, span } from '../format';
import { exported, MOST_EVENTS, type Recording } from '../remembering';
import { linesOf } from '../replay';
import type { Replaying } from '../replaying';
import { useScreen } from './context';
import { ended } from './recorded_sessions';
import { ReplayControls } from './replay_controls';
import { ReplayEvents, ReplayOutput } from './replay_events';
import { ReplaySource } from './replay_source';
import { ReplayState } from './replay_state';
import { save } from './saving';
import { Tabs } from './tabs';

/** The recorded session of the place, and its replay. */
export function RecordingPane() {
  const { page } = useScreen();
  const { recording, replay } = page.remembering;
  const load = recording.value;
  const back = useRef<HTMLButtonElement>(null);
  useEffect(() => back.current?.focus(), []); // what opened it is no longer on the screen
  const leave = (
    <button ref={back} onClick={() => page.places.openRecorded(null)}>
      ‹ Sessions
    </button>
  );
  if (load?.state === 'ready' && replay.value !== null) {
    return <Recorded recording={load.value} replaying={replay.value} leave={leave} />;
  }
  return (
    <>
      <header class="bar">{leave}</header>
      <div class="empty" role="status">
        {load?.state === 'failed' ? (
          <>
            <p class="error">{load.message}</p>
            <button onClick={() => page.remembering.again()}>Try again</button>
          </>
        ) : (
          <p>Reading the session…</p>
        )}
      </div>
    </>
  );
}

interface Props {
  recording: Recording;
  replaying: Replaying;
  leave: preact.JSX.Element;
}

const TABS = ['Events', 'Output', 'Figures'] as const;

function Recorded({ recording, replaying, leave }: Props) {
  const { page } = useScreen();
  const chosen = useSignal<(typeof TABS)[number]>('Events');
  const { session, statistics } = recording.detail;
  const name = session.name || `Session ${session.session.slice(0, 8)}`;
  const open = page.store.processes.value.get(session.process)?.sessions;
  return (
    <>
      <header class="bar">
        {leave}
        <h2 title={session.session}>{name}</h2>
        <span class="dim">
          {session.viewer} on{' '}
          <button class="plain link" onClick={() => page.places.select(session.process)}>
            {session.process}
          </button>
        </span>
        <span class="space" />
        {session.closed === null && <button onClick={() => page.remembering.again()}>Read again</button>}
        <button onClick={() => save(`session-${session.session}.json`, exported(recording))}>Save as JSON</button>
      </header>
      <p class="asked dim">
        <span>{day(session.opened)}</span>
        {statistics.duration !== null && <span>for {span(statistics.duration)}</span>}
        <span>{ended(session, open)}</span>
        <span>
          {plural(statistics.stops, 'stop')}
          {statistics.stops > 0 && `, stood for ${span(statistics.stopped)}, at most ${span(statistics.longest_stop)}`}
        </span>
        <span>{plural(statistics.events, 'event')}</span>
        {statistics.missing > 0 && <span class="error">{plural(statistics.missing, 'event')} of its time nobody has</span>}
        {Object.entries(session.metadata).map(([key, value]) => (
          <span key={key} class="label">
            {key}={value}
          </span>
        ))}
      </p>
      {recording.more && (
        <p class="notice" role="status">
          Only its first {MOST_EVENTS} events are here; `sonde` and the Python library read all of them.
        </p>
      )}
      {recording.withheld && (
        <p class="notice" role="status">
          What it printed is left out: your token lacks the scope inspect, which values need.
        </p>
      )}
      <ReplayControls replaying={replaying} />
      <div class="look">
        <ReplaySource recording={recording} replaying={replaying} />
        <ReplayState session={session} replaying={replaying} />
      </div>
      <section class="bottom">
        <Tabs id="recorded" label="Events, output and figures" tabs={TABS} chosen={chosen}>
          {chosen.value === 'Events' && <ReplayEvents replaying={replaying} />}
          {chosen.value === 'Output' && <ReplayOutput replaying={replaying} />}
          {chosen.value === 'Figures' && <Figures recording={recording} />}
        </Tabs>
      </section>
    </>
  );
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Its breakpoints as they were set, one set after the other, and its events by kind, the most first. */
function Figures({ recording }: { recording: Recording }) {
  const sets = recording.detail.breakpoints;
  const kinds = Object.entries(recording.detail.statistics.kinds).sort(([, a], [, b]) => b - a);
  return (
    <div class="scroll past" tabIndex={0}>
      {sets.length > 0 && (
        <table class="records" aria-label="Its breakpoints">
          <thead>
            <tr>
              <th scope="col">Breakpoints, as they were set</th>
              <th scope="col">Lines</th>
            </tr>
          </thead>
          <tbody>
            {sets.map(({ path, breakpoints }, index) => (
              <tr key={index}>
                <td>{path ?? 'on functions'}</td>
                <td>{breakpoints.length === 0 ? 'none any more' : linesOf(breakpoints).map(({ line }) => line ?? '?').join(', ')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <table class="records" aria-label="Events by kind">
        <thead>
          <tr>
            <th scope="col">Kind of event</th>
            <th scope="col">How many</th>
          </tr>
        </thead>
        <tbody>
          {kinds.map(([kind, count]) => (
            <tr key={kind}>
              <td>{kind}</td>
              <td>{count}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
