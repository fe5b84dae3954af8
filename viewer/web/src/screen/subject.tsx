import { clock } from '../format';
import { conditionOf } from '../roster';
import type { Session, Step } from '../session';
import type { Presence } from '../wire';
import { useScreen } from './context';
import { ConditionMark } from './mark';

interface Props {
  presence: Presence;
  session: Session;
}

/** What the page looks at: which process, how it is, and what one can do to it. */
export function Subject({ presence, session }: Props) {
  const condition = conditionOf(presence);
  const main = presence.main ?? presence.argv.join(' ');
  return (
    <>
      <header class="subject">
        <div class="identity">
          <h2>
            <ConditionMark condition={condition} />
            {presence.process}
          </h2>
          <p class="dim facts" title={`${main}\nin ${presence.directory}`}>
            <span>pid {presence.pid}</span>
            <span>{presence.host}</span>
            <span>
              {presence.implementation === 'cpython' ? 'Python' : presence.implementation} {presence.python}
            </span>
            <span>started {clock(presence.started)}</span>
            {Object.entries(presence.labels).map(([key, value]) => (
              <span key={key} class="label">
                {key}={value}
              </span>
            ))}
            <span class="path">{main}</span>
          </p>
        </div>
        {presence.state === 'online' && <Toolbar session={session} />}
      </header>
      <Notices presence={presence} session={session} />
    </>
  );
}

const STEPS: readonly { kind: Step; label: string; key: string; other: string; path: string }[] = [
  { kind: 'next', label: 'Step over', key: 'F10', other: 'Ctrl+’', path: 'M3 9a5 5 0 0 1 9-2M12 3v4h-4M8 13h.01' },
  { kind: 'stepIn', label: 'Step into', key: 'F11', other: 'Ctrl+;', path: 'M8 2v7M5 6l3 3l3-3M8 13h.01' },
  { kind: 'stepOut', label: 'Step out', key: 'Shift+F11', other: 'Ctrl+Shift+;', path: 'M8 9V2M5 5l3-3l3 3M8 13h.01' },
];

function Toolbar({ session }: { session: Session }) {
  const { page } = useScreen();
  const may = page.may('control') && page.store.live.value;
  const awaited = session.awaited.value;
  const stopped = session.stopped.value || (awaited !== null && awaited !== 'pause');
  const denied = page.may('control') ? '' : '\nYour token lacks the scope control.';
  return (
    <div class="toolbar" role="toolbar" aria-label="Run control">
      {stopped ? (
        <button
          class="go"
          disabled={!may}
          onClick={() => void session.resume()}
          title="Continue (F5, F8 or Ctrl+\)"
          aria-label="Continue"
        >
          <Icon path="M4 3l9 5l-9 5z" filled /> <span>Continue</span> <kbd>F5</kbd>
        </button>
      ) : (
        <button
          disabled={!may || awaited === 'pause'}
          onClick={() => void session.pause()}
          title={`Pause (F6, F8 or Ctrl+\\): stops a thread of the program${denied}`}
          aria-label="Pause"
        >
          <Icon path="M4 3h3v10H4zM9 3h3v10H9z" filled /> <span>{awaited === 'pause' ? 'Pausing…' : 'Pause'}</span>{' '}
          <kbd>F6</kbd>
        </button>
      )}
      {STEPS.map(({ kind, label, key, other, path }) => (
        <button
          key={kind}
          disabled={!may || !stopped}
          onClick={() => void session.step(kind)}
          title={`${label} (${key} or ${other})`}
          aria-label={label}
        >
          <Icon path={path} /> <kbd>{key.replace('Shift+', '⇧')}</kbd>
        </button>
      ))}
    </div>
  );
}

function Icon({ path, filled = false }: { path: string; filled?: boolean }) {
  return (
    <svg class={filled ? 'icon filled' : 'icon'} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

/** Who debugs here, how the process ended, and what was refused. */
function Notices({ presence, session }: Props) {
  const { page } = useScreen();
  const phase = session.phase.value;
  const others = presence.sessions.filter((other) => phase !== 'open' || other.viewer !== page.store.me.value?.subject);
  const names = [...new Set(others.map((other) => other.viewer))].join(', ');
  const waiting = session.breakpoints.value.length > 0;
  const online = presence.state === 'online';
  const may = page.may('control') && page.store.live.value;
  return (
    <div class="notices">
      {!online && <Ended presence={presence} />}
      {phase === 'open' && online && (
        <div class="notice debugging" role="status">
          <strong>Debugging</strong>
          <span>
            {session.stopped.value
              ? `${plural(session.stops.value.size, 'thread')} stopped`
              : 'running; breakpoints are in force'}
            {names !== '' && `, together with ${names}`}
          </span>
          <span class="space" />
          <button onClick={() => void session.close()}>Stop debugging</button>
        </div>
      )}
      {phase === 'opening' && (
        <div class="notice" role="status">
          Beginning to debug…
        </div>
      )}
      {phase === 'idle' && online && names !== '' && (
        <div class="notice others" role="status">
          <span>
            {names} {new Set(others.map((other) => other.viewer)).size > 1 ? 'debug' : 'debugs'} this process
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

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
