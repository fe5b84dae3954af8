import { cleanup, fireEvent, render, screen } from '@testing-library/preact';
import { afterEach, expect, test } from 'vitest';
import { Asleep, Askers, Countdown, Seat } from '../src/screen/seat';
import { Session } from '../src/session';
import { METHODS, type Call } from '../src/wire';
import { BOOT, leaseChanged, seatChanged } from './given';

const HOSTILE = '<img src=x onerror=alert(1)>';
let asked: object[];

async function opened(): Promise<Session> {
  asked = [];
  const call: Call = (method, params) => {
    asked.push({ method, ...params });
    const result = {
      'session.open': { session: 's1', process: 'a/b/c', boot: BOOT, capabilities: {}, threads: [{ id: 1, name: 'x' }] },
      'session.renew': { renewed: false, lease: { left: 9, length: 60 } },
      dap: { type: 'response', command: 'threads', success: true, body: { threads: [] } },
    }[method as string];
    return Promise.resolve(METHODS[method](result ?? {}, method) as never);
  };
  const session = new Session('a/b/c', call);
  await session.open();
  return session;
}

afterEach(cleanup);

function Bar({ session }: { session: Session }) {
  return (
    <>
      <Seat driving={session.driving} />
      <Countdown session={session} />
      <Askers driving={session.driving} />
      <Asleep session={session} />
    </>
  );
}

test('a free seat can be taken, ours released, and that of somebody else asked for', async () => {
  const session = await opened();
  render(<Bar session={session} />);
  fireEvent.click(screen.getByRole('button', { name: 'Take' }));
  session.handle(seatChanged('taken', 's1', 'ada'));
  fireEvent.click(await screen.findByRole('button', { name: 'Release' }));
  session.handle(seatChanged('taken', 's2', HOSTILE));
  fireEvent.click(await screen.findByRole('button', { name: 'Ask for the seat' }));
  expect(screen.getByText(new RegExp('^<img src=x'))).toBeTruthy();
  expect(document.querySelector('img')).toBeNull();
  expect(asked.slice(1)).toMatchObject([{ action: 'take' }, { action: 'release' }, { action: 'ask' }]);
  session.handle(seatChanged('asked', 's2', 'bob', ['s1']));
  expect(await screen.findByText(/You asked/)).toBeTruthy();
  expect(screen.queryByRole('button', { name: 'Ask for the seat' })).toBeNull();
});

test('who asks is shown to the driver alone, with a button', async () => {
  const session = await opened();
  render(<Bar session={session} />);
  session.handle(seatChanged('asked', 's2', 'bob', ['s3']));
  expect(screen.queryByRole('button', { name: 'Grant' })).toBeNull();
  session.handle(seatChanged('asked', 's1', 'ada', ['s3']));
  fireEvent.click(await screen.findByRole('button', { name: 'Grant' }));
  expect(asked.at(-1)).toMatchObject({ action: 'grant', to: 's3' });
});

test('the last seconds are marked, and one can stay', async () => {
  const session = await opened();
  const { container } = render(<Bar session={session} />);
  session.handle(leaseChanged('begun', 60));
  expect((await screen.findByRole('timer')).textContent).toBe('Runs on in 60 s');
  expect(container.querySelector('.late')).toBeNull();
  session.handle(leaseChanged('renewed', 9));
  fireEvent.click(await screen.findByRole('button', { name: 'Stay' }));
  expect(container.querySelector('.late')).not.toBeNull();
  expect(asked.at(-1)).toMatchObject({ method: 'dap', request: { command: 'threads' } });
  await session.close();
});

test('after a lapse the breakpoints can be armed again', async () => {
  const session = await opened();
  render(<Bar session={session} />);
  session.handle(leaseChanged('lapsed'));
  fireEvent.click(await screen.findByRole('button', { name: 'Arm again' }));
  await expect.poll(() => screen.queryByText(/your breakpoints sleep/)).toBeNull();
});
