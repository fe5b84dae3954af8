import { clock, span } from '../format';
import { SPEEDS, type Replaying } from '../replaying';

/** Goes through the steps: one by one, from stop to stop, by the slider, or by itself. */
export function ReplayControls({ replaying }: { replaying: Replaying }) {
  const { replay, playing } = replaying;
  const state = replaying.state.value;
  const { step } = state;
  const { last, whose } = replay;
  const speed = playing.value;
  const stopAhead = replay.stop(step, 1) !== null;
  return (
    <div class="bar controls" role="group" aria-label="Replay">
      <Go label="First step" path="M12 3L6 8l6 5zM4 3v10" disabled={step === 0} onGo={() => replaying.goTo(0)} />
      <Go label="Previous step" path="M11 3L5 8l6 5z" disabled={step === 0} onGo={() => replaying.by(-1)} />
      <Go label="Next step" path="M5 3l6 5l-6 5z" disabled={step === last} onGo={() => replaying.by(1)} />
      <button disabled={!stopAhead} onClick={() => replaying.toStop(1)} title="The next time that a thread stops">
        Next stop
      </button>
      <Go label="Last step" path="M4 3l6 5l-6 5zM12 3v10" disabled={step === last} onGo={() => replaying.goTo(last)} />
      {SPEEDS.map((each) => (
        <button
          key={each}
          aria-pressed={speed === each}
          disabled={last === 0}
          title={speed === each ? 'Stand still' : 'Go on by itself; nobody waits for long pauses'}
          aria-label={speed === each ? 'Stand still' : `Play ${each} times as fast`}
          onClick={() => (speed === each ? replaying.pause() : replaying.play(each))}
        >
          {speed === each ? `❚❚ ${each}×` : `▶ ${each}×`}
        </button>
      ))}
      <input
        type="range"
        min={0}
        max={last}
        value={step}
        aria-label="Step"
        aria-valuetext={`step ${step} of ${last}`}
        onInput={(event) => replaying.goTo(Number(event.currentTarget.value))}
      />
      <span class="at" role="timer" aria-live="off">
        {step}/{last} · {clock(state.time)} · +{span(state.time - whose.opened)}
      </span>
    </div>
  );
}

interface GoProps {
  label: string;
  path: string;
  disabled: boolean;
  onGo: () => void;
}

function Go({ label, path, disabled, onGo }: GoProps) {
  return (
    <button aria-label={label} title={label} disabled={disabled} onClick={onGo}>
      <svg class="icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={path} />
      </svg>
    </button>
  );
}
