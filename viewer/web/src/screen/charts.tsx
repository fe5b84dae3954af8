import { effect, useComputed, useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { bytes, clock, percent, seconds } from '../format';
import type { Sample } from '../store';
import { colour } from '../theme';
import { useScreen } from './context';

const HEIGHT = 92;
const PERCENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const POWERS_OF_TWO = Array.from({ length: 44 }, (_, power) => 2 ** power);

/** CPU and memory of the last minutes; both cursors move together. */
export function Charts({ process }: { process: string }) {
  const { page } = useScreen();
  const samples = useMemo(() => page.store.samples(process), [page, process]);
  const latest = useMemo(() => page.store.latest(process), [page, process]);
  const numbers = latest.value;
  const why = Object.entries(numbers?.unavailable ?? {}).map(([what, reason]) => `${what}: ${reason}`);
  return (
    <section class="charts" aria-label="Metrics">
      <Chart label="CPU" samples={samples} pick={cpuOf} show={percent} least={10} steps={PERCENTS} />
      <Chart label="Memory" samples={samples} pick={rssOf} show={bytes} least={1024 * 1024} steps={POWERS_OF_TWO} />
      <dl class="numbers">
        <Number label="threads" value={numbers?.threads} />
        <Number label="open files" value={numbers?.open_fds} />
        <Number label="children" value={numbers?.children} />
        <Number label="loop lag" value={numbers?.event_loop_lag} show={seconds} />
        {why.length > 0 && (
          <div title={why.join('\n')}>
            <dt>not readable</dt>
            <dd>{why.length}</dd>
          </div>
        )}
      </dl>
    </section>
  );
}

const cpuOf = (sample: Sample) => sample.cpu;
const rssOf = (sample: Sample) => sample.rss;

interface NumberProps {
  label: string;
  value: number | null | undefined;
  show?: (value: number) => string;
}

function Number({ label, value, show = String }: NumberProps) {
  if (value == null) return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd>{show(value)}</dd>
    </div>
  );
}

const SHORTEST = 60; // seconds

/** The time that is shown: all there is, and at least a minute. */
function span(low: number | null, high: number | null): [number, number] {
  const last = high ?? Date.now() / 1000;
  return [Math.min(low ?? last, last - SHORTEST), last];
}

interface ChartProps {
  label: string;
  samples: ReadonlySignal<readonly Sample[]>;
  pick: (sample: Sample) => number | null;
  show: (value: number) => string;
  /** The scale reaches at least so far, so that an idle process does not look busy. */
  least: number;
  /** Steps of the scale. */
  steps: number[];
}

function Chart({ label, samples, pick, show, least, steps }: ChartProps) {
  const { theme } = useScreen();
  const box = useRef<HTMLDivElement>(null);
  const pointed = useSignal<number | null>(null); // the index under the cursor, of either chart
  const told = useComputed(() => {
    const sample = samples.value.at(pointed.value ?? -1);
    const value = sample === undefined ? null : pick(sample);
    if (sample === undefined || value === null) return '–';
    return pointed.value === null ? show(value) : `${show(value)} at ${clock(sample.time)}`;
  });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const plot = new uPlot(options(element, show, least, steps), [[], []], element);
    const point = () => (pointed.value = plot.cursor.idx ?? null);
    (plot.hooks.setCursor ??= []).push(point);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    const stop = effect(() => {
      void theme.now.value; // its colours are read while it draws
      plot.setData([samples.value.map((s) => s.time), samples.value.map(pick)]);
    });
    return () => {
      stop();
      observer.disconnect();
      plot.destroy();
    };
  }, [samples, pick, show, least, steps, theme, pointed]);
  return (
    <figure class="chart">
      <figcaption>
        {label} <b>{told.value}</b>
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${label} of the last minutes`} />
    </figure>
  );
}

function options(element: Element, show: (value: number) => string, least: number, steps: number[]): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => colour(element, '--dim'),
    grid: { stroke: () => colour(element, '--line'), width: 1 },
    ticks: { show: false },
    font: '10px system-ui, sans-serif',
    gap: 2,
  };
  return {
    width: Math.max(80, element.clientWidth),
    height: HEIGHT,
    padding: [6, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: 'sonde' }, y: false, points: { size: 5 } },
    scales: {
      x: { time: true, range: (_plot, low, high) => span(low, high) },
      y: { range: (_plot, _low, high) => [0, Math.max(least, (high ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 18, values: (_plot, ticks) => ticks.map(clock), space: 80 },
      { ...axis, size: 58, values: (_plot, ticks) => ticks.map(show), space: 28, incrs: steps },
    ],
    series: [
      {},
      {
        stroke: () => colour(element, '--chart'),
        fill: () => colour(element, '--chart-fill'),
        width: 1.5,
        points: { show: false },
      },
    ],
  };
}
