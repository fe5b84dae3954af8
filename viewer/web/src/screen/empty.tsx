import { useScreen } from './context';
import { levels } from '../roster';

export function NothingRuns() {
  return (
    <div class="empty">
      <p>No process is here yet.</p>
      <p>Start one with the agent beside it:</p>
      <pre>sonde run app.py</pre>
    </div>
  );
}

export function NoMatch() {
  const { page } = useScreen();
  return (
    <div class="empty">
      <p>No process matches “{page.places.now.value.filter}”.</p>
      <button onClick={() => page.places.filter('')}>Clear the filter</button>
    </div>
  );
}

export function NoProcess() {
  const { page } = useScreen();
  if (!page.store.live.value) return null;
  const some = page.store.processes.value.size > 0;
  return (
    <section class="empty hero">
      <h2>{some ? 'Choose a process' : 'Nothing runs here yet'}</h2>
      {some ? (
        <p>Its metrics, source and threads appear here. Looking changes nothing in it.</p>
      ) : (
        <>
          <p>Run a program with the agent beside it, and it appears on the left:</p>
          <pre>sonde run app.py</pre>
        </>
      )}
    </section>
  );
}

export function NoSuchProcess({ process }: { process: string }) {
  const { page } = useScreen();
  if (!page.store.live.value) return null;
  const { service } = levels(process);
  return (
    <section class="empty hero">
      <h2>This process is not here</h2>
      <p>
        Nothing is known of <code>{process}</code>: it may have ended long ago, or your token does not show it to you.
      </p>
      <button
        onClick={() => {
          page.places.leave();
          page.places.filter(`service:${service}`);
        }}
      >
        Show others of {service}
      </button>
    </section>
  );
}
