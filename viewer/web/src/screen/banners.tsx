import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Line, LostBecause, RefusedBecause } from '../socket';
import { useScreen } from './context';
import { useNow } from './now';

const REFUSED: Record<RefusedBecause, string> = {
  no_token: 'This page needs a token. Open the link that `sonde open` prints, or paste a token.',
  unauthenticated:
    'The broker does not accept your token: it has expired or is not one of this broker’s. Paste a new one.',
  mismatch: 'This page and its broker do not understand each other. Reload the page.',
};

const LOST: Record<LostBecause, string> = {
  line: 'Connection lost. What you see is what was last known.',
  restart: 'The broker restarts. What you see is what was last known.',
  slow: 'The broker closed the connection because this page read too slowly.',
};

export function Banners() {
  const { page } = useScreen();
  const line = page.socket.line.value;
  const { trouble } = page;
  return (
    <div class="banners" aria-live="polite">
      {line.phase === 'waiting' && <Waiting line={line} />}
      {line.phase === 'refused' && (
        <Banner tone="bad">
          <span>
            {REFUSED[line.because]}
            {line.message !== '' && line.because !== 'no_token' && <em> {line.message}</em>}
          </span>
          {line.because === 'mismatch' ? (
            <button onClick={() => window.location.reload()}>Reload</button>
          ) : (
            <TokenForm />
          )}
        </Banner>
      )}
      {line.phase === 'online' && trouble.value !== '' && <Banner tone="bad">{trouble.value}</Banner>}
      {line.phase === 'online' && page.store.bus.value === 'down' && (
        <Banner tone="warn">
          The broker lost the bus. What you see is what was last known; commands will work again when it is back.
        </Banner>
      )}
      {line.phase === 'online' && page.store.history.value.store === 'degraded' && (
        <Banner tone="warn">
          What happens is not being remembered: {page.store.history.value.problem || 'the history has failed'}. What you
          see is live; the history goes on by itself when it can.
        </Banner>
      )}
      {line.phase === 'online' && <Expiry />}
    </div>
  );
}

function Banner({ tone, children }: { tone: 'warn' | 'bad'; children: ComponentChildren }) {
  return (
    <div class={`banner ${tone}`} role="alert">
      {children}
    </div>
  );
}

function Waiting({ line }: { line: Line & { phase: 'waiting' } }) {
  const { page } = useScreen();
  const now = useNow(500);
  const left = Math.max(0, Math.ceil((line.until - now) / 1000));
  return (
    <Banner tone="warn">
      <span>{LOST[line.because]}</span>
      <span aria-live="off">Trying again in {left} s.</span>
      <button onClick={() => page.socket.retryNow()}>Try now</button>
    </Banner>
  );
}

const WARN_BEFORE_SECONDS = 120;

function Expiry() {
  const me = useScreen().page.store.me.value;
  const now = useNow(5000);
  const left = me === null ? Infinity : me.expires - now / 1000;
  if (left > WARN_BEFORE_SECONDS) return null;
  return (
    <Banner tone="warn">
      <span>Your token ends in {Math.max(0, Math.round(left))} s, and with it this connection and what you debug. A fresh one lets you go on.</span>
      <TokenForm />
    </Banner>
  );
}

function TokenForm() {
  const { page } = useScreen();
  const problem = useSignal('');
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        const pasted = new FormData(event.currentTarget).get('token');
        void page.useToken(window, typeof pasted === 'string' ? pasted : '').then((wrong) => (problem.value = wrong));
      }}
    >
      <input name="token" type="password" aria-label="Token" placeholder="Token or link" autocomplete="off" />
      <button type="submit">Use it</button>
      {problem.value !== '' && <span class="error">{problem.value}</span>}
    </form>
  );
}
