import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

interface Props<T extends string> {
  /** Begins the ids of this set of tabs. */
  id: string;
  label: string;
  tabs: readonly T[];
  chosen: Signal<T>;
  children: ComponentChildren;
}

/** A row of tabs, and the panel of the chosen one. Left and Right go through them. */
export function Tabs<T extends string>({ id, label, tabs, chosen, children }: Props<T>) {
  const idOf = (tab: T) => `${id}-${tab}`;
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label}>
        {tabs.map((tab) => (
          <button
            key={tab}
            id={idOf(tab)}
            role="tab"
            aria-selected={chosen.value === tab}
            aria-controls={`${id}-panel`}
            tabIndex={chosen.value === tab ? 0 : -1}
            onClick={() => (chosen.value = tab)}
            onKeyDown={(event) => {
              const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
              const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
              if (by === 0 || next === undefined) return;
              chosen.value = next;
              document.getElementById(idOf(next))?.focus();
            }}
          >
            {tab}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} class="panel grow" role="tabpanel" aria-labelledby={idOf(chosen.value)}>
        {children}
      </div>
    </>
  );
}
