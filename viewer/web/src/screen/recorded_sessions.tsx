import { day, span } from '../format';
import type { SessionRecord } from '../wire';
import { CLOSED } from '../timeline';
import { useScreen } from './context';
import { Rest } from './rest';

/** The debug sessions that are remembered, the newest first. */
export function RecordedSessions({ selector }: { selector: string }) {
  const { page } = useScreen();
  const { sessions } = page.remembering;
  const { items, state } = sessions.listed.value;
  const one = !selector.includes('*');
  return (
    <div class="scroll past" tabIndex={0} aria-busy={state === 'loading'}>
      {items.length > 0 && (
        <table class="records" aria-label="Recorded sessions">
          <thead>
            <tr>
              <th scope="col">Session</th>
              <th scope="col">Who</th>
              {!one && <th scope="col">Process</th>}
              <th scope="col">When</th>
              <th scope="col">How long</th>
              <th scope="col">How it ended</th>
            </tr>
          </thead>
          <tbody>
            {items.map((record) => (
              <Row key={`${record.process} ${record.session}`} record={record} one={one} />
            ))}
          </tbody>
        </table>
      )}
      <Rest
        paged={sessions}
        empty={
          one
            ? 'No session of this process is remembered. A breakpoint, Pause or the console begin one.'
            : 'No session is remembered yet. A breakpoint, Pause or the console begin one.'
        }
      />
    </div>
  );
}

function Row({ record, one }: { record: SessionRecord; one: boolean }) {
  const { page } = useScreen();
  const { session, process, viewer, name, opened, closed, metadata } = record;
  const labels = Object.entries(metadata).map(([key, value]) => `${key}=${value}`);
  return (
    <tr>
      <td title={session}>
        <button class="plain link" onClick={() => page.places.openRecorded(session)}>
          {name || `session ${session.slice(0, 8)}`}
        </button>{' '}
        <span class="dim">{labels.join(' ')}</span>
      </td>
      <td>{viewer}</td>
      {!one && <td>{process}</td>}
      <td>{day(opened)}</td>
      <td>{closed === null ? '' : span(closed - opened)}</td>
      <td class="dim">{ended(record, page.store.processes.value.get(process)?.sessions)}</td>
    </tr>
  );
}

/** How a session ended, in words. */
export function ended(record: SessionRecord, open: readonly { readonly session: string }[] = []): string {
  if (record.closed === null) {
    return open.some((each) => each.session === record.session) ? 'is open' : 'nobody saw its end';
  }
  const why = CLOSED[record.reason as keyof typeof CLOSED] as string | undefined;
  return why === undefined || why === '' ? 'the viewer left' : why.replace(/^: /, '');
}
