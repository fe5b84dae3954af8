import type { Condition } from '../roster';

/** A process's state by shape as well as colour: who cannot tell colours apart can still tell the states. */
const SHAPES: Record<Condition, string> = {
  running: 'M8 3a5 5 0 1 1 0 10a5 5 0 1 1 0-10z',
  paused: 'M4 3h3v10H4zM9 3h3v10H9z',
  debugged: 'M8 2l6 6l-6 6l-6-6z',
  lost: 'M8 2.5l6 11H2z',
  ended: 'M4 7h8v2H4z',
};

export function ConditionMark({ condition }: { condition: Condition }) {
  return (
    <svg class={`mark ${condition}`} viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
      <path d={SHAPES[condition]} />
    </svg>
  );
}
