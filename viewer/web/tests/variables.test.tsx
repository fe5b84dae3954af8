import { cleanup, fireEvent, render, screen } from '@testing-library/preact';
import { afterEach, expect, test } from 'vitest';
import { Variables } from '../src/screen/variables';
import { Session } from '../src/session';
import { METHODS, type Call } from '../src/wire';
import { BOOT, dapEvent } from './given';

const HOSTILE = '<img src=x onerror=alert(1)>';

async function stoppedSession(children: { name: string; value: string }[]): Promise<Session> {
  const bodies: Record<string, object> = {
    threads: { threads: [] },
    stackTrace: { stackFrames: [{ id: 1, name: 'f', line: 1, source: { path: '/app/a.py' } }] },
    scopes: { scopes: [{ name: 'Locals', variablesReference: 9 }] },
    variables: { variables: children },
  };
  const call: Call = (method, params) => {
    const { request } = params as { request?: { command: string } };
    const result =
      request === undefined
        ? { session: 's', process: 'a/b/c', boot: BOOT, capabilities: {} }
        : { type: 'response', command: request.command, success: true, body: bodies[request.command] };
    return Promise.resolve(METHODS[method](result, method) as never);
  };
  const session = new Session('a/b/c', call);
  await session.open();
  session.handle(dapEvent('stopped', { reason: 'step', threadId: 1 }));
  return session;
}

afterEach(cleanup);

test('what a program calls its values is text and never markup', async () => {
  render(<Variables session={await stoppedSession([{ name: HOSTILE, value: HOSTILE }])} />);
  expect(await screen.findAllByText(HOSTILE)).toHaveLength(2);
  expect(document.querySelector('img')).toBeNull();
});

test('a long list is shown a page at a time', async () => {
  const many = Array.from({ length: 250 }, (_, index) => ({ name: `item${index}`, value: String(index) }));
  render(<Variables session={await stoppedSession(many)} />);
  fireEvent.click(await screen.findByText('Show 100 more of 150'));
  expect(await screen.findByText('item199')).toBeTruthy();
  expect(screen.queryByText('item200')).toBeNull();
});

test('a scope closes and opens', async () => {
  render(<Variables session={await stoppedSession([{ name: 'total', value: '3' }])} />);
  await screen.findByText('total');
  const scope = screen.getByRole('treeitem', { name: /Locals/ });
  fireEvent.click(scope);
  expect(screen.queryByText('total')).toBeNull();
  expect(scope.getAttribute('aria-expanded')).toBe('false');
});
