import { useSignal } from '@preact/signals';
import { bytes, day, percent, seconds, share, span } from '../format';
import type { FleetReport } from '../wire';
import { Choice } from './choice';
import { useScreen } from './context';
import { save } from './saving';

const TIMES: readonly (readonly [label: string, seconds: number])[] = [
  ['of the last hour', 3600],
  ['of the last day', 86_400],
  ['of the last week', 7 * 86_400],
];

/** What happened in a part of the fleet, and how it does. */
export function Report({ selector }: { selector: string }) {
  const { page } = useScreen();
  const time = useSignal(1);
  const load = page.remembering.report.value;
  const busy = load?.state === 'loading';
  return (
    <>
      <form
        class="bar search"
        aria-label="Report"
        onSubmit={(event) => {
          event.preventDefault();
          const since = Date.now() / 1000 - (TIMES[time.value]?.[1] ?? 0);
          void page.remembering.makeReport(selector, since);
        }}
      >
        <Choice label="Time" options={TIMES} chosen={time.value} onChoose={(at) => (time.value = at)} />
        <button type="submit" class="primary" disabled={busy || !page.store.live.value}>
          {busy ? 'Listening to processes…' : 'Make a report'}
        </button>
        <span class="space" />
        {load?.state === 'ready' && <button onClick={() => save(`report-${Math.round(load.value.time)}.json`, load.value)}>Save as JSON</button>}
      </form>
      <div class="scroll past" tabIndex={0} aria-busy={busy}>
        {load === null && <p class="empty">Operations, errors and peaks of these processes, and what happened to them.</p>}
        {load?.state === 'failed' && <p class="empty error">{load.message}</p>}
        {load?.state === 'ready' && <Told report={load.value} />}
      </div>
    </>
  );
}

const rate = (value: number | null) => (value === null ? '–' : share(value));
const figure = (value: number | null | undefined, text: (value: number) => string) =>
  value === null || value === undefined ? '–' : text(value);

function Told({ report }: { report: FleetReport }) {
  const facts: readonly (readonly [string, string])[] = [
    ['as of', day(report.time)],
    ['online', String(report.online)],
    ['ended', String(report.ended)],
    ['lost', String(report.lost)],
    ['sessions', `${report.sessions}, ${span(report.session_time)} in all, ${report.open_sessions} open`],
    ['snapshots', String(report.snapshots)],
    ['succeeded', rate(report.success_rate)],
    ['failed', rate(report.error_rate)],
  ];
  return (
    <>
      <dl class="facts-of">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {report.unheard.length > 0 && (
        <p class="rest dim">
          {report.unheard.length} told nothing in time and are not in it: {report.unheard.slice(0, 5).join(', ')}
          {report.unheard.length > 5 && ' and more'}
        </p>
      )}
      <Table
        label="Operations, the slowest first"
        head={['Operation', 'Processes', 'Ended', 'Errors', 'Succeeded', 'Average', 'p99', 'Longest']}
        rows={report.operations.map(({ service, name, processes, total }) => [
          `${name}, ${service}`,
          String(processes),
          String(total.ended),
          String(total.errors),
          rate(total.success_rate),
          figure(total.duration?.average, seconds),
          figure(total.duration?.p99, seconds),
          figure(total.duration?.most, seconds),
        ])}
      />
      <Table
        label="Errors"
        head={['Error', 'How often']}
        rows={sorted(report.errors).map(([kind, count]) => [kind, String(count)])}
      />
      <Table
        label="Peaks, the most memory first"
        head={['Process', 'Memory', 'CPU', 'Threads', 'Open files', 'Loop lag']}
        rows={report.peaks.map(({ process, peaks }) => [
          process,
          figure(peaks.memory_rss, bytes),
          figure(peaks.cpu_percent, percent),
          figure(peaks.threads, String),
          figure(peaks.open_fds, String),
          figure(peaks.event_loop_lag, seconds),
        ])}
      />
      <Table
        label="Events by kind"
        head={['Kind of event', 'How many']}
        rows={sorted(report.events).map(([kind, count]) => [kind, String(count)])}
      />
    </>
  );
}

const sorted = (counts: Readonly<Record<string, number>>) => Object.entries(counts).sort(([, a], [, b]) => b - a);

interface TableProps {
  label: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
}

function Table({ label, head, rows }: TableProps) {
  if (rows.length === 0) return null;
  return (
    <table class="records figures">
      <caption>{label}</caption>
      <thead>
        <tr>
          {head.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((cells, index) => (
          <tr key={index}>
            {cells.map((cell, at) => (
              <td key={at}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
