import { useSignal } from '@preact/signals';
import type { Session } from '../session';
import type { Presence } from '../wire';
import { Console } from './console';
import { Stacks } from './stacks';
import { Timeline } from './timeline';

const TABS = ['Console', 'Events', 'Stacks'] as const;

export function Bottom({ presence, session }: { presence: Presence; session: Session }) {
  const chosen = useSignal<(typeof TABS)[number]>('Console');
  return (
    <section class="bottom">
      <div class="tabs" role="tablist" aria-label="Console, events and stacks">
        {TABS.map((tab) => (
          <button
            key={tab}
            id={`tab-${tab}`}
            role="tab"
            aria-selected={chosen.value === tab}
            aria-controls="bottom-panel"
            tabIndex={chosen.value === tab ? 0 : -1}
            onClick={() => (chosen.value = tab)}
            onKeyDown={(event) => {
              const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
              const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length];
              if (by === 0 || next === undefined) return;
              chosen.value = next;
              document.getElementById(`tab-${next}`)?.focus();
            }}
          >
            {tab}
          </button>
        ))}
      </div>
      <div id="bottom-panel" class="panel grow" role="tabpanel" aria-labelledby={`tab-${chosen.value}`}>
        {chosen.value === 'Console' && <Console presence={presence} session={session} />}
        {chosen.value === 'Events' && <Timeline process={presence.process} />}
        {chosen.value === 'Stacks' && <Stacks presence={presence} />}
      </div>
    </section>
  );
}
