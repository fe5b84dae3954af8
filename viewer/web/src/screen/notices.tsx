import type { Session } from '../session';
import type { Presence } from '../wire';
import { useScreen } from './context';
import { Asleep, Askers, Countdown, Seat } from './seat';

interface Props {
  presence: Presence;
  session: Session;
}

/** Who debugs here, how the process ended, and what was refused. */
export function Notices({ presence, session }: Props) {
  const { page } = useScreen();
  const phase = session.phase.value;
  const others = presence.sessions.filter((other) => phase !== 'open' || other.viewer !== page.store.me.value?.subject);
  const viewers = new Set(others.map((other) => other.viewer));
  if (phase === 'open') viewers.delete(session.driving.other.value); // who is named beside
  const names = [...viewers].join(', ');
  const waiting = session.breakpoints.value.length > 0;
  const online = presence.state === 'online';
  const may = page.may('control') && page.store.live.value;
  const { asleep } = session.driving.company.value;
  const driver = others.find((other) => other.session === presence.driver);
  return (
    <div class="notices">
      {!online && <Ended presence={presence} />}
      {phase === 'open' && online && (
        <div class="notice debugging">
          <strong>Debugging</strong>
          {session.name.value.trim() !== '' && <span class="named">{session.name.value.trim()}</span>}
          <span role="status" title={names === '' ? undefined : `Together with ${names}`}>
            {session.stopped.value
              ? `${plural(session.stops.value.size, 'thread')} stopped`
              : asleep
                ? 'running'
                : 'running; breakpoints are in force'}
            {names !== '' && `, together with ${names}`}
          </span>
          <Seat driving={session.driving} />
          <Countdown session={session} />
          <span class="space" />
          <button onClick={() => void session.close()}>Stop debugging</button>
        </div>
      )}
      {phase === 'open' && online && <Askers driving={session.driving} />}
      {phase === 'open' && online && <Asleep session={session} />}
      {phase === 'opening' && (
        <div class="notice" role="status">
          Beginning to debug…
        </div>
      )}
      {phase === 'idle' && online && names !== '' && (
        <div class="notice others" role="status">
          <span title={named(others)}>
            {names} {viewers.size > 1 ? 'debug' : 'debugs'} this process
            {driver !== undefined && `; ${driver.viewer} drives`}
            {presence.stopped_threads > 0 && `; ${plural(presence.stopped_threads, 'thread')} stopped`}.
          </span>
          <span class="space" />
          {may && <button onClick={() => void session.open().catch(() => {})}>Join</button>}
        </div>
      )}
      {session.why.value !== '' && (
        <div class="notice error" role="alert">
          <span>{session.why.value}</span>
          <span class="space" />
          {phase === 'idle' && waiting && online && may && (
            <button onClick={() => void session.open().catch(() => {})}>Debug again</button>
          )}
          <button class="plain" aria-label="Dismiss" onClick={() => (session.why.value = '')}>
            ✕
          </button>
        </div>
      )}
    </div>
  );
}

function Ended({ presence }: { presence: Presence }) {
  const { exit } = presence;
  const bad = exit !== null && (exit.reason === 'signalled' || (exit.code ?? 0) !== 0);
  return (
    <div class={`notice ${bad ? 'error' : ''}`} role="status">
      <strong>{presence.state === 'lost' ? 'Lost' : 'Ended'}</strong>
      <span>
        {exit?.message ??
          (presence.state === 'lost'
            ? 'its agent is no longer connected to the bus; the process itself may still run'
            : 'nobody saw how')}
      </span>
    </div>
  );
}

/** What sessions are called, of those that have a name. */
const named = (sessions: Presence['sessions']): string | undefined =>
  sessions.flatMap(({ viewer, name }) => (name === '' ? [] : [`${viewer}: ${name}`])).join('\n') || undefined;

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
