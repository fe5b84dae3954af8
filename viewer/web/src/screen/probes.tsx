import { fresh } from '../draft';
import { means, placeText, spread, stateOf, subject } from '../probes';
import type { ProbeInfo } from '../wire_probes';
import { useScreen } from './context';
import { Followed } from './probe';
import { Left, StateWord, titleOf } from './probe_words';
import { SnapshotPane } from './snapshot';

/** The probes that mean a process, or all of them; and the one that is followed. */
export function Probes({ process }: { process: string | null }) {
  const { page } = useScreen();
  const probe = page.places.probe.value;
  const snapshot = page.places.snapshot.value;
  const info = probe === null ? undefined : page.probing.known.value.get(probe);
  return (
    <div class="probes">
      <ProbeList process={process} />
      <div class="pane">
        {snapshot !== null && <SnapshotPane key={snapshot} />}
        {snapshot === null && info !== undefined && <Followed info={info} process={process} />}
        {snapshot === null && info === undefined && <p class="empty">{unseen(probe !== null)}</p>}
      </div>
    </div>
  );
}

const unseen = (chosen: boolean) =>
  chosen
    ? 'This probe is not known: it ended a while ago, or your token does not show it to you.'
    : 'Choose a probe to see what it brings. Right-click beside a line, or Ctrl+Shift+F9 in it, to add one there.';

const MOST = 200;

function ProbeList({ process }: { process: string | null }) {
  const { page } = useScreen();
  const may = page.may('inspect') && page.store.live.value;
  const labels = page.presence.value?.labels ?? {};
  const all = [...page.probing.known.value.values()]
    .filter(({ probe }) => process === null || means(probe, process, labels))
    .sort((a, b) => Number(b.state === 'live') - Number(a.state === 'live') || b.probe.created - a.probe.created);
  const { trouble } = page.probing;
  const add = () => {
    const { file, line } = page.places.now.value;
    const path = file ?? page.presence.value?.main ?? null;
    const where = process === null || path === null ? '' : `${path}:${line ?? ''}`;
    page.probing.draft.value = fresh(where, process ?? '*/*/*');
  };
  return (
    <div class="probelist">
      <div class="bar">
        <button
          disabled={!may}
          title={page.may('inspect') ? undefined : 'Your token lacks the scope inspect, which probes need.'}
          onClick={add}
        >
          Add probe…
        </button>
        <span class="dim">Probes look without stopping.</span>
      </div>
      {trouble.value !== '' && (
        <p class="error" role="alert">
          {trouble.value}{' '}
          <button class="plain" aria-label="Dismiss" onClick={() => (trouble.value = '')}>
            ✕
          </button>
        </p>
      )}
      {all.length === 0 && <p class="empty">No probe is set {process === null ? '' : 'on this process'} yet.</p>}
      <ul class="scroll" aria-label="Probes">
        {all.slice(0, MOST).map((info) => (
          <Row key={info.probe.id} info={info} may={may} />
        ))}
      </ul>
      {all.length > MOST && <p class="dim">{all.length - MOST} more are not shown.</p>}
    </div>
  );
}

function Row({ info, may }: { info: ProbeInfo; may: boolean }) {
  const { page } = useScreen();
  const { probe, totals, state } = info;
  const chosen = page.places.probe.value === probe.id;
  return (
    <li class={state === 'live' ? '' : 'over'} aria-current={chosen}>
      <button class="plain" aria-pressed={chosen} onClick={() => page.places.follow(probe.id)}>
        <span class="head" title={`${placeText(probe.spec.place)}\n${subject(probe.spec)}`}>
          <span class="name">{titleOf(probe.spec)}</span> <StateWord state={stateOf(info)} />
        </span>
        <span class="facts dim">
          <span>{spread(totals)}</span>
          <span>
            {totals.hits} {totals.hits === 1 ? 'hit' : 'hits'}
          </span>
          <span>{probe.creator}</span>
          {state === 'live' && <Left expires={probe.expires} />}
        </span>
      </button>
      {state === 'live' && (
        <button
          class="plain"
          disabled={!may}
          aria-label={`Remove ${titleOf(probe.spec)}`}
          title="Remove it everywhere"
          onClick={() => void page.probing.remove(probe.id)}
        >
          ✕
        </button>
      )}
    </li>
  );
}
