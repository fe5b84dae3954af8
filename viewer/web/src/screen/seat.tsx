import { LAST_SECONDS, type Driving } from '../driving';
import type { Session } from '../session';

/** Who drives, and what one can do about it. */
export function Seat({ driving }: { driving: Driving }) {
  const other = driving.other.value;
  if (driving.drives.value) {
    return (
      <span class="seat mine">
        You drive <button onClick={() => void driving.seat('release')}>Release</button>
      </span>
    );
  }
  if (other === '') {
    return (
      <span class="seat" title="Whoever steps, continues or pauses first takes it.">
        Seat is free <button onClick={() => void driving.seat('take')}>Take</button>
      </span>
    );
  }
  return (
    <span class="seat others">
      {other} drives{' '}
      {driving.asked.value ? (
        <span class="dim">You asked; it is yours at the latest when they do nothing for 30 s.</span>
      ) : (
        <button onClick={() => void driving.seat('ask')}>Ask for the seat</button>
      )}
    </span>
  );
}

/** Until what stands runs on by itself. It is read out when somebody goes there, not each second. */
export function Countdown({ session }: { session: Session }) {
  const { driving } = session;
  const left = driving.left.value;
  if (left === null) return null;
  const late = left < LAST_SECONDS;
  const other = driving.other.value;
  return (
    <span class={`countdown ${late ? 'late' : ''}`}>
      <span
        role="timer"
        aria-live="off"
        title={other === '' ? 'Kept while this page is open and somebody uses it.' : `${other} keeps it standing.`}
      >
        Runs on in {left} s
      </span>
      {late && other === '' && <button onClick={() => void session.stay()}>Stay</button>}
    </span>
  );
}

/** Those who wait for the seat, while it is ours to give. */
export function Askers({ driving }: { driving: Driving }) {
  const asking = driving.asking.value;
  if (asking.length === 0 || !driving.drives.value) return null;
  return (
    <div class="notice asking" role="alert">
      {asking.map(({ session, name }) => (
        <span key={session}>
          {name} asks for the seat <button onClick={() => void driving.seat('grant', session)}>Grant</button>
        </span>
      ))}
    </div>
  );
}

export function Asleep({ session }: { session: Session }) {
  if (!session.driving.company.value.asleep) return null;
  return (
    <div class="notice asleep" role="alert">
      <span>Nobody stayed, so the process runs on; your breakpoints sleep.</span>
      <button onClick={() => void session.stay()}>Arm again</button>
    </div>
  );
}
