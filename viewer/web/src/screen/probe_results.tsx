import { useMemo } from 'preact/hooks';
import { inline } from '../captured';
import { baseName, clock } from '../format';
import { keyOf, snapshotId, type Followed, type Result } from '../probes';
import { levels } from '../roster';
import { or, readOr } from '../shape';
import type { EventOf } from '../wire';
import { captured, value } from '../wire_probes';
import { useScreen } from './context';

/** What a probe brings, newest first. Of one process it is not said each time which. */
export function Results({ followed, ofOne }: { followed: Followed; ofOne: boolean }) {
  const { page } = useScreen();
  const { results, more } = followed;
  if (!page.may('inspect')) return <p class="empty">Your token lacks the scope inspect, which reading results needs.</p>;
  if (results.length === 0) return <p class="empty">It has brought nothing yet.</p>;
  return (
    <div class="results scroll" role="log" aria-live="off" aria-label="Results" tabIndex={0}>
      {results.map((result) => (
        <Row key={keyOf(result)} result={result} ofOne={ofOne} />
      ))}
      {more && <p class="dim">Older results are not shown.</p>}
    </div>
  );
}

function Row({ result, ofOne }: { result: Result; ofOne: boolean }) {
  const { page } = useScreen();
  return (
    <div class="result">
      <time>{clock(result.time)}</time>
      {!ofOne && (
        <button class="plain link" title={result.process} onClick={() => page.places.select(result.process)}>
          {levels(result.process).instance}
        </button>
      )}
      {result.type === 'probe_logged' && <span class="text">{result.message}</span>}
      {result.type === 'watch_changed' && <Watched result={result} />}
      {result.type === 'snapshot_taken' && <Taken result={result} />}
      {result.type !== 'snapshot_taken' && (
        <span class="dim" title={`${result.path}:${result.line}\nthread ${result.thread}`}>
          {baseName(result.path)}:{result.line}
        </span>
      )}
    </div>
  );
}

function Watched({ result }: { result: EventOf<'watch_changed'> }) {
  const now = useMemo(() => readOr(value, result.now, null), [result]);
  const before = useMemo(() => readOr(or(value, null), result.before, null), [result]);
  return (
    <span class="text">
      {result.expression}: {before !== null && <span class="dim">{inline(before)} → </span>}
      <span class="value">{now === null ? 'not understood' : inline(now)}</span>
    </span>
  );
}

function Taken({ result }: { result: EventOf<'snapshot_taken'> }) {
  const { page } = useScreen();
  const seen = useMemo(() => readOr(captured, result.captured, null), [result]);
  const top = seen?.frames[0];
  return (
    <span class="text">
      <button class="plain link" onClick={() => page.places.openSnapshot(snapshotId(result))}>
        Snapshot {result.hit}
        {top !== undefined && ` in ${top.function}, ${baseName(top.path)}:${top.line}`}
      </button>
      {seen?.exception && (
        <span class="error">
          {' '}
          {seen.exception.type}: {seen.exception.message}
        </span>
      )}
      {seen?.expressions.map(({ text, node, error }) => (
        <span key={text}>
          {'  '}
          {text} = {node === null ? <span class="error">{error}</span> : <span class="value">{inline(node)}</span>}
        </span>
      ))}
    </span>
  );
}
