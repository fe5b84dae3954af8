import { useSignal } from '@preact/signals';
import type { Frame } from '../dap';
import { baseName, isLibrary } from '../format';
import type { Breakpoint } from '../breakpoints';
import type { Session } from '../session';
import type { Presence } from '../wire';
import { useScreen } from './context';
import { Variables } from './variables';

interface Props {
  presence: Presence;
  session: Session;
}

export function Side({ presence, session }: Props) {
  const waiting = session.awaited.value !== null && session.awaited.value !== 'pause';
  return (
    <aside class={`side ${waiting ? 'waiting' : ''}`} aria-label="Debugger">
      <StopReason session={session} />
      <section>
        <h2>Call stack</h2>
        {presence.state === 'online' && <CallStack session={session} />}
        {presence.state === 'ended' && <p class="dim">The process runs no more.</p>}
        {presence.state === 'lost' && <p class="dim">Its agent is not connected, so nothing can be asked.</p>}
      </section>
      <section class="grow">
        <h2>Variables</h2>
        <Variables session={session} />
      </section>
      <Threads session={session} />
      <BreakpointList session={session} />
    </aside>
  );
}

function StopReason({ session }: { session: Session }) {
  const thread = session.thread.value;
  const stop = thread === null ? undefined : session.stops.value.get(thread);
  if (stop?.reason !== 'exception') return null;
  return (
    <div class="notice error" role="status">
      <strong>{stop.description ?? 'Exception'}</strong>
      <span>{stop.text}</span>
    </div>
  );
}

const isFolded = (frame: Frame) => frame.presentationHint === 'subtle' || isLibrary(frame.source?.path ?? '');

type Part = { readonly frame: Frame } | { readonly folded: readonly Frame[] };

/** Runs of library frames become one entry, except the top frame: it is where the thread is. */
export function foldLibrary(frames: readonly Frame[]): Part[] {
  const parts: Part[] = [];
  for (const [index, frame] of frames.entries()) {
    const last = parts.at(-1);
    if (index === 0 || !isFolded(frame)) parts.push({ frame });
    else if (last !== undefined && 'folded' in last) parts[parts.length - 1] = { folded: [...last.folded, frame] };
    else parts.push({ folded: [frame] });
  }
  return parts;
}

function CallStack({ session }: { session: Session }) {
  const { page } = useScreen();
  const unfolded = useSignal<ReadonlySet<number>>(new Set());
  const frames = session.looking.frames.value;
  if (frames.length === 0) {
    return (
      <p class="dim">
        {!page.may('control')
          ? 'Your token lacks the scope control, which stopping needs. The Stacks tab shows where threads are.'
          : session.phase.value === 'open'
          ? 'Running. Pause it, or click beside a line to stop there.'
          : 'Not stopped. Click beside a line to stop there, or pause.'}
      </p>
    );
  }
  const shown = foldLibrary(frames).flatMap((part) =>
    'folded' in part && unfolded.value.has(part.folded[0]?.id ?? -1) ? part.folded.map((frame) => ({ frame })) : [part],
  );
  const selected = session.looking.frame.value;
  const visible = shown.flatMap((part) => ('frame' in part ? [part.frame] : []));
  const move = (by: number) => {
    const at = visible.findIndex((frame) => frame.id === selected?.id);
    const next = visible[at + by];
    if (next !== undefined) void session.selectFrame(next);
  };
  return (
    <div
      class="stack scroll"
      role="listbox"
      aria-label="Call stack"
      tabIndex={0}
      aria-activedescendant={selected === null ? undefined : `frame-${selected.id}`}
      onKeyDown={(event) => {
        const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
        if (by === 0) return;
        event.preventDefault();
        move(by);
      }}
    >
      {shown.map((part) =>
        'frame' in part ? (
          <FrameRow key={part.frame.id} frame={part.frame} session={session} />
        ) : (
          <button
            key={`folded ${part.folded[0]?.id}`}
            class="plain folded"
            onClick={() => (unfolded.value = new Set(unfolded.value).add(part.folded[0]?.id ?? -1))}
          >
            Show {part.folded.length} library frame{part.folded.length === 1 ? '' : 's'}
          </button>
        ),
      )}
    </div>
  );
}

function FrameRow({ frame, session }: { frame: Frame; session: Session }) {
  const path = frame.source?.path ?? '';
  return (
    <div
      id={`frame-${frame.id}`}
      class={`frame ${isFolded(frame) ? 'library' : ''}`}
      role="option"
      aria-selected={session.looking.frame.value?.id === frame.id}
      title={`${path}:${frame.line}`}
      onClick={() => void session.selectFrame(frame)}
    >
      <span class="name">{frame.name}</span>
      <span class="dim">
        {frame.source?.name ?? baseName(path)}:{frame.line}
      </span>
    </div>
  );
}

function Threads({ session }: { session: Session }) {
  const threads = session.threads.value;
  if (threads.length === 0) return null;
  return (
    <section>
      <h2>Threads</h2>
      <div class="threads scroll" role="listbox" aria-label="Threads">
        {threads.map((thread) => {
          const stop = session.stops.value.get(thread.id);
          return (
            <div
              key={thread.id}
              role="option"
              tabIndex={0}
              aria-selected={session.thread.value === thread.id}
              class={stop ? 'stopped' : ''}
              onClick={() => void session.selectThread(thread.id)}
              onKeyDown={(event) => {
                if (event.key === 'Enter' || event.key === ' ') void session.selectThread(thread.id);
              }}
            >
              <span class="name">{thread.name}</span>
              <span class="dim">{stop ? `stopped: ${stop.reason}` : 'running'}</span>
            </div>
          );
        })}
      </div>
    </section>
  );
}

const moved = (b: Breakpoint) => (b.line === b.actual ? '' : `, asked for line ${b.line}`);

const STATES = { pending: 'not in force', set: 'in force', unset: 'will not stop' } as const;

function BreakpointList({ session }: { session: Session }) {
  const { page } = useScreen();
  const all = session.shown.value;
  if (all.length === 0) return null;
  return (
    <section>
      <h2>Breakpoints</h2>
      <ul class="breakpoints scroll" aria-label="Breakpoints">
        {all.map((b) => (
          <li key={`${b.path}:${b.line}`}>
            <span class={`dot ${b.state}`} aria-hidden="true" />
            <button class="plain link" title={b.path} onClick={() => page.places.show(b.path, b.actual)}>
              {baseName(b.path)}:{b.actual}
            </button>
            <span class="dim" title={b.message}>
              {b.message || STATES[b.state] + moved(b)}
            </span>
            <button
              class="plain"
              aria-label={`Remove breakpoint ${baseName(b.path)}:${b.actual}`}
              onClick={() => void session.toggleBreakpoint(b.path, b.actual)}
            >
              ✕
            </button>
            {page.may('execute') && <Condition breakpoint={b} session={session} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Condition({ breakpoint, session }: { breakpoint: Breakpoint; session: Session }) {
  return (
    <input
      class="condition"
      aria-label={`Condition of breakpoint line ${breakpoint.actual}`}
      placeholder="only if, such as total > 100"
      spellcheck={false}
      value={breakpoint.condition}
      onChange={(event) => void session.setCondition(breakpoint, event.currentTarget.value.trim())}
    />
  );
}
