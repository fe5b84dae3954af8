import { counts, CONDITIONS, type Condition } from '../roster';
import { useScreen } from './context';
import { ConditionMark } from './mark';

const LINE = {
  idle: 'connecting',
  connecting: 'connecting',
  online: 'live',
  waiting: 'not connected',
  refused: 'not connected',
} as const;

export function TopBar({ onHelp }: { onHelp: () => void }) {
  const { page, theme } = useScreen();
  const phase = page.socket.line.value.phase;
  const live = page.store.live.value && page.store.bus.value === 'up';
  return (
    <header class="top">
      <h1>
        <button class="plain product" onClick={() => page.places.home()} title="All processes">
          <svg viewBox="0 0 32 32" width="18" height="18" aria-hidden="true">
            <path d="M16 2v12" stroke="currentColor" stroke-width="3" stroke-linecap="round" />
            <circle cx="16" cy="20" r="7" fill="currentColor" />
            <path d="M5 20a11 11 0 0 0 22 0" fill="none" stroke="currentColor" stroke-width="2.5" opacity="0.5" />
          </svg>
          Sonde
        </button>
      </h1>
      <span class={`line ${live ? 'live' : 'stale'}`} role="status" aria-label="Connection">
        {live ? 'live' : phase === 'online' ? (page.store.bus.value === 'down' ? 'bus lost' : 'loading') : LINE[phase]}
      </span>
      <input
        id="filter"
        type="search"
        aria-label="Filter processes"
        placeholder="Filter: shop, state:paused, host:web-1   ( / )"
        value={page.places.now.value.filter}
        onInput={(event) => page.places.filter(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') event.currentTarget.blur();
        }}
      />
      <Counts />
      <span class="space" />
      <button
        class="chip"
        aria-pressed={page.places.now.value.past}
        title="Debug sessions and events of the past"
        onClick={() => page.places.showPast(!page.places.now.value.past)}
      >
        History
      </button>
      <button class="plain icon" onClick={() => theme.toggle()} aria-label="Dark or light" title="Dark or light">
        ◐
      </button>
      <button class="plain icon" onClick={onHelp} aria-label="Keys and help" title="Keys and help ( ? )">
        ?
      </button>
      <Me />
    </header>
  );
}

function Counts() {
  const { page } = useScreen();
  const number = counts(page.store.processes.value.values());
  const toggle = (condition: Condition) => {
    const word = `state:${condition}`;
    page.places.filter(page.places.now.value.filter === word ? '' : word);
  };
  return (
    <div class="counts" role="group" aria-label="Processes by state">
      {CONDITIONS.filter((condition) => number[condition] > 0).map((condition) => (
        <button
          key={condition}
          class="chip"
          aria-pressed={page.places.now.value.filter === `state:${condition}`}
          onClick={() => toggle(condition)}
        >
          <ConditionMark condition={condition} />
          {number[condition]} {condition}
        </button>
      ))}
    </div>
  );
}

function Me() {
  const me = useScreen().page.store.me.value;
  if (me === null) return null;
  return (
    <span class="me" title={`Scopes: ${me.scopes.join(', ')}\nProcesses: ${me.selectors.join(', ')}\nBroker: ${me.broker}`}>
      <b>{me.subject}</b>
      <span class="scopes">{me.scopes.join(' ')}</span>
    </span>
  );
}
