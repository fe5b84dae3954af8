import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { inline, rootsOf } from '../captured';
import { baseName, clock, isLibrary, seconds } from '../format';
import { isSnapshot, keyOf, snapshotId } from '../probes';
import { levels } from '../roster';
import { readOr } from '../shape';
import type { EventOf } from '../wire';
import { captured, type Captured } from '../wire_probes';
import { useScreen } from './context';
import { save } from './saving';
import { ValueTree } from './value_tree';

/** The snapshot of the place: who took it where, its stack, and the locals of the chosen frame. */
export function SnapshotPane() {
  const { page } = useScreen();
  const load = page.probing.snapshot.value;
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => button.current?.focus(), []); // what opened it is no longer on the screen
  const back = (
    <button ref={button} onClick={() => page.places.openSnapshot(null)}>
      ‹ Back
    </button>
  );
  if (load?.state === 'ready') {
    const content = readOr(captured, load.value.captured, null);
    if (content !== null) return <Snapshot taken={load.value} content={content} back={back} />;
  }
  return (
    <div>
      <div class="bar">{back}</div>
      <p class="empty" role="status">
        {load?.state === 'failed' && load.message}
        {load?.state === 'ready' && 'This page does not understand the snapshot.'}
        {(load === null || load.state === 'loading') && 'Reading…'}
      </p>
    </div>
  );
}

interface Props {
  taken: EventOf<'snapshot_taken'>;
  content: Captured;
  back: preact.JSX.Element;
}

function Snapshot({ taken, content, back }: Props) {
  const { page } = useScreen();
  const at = useSignal(0);
  const frame = content.frames[at.value];
  const { exception, task, thread } = content;
  const against = useSignal('');
  const results = page.probing.followed.value?.results ?? [];
  const others = results.filter(isSnapshot).filter((each) => keyOf(each) !== keyOf(taken));
  const other = others.find((each) => snapshotId(each) === against.value);
  const compared = other === undefined ? null : readOr(captured, other.captured, null);
  useEffect(() => {
    if (frame === undefined) return;
    const { path, line } = frame;
    const values = new Map(frame.locals?.map(([name, value]) => [name, inline(value)]));
    page.probing.spot.value = { process: taken.process, path, line, values };
    if (page.process.peek() === taken.process) page.places.show(path, line);
    return () => {
      page.probing.spot.value = null;
    };
  }, [page, taken.process, frame]);
  return (
    <section class="snapshot grow" aria-label="Snapshot">
      <header class="bar">
        {back}
        <h3 title={snapshotId(taken)}>Snapshot {snapshotId(taken)}</h3>
        <span class="space" />
        {others.length > 0 && (
          <select
            aria-label="Compare with"
            value={against.value}
            onChange={(event) => (against.value = event.currentTarget.value)}
          >
            <option value="">Compare with…</option>
            {others.map((each) => (
              <option key={snapshotId(each)} value={snapshotId(each)}>
                hit {each.hit} at {clock(each.time)}, {levels(each.process).instance}
              </option>
            ))}
          </select>
        )}
        <button onClick={() => save(`snapshot-${snapshotId(taken)}.json`, taken)}>Save as JSON</button>
      </header>
      <p class="asked dim">
        <span>at {clock(taken.time)}</span>
        <span>hit {taken.hit}</span>
        <button
          class="plain link"
          onClick={() => {
            page.places.select(taken.process);
            page.places.openSnapshot(snapshotId(taken));
          }}
        >
          {taken.process}
        </button>
        <span>thread {thread.name || thread.id}</span>
        {task !== null && <span>task {task.name}</span>}
        <span>took {seconds(content.duration)}</span>
      </p>
      {exception !== null && (
        <p class="notice error">
          <strong>{exception.type}</strong>
          <span>{exception.message}</span>
          {exception.caught === false && <span>Nobody caught it.</span>}
        </p>
      )}
      <div class="look">
        <Frames content={content} at={at} />
        <ValueTree key={at.value} label="Values of the snapshot" roots={rootsOf(content, at.value, compared)} />
      </div>
    </section>
  );
}

function Frames({ content, at }: { content: Captured; at: Signal<number> }) {
  return (
    <div
      class="stack scroll"
      role="listbox"
      aria-label="Stack of the snapshot"
      tabIndex={0}
      aria-activedescendant={`taken-${at.value}`}
      onKeyDown={(event) => {
        const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
        if (by === 0) return;
        event.preventDefault();
        at.value = Math.min(content.frames.length - 1, Math.max(0, at.value + by));
      }}
    >
      {content.frames.map((frame, index) => (
        <div
          key={index}
          id={`taken-${index}`}
          class={`frame ${isLibrary(frame.path) ? 'library' : ''}`}
          role="option"
          aria-selected={index === at.value}
          title={`${frame.path}:${frame.line}`}
          onClick={() => (at.value = index)}
        >
          <span class="name">{frame.function}</span>
          <span class="dim">
            {baseName(frame.path)}:{frame.line}
          </span>
        </div>
      ))}
    </div>
  );
}
