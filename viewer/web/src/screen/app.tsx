import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { actionOf, isTyping, type Action } from '../keys';
import type { Page } from '../page';
import type { Theme } from '../theme';
import { Banners } from './banners';
import { Bottom, Overview } from './bottom';
import { Charts } from './charts';
import { Screen } from './context';
import { Help } from './help';
import { History } from './history';
import { NoProcess, NoSuchProcess } from './empty';
import { Operations } from './operations';
import { ProbeForm } from './probe_form';
import { Processes } from './processes';
import { Side } from './side';
import { SourcePane } from './source';
import { Subject } from './subject';
import { TopBar } from './top_bar';

export function App({ page, theme }: { page: Page; theme: Theme }) {
  const screen = useMemo(() => ({ page, theme }), [page, theme]);
  const help = useSignal(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || help.value || page.probing.draft.value !== null) return;
      const session = page.session.value;
      const busy = session !== null && (session.stopped.value || session.awaited.value !== null);
      const action = actionOf(event, busy, isTyping(event));
      if (action === null || (page.places.now.value.past && !IN_THE_PAST.has(action))) return;
      event.preventDefault();
      if (action === 'help') help.value = true;
      else perform(page, action);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [page, help]);
  return (
    <Screen.Provider value={screen}>
      <TopBar onHelp={() => (help.value = true)} />
      <Banners />
      <div class="body">
        <Processes />
        <Chosen page={page} />
      </div>
      <Help open={help} />
      <ProbeForm />
    </Screen.Provider>
  );
}

/** What is not seen is not driven. */
const IN_THE_PAST: ReadonlySet<Action> = new Set(['help', 'filter', 'leave']);

function Chosen({ page }: { page: Page }) {
  const process = page.process.value;
  const presence = page.presence.value;
  if (page.places.now.value.past) return <History />;
  if (process === null) {
    return (
      <main class="main overview">
        <NoProcess />
        <Overview />
      </main>
    );
  }
  if (presence === undefined) {
    return (
      <main class="main">
        <NoSuchProcess process={process} />
      </main>
    );
  }
  const session = page.sessionOf(process);
  return (
    <>
      <main class="main" key={process}>
        <Subject presence={presence} session={session} />
        <Charts process={process} />
        <Operations process={process} />
        <SourcePane presence={presence} session={session} />
        <Bottom presence={presence} session={session} />
      </main>
      <Side presence={presence} session={session} key={`side ${process}`} />
    </>
  );
}

function perform(page: Page, action: Exclude<Action, 'help'>): void {
  const session = page.session.value;
  switch (action) {
    case 'filter':
      document.getElementById('filter')?.focus();
      return;
    case 'console':
      document.getElementById('evaluate')?.focus();
      return;
    case 'leave':
      page.places.leave();
      return;
    case 'continue':
      void session?.resume();
      return;
    case 'pause':
      if (page.may('control') && page.presence.value?.state === 'online') void session?.pause();
      return;
    default:
      void session?.step(action);
  }
}
