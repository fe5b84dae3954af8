import { useSignal } from '@preact/signals';
import { clock } from '../format';
import type { Load } from '../sources';
import { messageOf, type Presence, type Stacks as Answer } from '../wire';
import { useScreen } from './context';

/** Where all threads are, read without stopping any. */
export function Stacks({ presence }: { presence: Presence }) {
  const { page } = useScreen();
  const load = useSignal<Load<Answer> | null>(null);
  const now = load.value;
  const ask = async () => {
    load.value = { state: 'loading' };
    try {
      const value = await page.socket.call('process.stacks', { process: presence.process });
      load.value = { state: 'ready', value };
    } catch (problem) {
      load.value = { state: 'failed', message: messageOf(problem) };
    }
  };
  return (
    <div class="stacks scroll">
      <p>
        <button disabled={presence.state !== 'online' || !page.may('inspect')} onClick={() => void ask()}>
          Read stacks
        </button>{' '}
        <span class="dim">
          {now?.state === 'ready' ? `as of ${clock(now.value.time)}` : 'Where every thread is, without stopping any.'}
        </span>
      </p>
      {now?.state === 'loading' && <p class="dim">Reading…</p>}
      {now?.state === 'failed' && <p class="error">{now.message}</p>}
      {now?.state === 'ready' &&
        now.value.threads.map((thread) => (
          <details key={thread.id} open>
            <summary>
              {thread.name} {thread.daemon && <span class="dim">daemon</span>}
            </summary>
            <ol>
              {thread.frames.map((frame, index) => (
                <li key={index}>
                  <button class="plain link" onClick={() => page.places.show(frame.path, frame.line)}>
                    {frame.function}
                  </button>{' '}
                  <span class="dim">
                    {frame.path}:{frame.line}
                  </span>{' '}
                  <code>{frame.text.trim()}</code>
                </li>
              ))}
              {thread.truncated && <li class="dim">and more, further out</li>}
            </ol>
          </details>
        ))}
    </div>
  );
}
