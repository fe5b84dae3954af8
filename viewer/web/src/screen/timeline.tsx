import { useComputed } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { clock } from '../format';
import { useScreen } from './context';

/** What happened: of one process, or of all that the filter does not hide. Newest last, kept in view. */
export function Timeline({ process }: { process: string | null }) {
  const { page } = useScreen();
  const entries = useComputed(() =>
    page.store.timeline.value.filter((entry) => process === null || entry.process === process),
  );
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (distance < 80) element.scrollTop = element.scrollHeight;
  }, [entries.value]);
  return (
    <div ref={box} class="timeline scroll" role="log" aria-label="Timeline" tabIndex={0}>
      {entries.value.length === 0 && <p class="dim">Nothing has happened since this page was opened.</p>}
      {entries.value.map((entry) => (
        <div key={entry.key} class={`entry ${entry.kind}`}>
          <time>{clock(entry.time)}</time>
          <span class="kind">{entry.kind}</span>
          {process === null && (
            <button class="plain link" onClick={() => page.places.select(entry.process)}>
              {entry.process}
            </button>
          )}
          <span>{entry.text}</span>
        </div>
      ))}
    </div>
  );
}
