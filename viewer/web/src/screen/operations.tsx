import { useMemo } from 'preact/hooks';
import { seconds, share } from '../format';
import type { Operation } from '../wire';
import { useScreen } from './context';

const HEADS = ['Operation', 'Active', 'Per minute', 'Success', 'Average', 'p90'] as const;
const FAILING = 0.99;
/** Rows that are drawn; a program can make up any number of names. */
const MOST = 200;

/** What the program measures of itself, over the last minute; the whole time is in each row's title. */
export function Operations({ process }: { process: string }) {
  const { page } = useScreen();
  const latest = useMemo(() => page.store.latest(process), [page, process]);
  const { operations = [], operations_dropped: dropped = 0 } = latest.value ?? {};
  if (operations.length === 0) return null;
  const hidden = Math.max(0, operations.length - MOST);
  return (
    <section class="operations scroll" aria-label="Operations" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {HEADS.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {operations.slice(0, MOST).map((operation) => (
            <Row key={operation.name} operation={operation} />
          ))}
        </tbody>
      </table>
      {hidden > 0 && <p class="dim">{hidden} more are not shown.</p>}
      {dropped > 0 && <p class="dim">{dropped} operations were not counted: there are too many names.</p>}
    </section>
  );
}

function Row({ operation }: { operation: Operation }) {
  const { name, active, last_minute: minute } = operation;
  const rate = minute.success_rate;
  return (
    <tr title={sinceTheStart(operation)}>
      <td>{name}</td>
      <td>{active}</td>
      <td>{minute.ended}</td>
      <td class={rate !== null && rate < FAILING ? 'failing' : ''}>{rate === null ? '–' : share(rate)}</td>
      <td>{minute.duration === null ? '–' : seconds(minute.duration.average)}</td>
      <td>{minute.duration === null ? '–' : seconds(minute.duration.p90)}</td>
    </tr>
  );
}

function sinceTheStart({ name, total, error_types: kinds }: Operation): string {
  const errors = Object.entries(kinds).map(([kind, count]) => `  ${kind === '_OTHER' ? 'others' : kind}: ${count}`);
  return [
    `${name}, since the process started:`,
    `${total.ended} ended, ${total.cancelled} of them cancelled, ${total.errors} with an error`,
    ...errors,
    ...(total.scope_errors > 0 ? [`${total.scope_errors} went on although they had been cancelled`] : []),
    ...(total.duration === null ? [] : [`${seconds(total.duration.average)} on average, ${seconds(total.duration.most)} at most`]),
  ].join('\n');
}
