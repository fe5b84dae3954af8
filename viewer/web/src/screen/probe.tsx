import { useSignal } from '@preact/signals';
import { baseName, clock, seconds } from '../format';
import { isFile, placeText, spread, stateOf, subject, type Followed as Known } from '../probes';
import { levels } from '../roster';
import type { Measured, ProbeInfo, ProbeSpec, ProbeStatus } from '../wire_probes';
import { useScreen } from './context';
import { Results } from './probe_results';
import { Left, reach, StateWord, titleOf } from './probe_words';
import { Tabs } from './tabs';

const TABS = ['Results', 'Processes'] as const;
const MEASURES: readonly ProbeSpec['kind']['type'][] = ['counter', 'gauge', 'histogram', 'timer'];
/** Rows that are drawn. */
const MOST = 200;

/** One probe: what was asked for, what it brings, and its state in each process. */
export function Followed({ info, process }: { info: ProbeInfo; process: string | null }) {
  const { page } = useScreen();
  const chosen = useSignal<(typeof TABS)[number]>('Results');
  const { probe, totals } = info;
  const { spec } = probe;
  const known = page.probing.followed.value;
  const followed = known?.id === probe.id ? known : null;
  return (
    <section class="grow" aria-label="Probe">
      <header class="bar">
        <h3>{titleOf(spec)}</h3>
        <StateWord state={stateOf(info)} />
        <span class="space" />
        {process !== null && <ToSource info={info} followed={followed} process={process} />}
      </header>
      <p class="asked dim">
        <span>{spread(totals)}</span>
        {subject(spec) !== '' && <code>{subject(spec)}</code>}
        {spec.condition !== null && (
          <span>
            only if <code>{spec.condition}</code>
          </span>
        )}
        <span>
          at {placeText(spec.place)} in {reach(spec.target.selector)}
          {Object.entries(spec.target.labels).map(([key, value]) => ` with ${key}=${value}`)}
          {spec.target.canaries !== null && `, in ${spec.target.canaries} of them`}
        </span>
        {spec.max_hits !== null && <span>at most {spec.max_hits} hits a process</span>}
        {spec.rate !== null && <span>at most {spec.rate} a second</span>}
        {spec.sample < 1 && <span>{Math.round(spec.sample * 1000) / 10}% of hits</span>}
        {spec.python && <span>any Python</span>}
        {spec.calls_user_code && <span>by the program’s own __repr__</span>}
        <span>
          by {probe.creator} at {clock(probe.created)}
        </span>
        {info.state === 'live' && <Left expires={probe.expires} />}
      </p>
      <Tabs id="probe" label="Results and processes" tabs={TABS} chosen={chosen}>
        {followed === null || (followed.processes === null && followed.results.length === 0) ? (
          <p class="empty">Asking…</p>
        ) : chosen.value === 'Processes' ? (
          <Processes spec={spec} followed={followed} />
        ) : MEASURES.includes(spec.kind.type) ? (
          <Measures spec={spec} followed={followed} />
        ) : (
          <Results followed={followed} ofOne={!spec.target.selector.includes('*')} />
        )}
      </Tabs>
    </section>
  );
}

interface SourceProps {
  info: ProbeInfo;
  followed: Known | null;
  process: string;
}

/** To where it really is, when the process has told that. */
function ToSource({ info, followed, process }: SourceProps) {
  const { page } = useScreen();
  const { place } = info.probe.spec;
  const bound = followed?.processes?.get(process)?.places[0];
  const file = page.places.now.value.file ?? page.presence.value?.main ?? null;
  const isHere = place?.type === 'line' && file !== null && isFile(place.path, file);
  const to = bound ?? (isHere ? { path: file, line: place.line } : null);
  if (to === null) return null;
  return (
    <button class="plain link" title={`${to.path}:${to.line}`} onClick={() => page.places.show(to.path, to.line)}>
      {baseName(to.path)}:{to.line}
    </button>
  );
}

interface Props {
  spec: ProbeSpec;
  followed: Known;
}

