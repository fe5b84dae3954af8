import { baseName } from '../format';
import { ownerOf, tell } from '../recorded';
import { linesOf, type Standing, type State } from '../replay';
import type { Replaying } from '../replaying';
import type { BreakpointSet, SessionRecord } from '../wire';

/** What there was at a step: what had just happened, what stood, who drove, whose breakpoints there were. */
export function ReplayState({ session, replaying }: { session: SessionRecord; replaying: Replaying }) {
  const state = replaying.state.value;
  return (
    <aside class="state-of" aria-label="At this step">
      <section>
        <h2>What happened</h2>
        <Happened state={state} />
      </section>
      <section>
        <h2>Stood</h2>
        {state.standing.length === 0 && <p class="dim">Nothing stood.</p>}
        <ul aria-label="What stood">
          {state.standing.map((each) => (
            <Stood key={each.thread} standing={each} />
          ))}
        </ul>
      </section>
      <section>
        <h2>Drove</h2>
        <p class={state.driver === null ? 'dim' : ''}>{driver(state, session.session)}</p>
      </section>
      <section class="grow">
        <h2>Breakpoints</h2>
        {state.breakpoints.length === 0 && <p class="dim">There were none.</p>}
        <ul class="scroll" aria-label="Breakpoints of that moment">
          {state.breakpoints.map((set) => (
            <Lines key={`${set.owner} ${set.path}`} set={set} state={state} own={session.session} />
          ))}
        </ul>
      </section>
    </aside>
  );
}

function Happened({ state }: { state: State }) {
  if (state.event === null) return <p class="dim">Nothing yet: this is before the first event.</p>;
  const { kind, text } = tell(state.event, state.names);
  return (
    <p role="status" class={`happened ${kind}`}>
      <span class="kind">{kind}</span> <span>{text}</span>
    </p>
  );
}

const driver = ({ driver, driverName, names }: State, own: string): string => {
  if (driver === null) return 'Nobody.';
  const name = driverName ?? ownerOf(driver, names);
  return driver === own ? name : `${name}, in another session`;
};

function Stood({ standing }: { standing: Standing }) {
  const { thread, stop, at } = standing;
  return (
    <li>
      <strong>
        {at === null ? 'thread' : `${baseName(at.path)}:${at.line}, thread`} {thread}
      </strong>
      <span class="dim">{[stop.reason, stop.text].filter(Boolean).join(': ')}</span>
      {at !== null && <span class="path dim">{at.path}</span>}
      {at === null && <span class="dim">Where is not recorded: only breakpoints say it.</span>}
      {stop.description !== null && <span class="error">{stop.description}</span>}
    </li>
  );
}

function Lines({ set, state, own }: { set: BreakpointSet; state: State; own: string }) {
  const { owner, path } = set;
  return (
    <>
      {linesOf(set.breakpoints).map(({ line, verified, message }, index) => (
        <li key={index} title={message ?? path ?? undefined}>
          <span>
            <span class={`dot ${verified ? '' : 'unset'}`} aria-hidden="true" />{' '}
            {path === null ? 'on a function' : `${baseName(path)}:${line ?? '?'}`}{' '}
            <span class="dim">
              {owner === own ? '' : `of ${ownerOf(owner, state.names)}`}
              {verified ? '' : ' did not stop'}
            </span>
          </span>
        </li>
      ))}
    </>
  );
}
