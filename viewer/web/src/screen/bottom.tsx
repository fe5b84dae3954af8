import { useSignal, useSignalEffect } from '@preact/signals';
import type { Session } from '../session';
import type { Presence } from '../wire';
import { Console } from './console';
import { useScreen } from './context';
import { Probes } from './probes';
import { Stacks } from './stacks';
import { Tabs } from './tabs';
import { Timeline } from './timeline';

const TABS = ['Console', 'Events', 'Stacks', 'Probes'] as const;

export function Bottom({ presence, session }: { presence: Presence; session: Session }) {
  const chosen = useSignal<(typeof TABS)[number]>('Console');
  useProbesTab(() => (chosen.value = 'Probes'));
  return (
    <section class={`bottom ${chosen.value === 'Probes' ? 'tall' : ''}`}>
      <Tabs id="tab" label="Console, events, stacks and probes" tabs={TABS} chosen={chosen}>
        {chosen.value === 'Console' && <Console presence={presence} session={session} />}
        {chosen.value === 'Events' && <Timeline process={presence.process} />}
        {chosen.value === 'Stacks' && <Stacks presence={presence} />}
        {chosen.value === 'Probes' && <Probes process={presence.process} />}
      </Tabs>
    </section>
  );
}

const OVERVIEW_TABS = ['Events', 'Probes'] as const;

/** What there is of all processes. */
export function Overview() {
  const chosen = useSignal<(typeof OVERVIEW_TABS)[number]>('Events');
  useProbesTab(() => (chosen.value = 'Probes'));
  return (
    <section class="panel grow">
      <Tabs id="all" label="Events and probes" tabs={OVERVIEW_TABS} chosen={chosen}>
        {chosen.value === 'Events' ? <Timeline process={null} /> : <Probes process={null} />}
      </Tabs>
    </section>
  );
}

/** Whoever chooses a probe or a snapshot, here or by a link, is to see it. */
function useProbesTab(show: () => void): void {
  const { page } = useScreen();
  useSignalEffect(() => {
    const { probe, snapshot } = page.places;
    if (probe.value !== null || snapshot.value !== null) show();
  });
}
