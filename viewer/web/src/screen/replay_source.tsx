import { effect, useComputed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Editor } from '../editor/editor';
import { fresh, type Breakpoint } from '../breakpoints';
import { ownerOf } from '../recorded';
import type { Recording } from '../remembering';
import { linesOf, spotOf, type State } from '../replay';
import type { Replaying } from '../replaying';
import { levels } from '../roster';
import type { Presence, SessionRecord, Source } from '../wire';
import { useScreen } from './context';

interface Props {
  recording: Recording;
  replaying: Replaying;
}

/** The source where it stood, as a process that is there now has it. */
export function ReplaySource({ recording, replaying }: Props) {
  const { page } = useScreen();
  const { session } = recording.detail;
  const file = useComputed(() => replaying.state.value.file ?? firstFile(recording)).value;
  const spot = useComputed(() => spotOf(replaying.state.value)).value;
  const owner = useComputed(() => reader(page.store.processes.value, session)).value;
  const at = spot === null ? file : `${spot.path}:${spot.line}`;
  return (
    <section class="source" aria-label="Source">
      <div class="files bar">
        <span class="path" role="status" aria-label="Where">
          {at ?? 'no file yet'}
        </span>
        {file !== null && owner !== null && <Whose owner={owner} session={session} />}
      </div>
      {file === null && <p class="empty">No file was spoken of yet: breakpoints and stops name one.</p>}
      {file !== null && !page.may('inspect') && (
        <p class="empty">Your token lacks the scope inspect, which reading source needs.</p>
      )}
      {file !== null && page.may('inspect') && owner === null && (
        <p class="empty">The process is gone, and no other of its service is online, so there is no source to show.</p>
      )}
      {file !== null && page.may('inspect') && owner !== null && (
        <FileText key={`${owner.boot} ${file}`} owner={owner} path={file} replaying={replaying} session={session} />
      )}
    </section>
  );
}

const firstFile = ({ detail }: Recording): string | null =>
  detail.breakpoints.find(({ path }) => path !== null)?.path ?? null;

/** Whose source it can be: the process itself, or another of its service. */
function reader(processes: ReadonlyMap<string, Presence>, { process }: SessionRecord): Presence | null {
  const own = processes.get(process);
  if (own?.state === 'online') return own;
  const { namespace, service } = levels(process);
  const others = [...processes.values()].filter(({ process, state }) => {
    const other = levels(process);
    return state === 'online' && other.namespace === namespace && other.service === service;
  });
  return others[0] ?? null;
}

/** A process that began later may run another text. */
function Whose({ owner, session }: { owner: Presence; session: SessionRecord }) {
  if (owner.boot === session.boot) return null;
  const whose = owner.process === session.process ? 'as this process has it now' : `as ${owner.process} has it`;
  return <span class="dim">{whose}: it may be another version</span>;
}

interface TextProps {
  owner: Presence;
  path: string;
  replaying: Replaying;
  session: SessionRecord;
}

function FileText({ owner, path, replaying, session }: TextProps) {
  const { page } = useScreen();
  const load = useMemo(() => page.sources.text(owner.process, owner.boot, path), [page, owner.process, owner.boot, path]);
  const now = load.value;
  if (now.state === 'ready') return <Code source={now.value} replaying={replaying} session={session} />;
  return <p class={`empty ${now.state === 'failed' ? 'error' : 'dim'}`}>{now.state === 'failed' ? now.message : `Reading ${path}…`}</p>;
}

function Code({ source, replaying, session }: { source: Source; replaying: Replaying; session: SessionRecord }) {
  const host = useRef<HTMLDivElement>(null);
  const { path, text } = source;
  useEffect(() => {
    if (host.current === null) return;
    const editor = new Editor(host.current, text, path, null);
    const stop = effect(() => {
      const state = replaying.state.value;
      const { own, others } = marks(state, path, session.session);
      editor.showBreakpoints(own);
      editor.showOthers(others);
      const spot = spotOf(state);
      const here = spot?.path === path;
      editor.showSpot(here ? { line: spot.line, kind: 'here', values: NO_VALUES } : null);
      const line = here ? spot.line : own[0]?.actual;
      if (line !== undefined) editor.goTo(line);
    });
    return () => {
      stop();
      editor.destroy();
    };
  }, [replaying, session, path, text]);
  return <div ref={host} class="code" />;
}

const NO_VALUES: ReadonlyMap<string, string> = new Map();

/** The breakpoints of a file at a step: the session's own, and whose the others were. */
function marks(state: State, path: string, session: string) {
  const own: Breakpoint[] = [];
  const others = new Map<number, string>();
  for (const set of state.breakpoints) {
    if (set.path !== path) continue;
    for (const { line, verified, message } of linesOf(set.breakpoints)) {
      if (line === null) continue;
      if (set.owner !== session) others.set(line, ownerOf(set.owner, state.names));
      else own.push({ ...fresh(path, line), state: verified ? 'set' : 'unset', message: message ?? '' });
    }
  }
  return { own, others };
}