function Processes({ spec, followed }: Props) {
  const all = [...(followed.processes ?? [])];
  if (all.length === 0) return <p class="empty">No process that it means is here. One that starts later gets it too.</p>;
  return (
    <div class="scroll" tabIndex={0}>
      <table class="states">
        <thead>
          <tr>
            <th scope="col">Process</th>
            <th scope="col">State</th>
            <th scope="col">Hits</th>
            <th scope="col">Where, and why</th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, MOST).map(([name, status]) => (
            <tr key={name}>
              <td>
                <Name spec={spec} process={name} />
              </td>
              <td>
                <StateWord state={status?.state ?? 'waiting'} />
              </td>
              <td class="number">{status?.hits ?? '–'}</td>
              <td class="why">{status !== null && <Why spec={spec} status={status} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > MOST && <p class="dim">{all.length - MOST} more are not shown.</p>}
    </div>
  );
}

/** What the selector says already is left out. */
function Name({ spec, process }: { spec: ProbeSpec; process: string }) {
  const { page } = useScreen();
  const { namespace, service, instance } = levels(process);
  const known = spec.target.selector.startsWith(`${namespace}/${service}/`);
  return (
    <button class="plain link" title={process} onClick={() => page.places.select(process)}>
      {known ? instance : process}
    </button>
  );
}

function Why({ spec: { place }, status }: { spec: ProbeSpec; status: ProbeStatus }) {
  const asked = place?.type === 'line' ? place.line : null;
  return (
    <>
      {status.message !== '' && <span>{status.message}</span>}
      {status.failures > 0 && !status.message.includes(status.failure) && (
        <span class="error">
          {status.failures} of its expressions failed: {status.failure}
        </span>
      )}
      {status.places.map((at) => (
        <span key={`${at.path}:${at.line}`} class="dim" title={at.path}>
          {baseName(at.path)}:{at.line} {at.function !== '' && `in ${at.function}`}
          {asked !== null && at.line !== asked && `, the next line with code after ${asked}`}
        </span>
      ))}
      {status.dropped > 0 && <span class="dim">{status.dropped} hits over the rate</span>}
      {status.cpu > 0 && <span class="dim">{(status.cpu * 100).toFixed(2)}% of a core</span>}
      {status.engine === 'rewriting' && (
        <span class="dim" title="Before Python 3.12 a probe is put into the code itself.">
          by rewriting
        </span>
      )}
    </>
  );
}

const FIGURES = ['last', 'least', 'p50', 'p90', 'p99', 'most'] as const satisfies readonly (keyof Measured)[];
const NAMES = { last: 'Last', least: 'Least', p50: 'p50', p90: 'p90', p99: 'p99', most: 'Most' } as const;

function Measures({ spec, followed }: Props) {
  const all = [...(followed.processes ?? [])].flatMap(([name, status]) =>
    status?.measured ? [{ name, measured: status.measured }] : [],
  );
  if (all.length === 0) return <p class="empty">Nothing was measured yet.</p>;
  const text = (value: number | null) =>
    value === null ? '–' : spec.kind.type === 'timer' ? seconds(value) : String(Number(value.toPrecision(6)));
  const counts = spec.kind.type === 'counter';
  const figures = counts ? [] : FIGURES;
  return (
    <div class="scroll" tabIndex={0}>
      <table class="measures">
        <thead>
          <tr>
            <th scope="col">Process</th>
            <th scope="col">Hits</th>
            <th scope="col">Total</th>
            {figures.map((figure) => (
              <th key={figure} scope="col">
                {NAMES[figure]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {all.slice(0, MOST).map(({ name, measured }) => (
            <tr key={name}>
              <td>
                <Name spec={spec} process={name} />
              </td>
              <td>{measured.count}</td>
              <td>{text(measured.total)}</td>
              {figures.map((figure) => (
                <td key={figure}>{text(measured[figure])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > MOST && <p class="dim">{all.length - MOST} more are not shown.</p>}
    </div>
  );
}
