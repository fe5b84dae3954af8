import type { Paged } from '../paged';

/** What stands below the items of a list: that there are none, that there are more, why it could not be read. */
export function Rest<Q, T>({ paged, empty }: { paged: Paged<Q, T>; empty: string }) {
  const { state, items, more, withheld, message } = paged.listed.value;
  return (
    <div class="rest" role="status">
      {state === 'loading' && <p class="dim">Reading…</p>}
      {state === 'failed' && <p class="error">{message}</p>}
      {state === 'ready' && items.length === 0 && <p class="dim">{empty}</p>}
      {withheld && (
        <p class="dim">Output and what probes saw are left out: your token lacks the scope inspect, which they need.</p>
      )}
      {more && state !== 'loading' && <button onClick={() => void paged.more()}>More</button>}
    </div>
  );
}
