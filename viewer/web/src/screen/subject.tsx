import { clock } from '../format';
import { conditionOf } from '../roster';
import type { Session, Step } from '../session';
import type { Presence } from '../wire';
import { useScreen } from './context';
import { ConditionMark } from './mark';
import { Notices } from './notices';

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
            {presence.parent !== null && <Parent process={presence.parent} />}
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

function Parent({ process }: { process: string }) {
  const { page } = useScreen();
  return (
    <span>
      child of{' '}
      <button class="plain link" onClick={() => page.places.select(process)}>
        {process}
      </button>
    </span>
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
  const driver = session.driving.other.value;
  const denied = !page.may('control')
    ? '\nYour token lacks the scope control.'
    : driver === ''
      ? ''
      : `\n${driver} drives: ask for the seat first.`;
  const can = may && driver === '';
  return (
    <div class="toolbar" role="toolbar" aria-label="Run control">
      {may && session.phase.value === 'idle' && (
        <input
          class="session-name"
          aria-label="Name of the session"
          placeholder="Session’s name"
          title="What the debug session that you begin next is called, so that people find it in the history. It may stay empty."
          maxLength={100}
          value={session.name.value}
          onInput={(event) => (session.name.value = event.currentTarget.value)}
        />
      )}
      {stopped ? (
        <button
          class="go"
          disabled={!can}
          onClick={() => void session.resume()}
          title={`Continue (F5, F8 or Ctrl+\\)${denied}`}
          aria-label="Continue"
        >
          <Icon path="M4 3l9 5l-9 5z" filled /> <span>Continue</span> <kbd>F5</kbd>
        </button>
      ) : (
        <button
          disabled={!can || awaited === 'pause'}
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
          disabled={!can || !stopped}
          onClick={() => void session.step(kind)}
          title={`${label} (${key} or ${other})${denied}`}
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
