import { effect, type ReadonlySignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Sample } from '../store';
import { colour } from '../theme';
import { useScreen } from './context';

const WIDTH = 64;
const HEIGHT = 22;
const SHOWN = 60;

/** The CPU of the last minute, on a scale of one core or of its own highest value. */
export function Sparkline({ samples }: { samples: ReadonlySignal<readonly Sample[]> }) {
  const { theme } = useScreen();
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(
    () =>
      effect(() => {
        void theme.now.value;
        if (canvas.current !== null) draw(canvas.current, samples.value.slice(-SHOWN));
      }),
    [samples, theme],
  );
  return <canvas ref={canvas} class="spark" width={WIDTH * 2} height={HEIGHT * 2} aria-hidden="true" />;
}

function draw(canvas: HTMLCanvasElement, samples: readonly Sample[]): void {
  const pen = canvas.getContext('2d');
  if (pen === null) return;
  pen.setTransform(2, 0, 0, 2, 0, 0);
  pen.clearRect(0, 0, WIDTH, HEIGHT);
  const most = Math.max(100, ...samples.map((sample) => sample.cpu ?? 0));
  pen.beginPath();
  samples.forEach(({ cpu }, index) => {
    if (cpu === null) return;
    const x = WIDTH - ((samples.length - 1 - index) * WIDTH) / (SHOWN - 1);
    pen.lineTo(x, HEIGHT - 1.5 - (cpu / most) * (HEIGHT - 3));
  });
  pen.strokeStyle = colour(canvas, '--chart');
  pen.lineWidth = 1.2;
  pen.stroke();
}
