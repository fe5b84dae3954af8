import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CAPTURE, captureOf, limitsOf, OFTEN, usual, usualHits, type Limit } from '../src/limits';

interface Schema {
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum: number;
  readonly default: number;
  readonly type: string;
  readonly anyOf?: readonly Schema[];
}

const document_ = JSON.parse(readFileSync('../../docs/asyncapi.json', 'utf8')) as {
  components: { schemas: Record<string, { properties: Record<string, Schema> }> };
};
const properties = (name: string) => document_.components.schemas[name]?.properties ?? {};

const ranges = (table: Record<string, Limit>, schemas: Record<string, Schema>) =>
  Object.entries(table).map(([name, limit]) => [name, limit, schemas[name]] as const);

test.each([...ranges(CAPTURE, properties('Capture')), ...ranges(OFTEN, properties('ProbeSpec'))])(
  '%s is from as much to as much as the wire says',
  (_, limit, schema) => {
    const one = schema?.anyOf?.[0] ?? schema;
    const scale = limit.scale ?? 1;
    expect(limit.most).toBe((one?.maximum ?? NaN) * scale);
    expect(limit.least).toBe((one?.minimum ?? one?.exclusiveMinimum ?? NaN) * scale);
    expect(limit.whole).toBe(one?.type === 'integer');
    if (typeof limit.usual === 'number') expect(limit.usual).toBe((schema?.default ?? NaN) * scale);
  },
);

test('the whole capture can be asked for', () => {
  expect(Object.keys(CAPTURE).sort()).toEqual(Object.keys(properties('Capture')).sort());
  expect(captureOf('snapshot')).toEqual(captureOf('exception'));
  expect(captureOf('watch')).toEqual(['depth', 'items', 'length', 'fields']);
  expect(captureOf('timer')).toEqual([]);
});

test('what is usual depends on the kind, and how many at once on the rate', () => {
  expect([usual(OFTEN.rate, 'snapshot', {}), usual(OFTEN.rate, 'log', {}), usual(OFTEN.rate, 'timer', {})]).toEqual([
    '1',
    '100',
    'no limit',
  ]);
  expect(usual(OFTEN.burst, 'log', {})).toBe('100');
  expect(usual(OFTEN.burst, 'log', { rate: '7.5' })).toBe('7');
  expect(usual(OFTEN.burst, 'timer', { rate: '0.5' })).toBe('1');
  expect(usual(OFTEN.burst, 'timer', { rate: 'x' })).toBe('no limit');
  expect([usualHits('watch'), usualHits('counter')]).toEqual([100, null]);
});

test.each([
  ['rate', '0', 'Hits a second: write a number above 0 and at most 10000, or nothing.'],
  ['rate', '-1', 'write a number above 0'],
  ['rate', '1/s', 'write a number above 0'],
  ['sample', '101', 'at most 100'],
  ['burst', '2.5', 'At once: write a whole number from 1 to 10000, or nothing.'],
  ['size', '255', 'from 256 to 262144'],
  ['seconds', '1001', 'at most 1000'],
  ['depth', '0x3', 'from 0 to 10'],
])('%s: %s is refused with a sentence', (field, text, sentence) => {
  const given = () => limitsOf('snapshot', { [field]: text });
  expect(given).toThrow(sentence);
  expect(given).toThrow(expect.objectContaining({ field }) as Error);
});
