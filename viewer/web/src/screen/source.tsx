import { computed, effect, untracked, useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Editor } from '../editor/editor';
import { inFile as breakpointsIn } from '../breakpoints';
import { othersIn } from '../company';
import { fresh } from '../draft';
import { inFile, onLines } from '../probes';
import type { Session } from '../session';
import type { Source, Presence } from '../wire';
import { useScreen } from './context';
import { FilePicker } from './files';

interface Props {
  presence: Presence;
  session: Session;
}

/** The source of one file, as the process has it. Without a choice it is the main script. */
export function SourcePane({ presence, session }: Props) {
  const { page } = useScreen();
  const path = page.places.now.value.file ?? presence.main;
  const may = page.may('inspect');
  return (
    <section class="source" aria-label="Source">
      <div class="files">
        <FilePicker presence={presence} path={path} disabled={!may} />
      </div>
      {!may && page.store.me.value !== null && (
        <p class="empty">Your token lacks the scope inspect, which reading source needs.</p>
      )}
      {may && path === null && <p class="empty">Choose a file to see its source.</p>}
      {may && path !== null && (
        <FileText key={`${presence.boot} ${path}`} presence={presence} session={session} path={path} />
      )}
    </section>
  );
}

function FileText({ presence, session, path }: Props & { path: string }) {
  const { page } = useScreen();
  const live = page.store.live.value;
  const attempt = useSignal(0);
  const load = useMemo(
    () => (live || attempt.value > 0 ? page.sources.text(presence.process, presence.boot, path) : null),
    [page, presence.process, presence.boot, path, live, attempt.value],
  );
  const shown = useRef<Source | null>(null);
  const now = load?.value;
  if (now?.state === 'ready') shown.current = now.value;
  if (shown.current !== null) return <Code source={shown.current} presence={presence} session={session} />;
  if (now?.state === 'failed') {
    return (
      <div class="empty">
        <p class="error">{now.message}</p>
        <button onClick={() => (attempt.value += 1)}>Try again</button>
      </div>
    );
  }
  return <p class="empty dim">Reading {path}…</p>;
}

function Code({ source, presence, session }: Props & { source: Source }) {
  const { page } = useScreen();
  const host = useRef<HTMLDivElement>(null);
  const { path, text } = source;
  const values = useLocals(session);
  const subject = useRef(presence); // its labels stay; the rest must not make the editor anew
  useEffect(() => {
    if (host.current === null) return;
    const toggle = (line: number) => {
      if (page.may('control')) void session.toggleBreakpoint(path, line);
      else session.why.value = 'Your token lacks the scope control, which breakpoints need.';
    };
    const { probing } = page;
    const probe = (line: number) => (probing.draft.value = fresh(`${path}:${line}`, session.process));
    const editor = new Editor(host.current, text, path, { toggle, probe });
    const { company } = session.driving;
    const whose = computed(() => [company.value.breakpoints, company.value.names] as const); // not its countdown
    const stops = [
      effect(() => {
        void whose.value;
        editor.showOthers(othersIn(company.peek(), path));
      }),
      effect(() => editor.showBreakpoints(breakpointsIn(session.shown.value, path))),
      effect(() => {
        const { known, moved } = probing;
        editor.showProbes(onLines(known.value.values(), subject.current, path, moved.value));
        const ids = inFile(known.value.values(), subject.current, path).map(([{ id }]) => id);
        if (page.store.live.value) untracked(() => probing.locate(ids));
      }),
      effect(() => {
        const frame = session.looking.frame.value;
        const here = frame !== null && frame.source?.path === path;
        const kind = frame?.id === session.looking.frames.value[0]?.id ? 'here' : 'caller';
        const taken = probing.spot.value;
        if (here) editor.showSpot({ line: frame.line, kind, values: values.value });
        else if (taken?.path !== path || taken.process !== session.process) editor.showSpot(null);
        else editor.showSpot({ line: taken.line, kind: 'taken', values: taken.values });
      }),
      effect(() => {
        const { file, line } = page.places.now.value;
        if (line !== null && file === path) editor.goTo(line);
      }),
    ];
    return () => {
      for (const stop of stops) stop();
      editor.destroy();
    };
  }, [page, session, path, text, values]);
  return <div ref={host} class="code" />;
}

/** The local variables of the selected frame by name, once they are known. */
function useLocals(session: Session): ReadonlySignal<ReadonlyMap<string, string>> {
  const values = useSignal<ReadonlyMap<string, string>>(new Map());
  useEffect(
    () =>
      effect(() => {
        const { scopes, turn } = session.looking.scopes.value;
        const locals = scopes.find((scope) => scope.name === 'Locals');
        if (locals === undefined) {
          values.value = new Map();
          return;
        }
        session.looking.children(locals.variablesReference).then(
          (variables) => {
            if (session.looking.scopes.peek().turn === turn) {
              values.value = new Map(variables.map(({ name, value }) => [name, value]));
            }
          },
          () => (values.value = new Map()), // the tree of variables tells why
        );
      }),
    [session, values],
  );
  return values;
}
