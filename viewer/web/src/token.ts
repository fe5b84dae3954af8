/** Where the token lives: it comes in the link's fragment, which browsers never send anywhere, and is moved
 *  from there to the tab's session storage, so that it is in no history and in no copied address. */

const KEY = 'sonde.token';
const FIELD = 'token=';

/** Takes `token` out of a fragment. Returns the token and the fragment that is left. */
export function splitFragment(hash: string): { token: string | null; rest: string } {
  const fields = hash.replace(/^#/, '').split('&');
  const given = fields.find((field) => field.startsWith(FIELD));
  const rest = fields.filter((field) => !field.startsWith(FIELD)).join('&');
  return { token: given?.slice(FIELD.length) ?? null, rest: rest === '' ? '' : `#${rest}` };
}

export function takeToken(window: Window): string | null {
  const { token, rest } = splitFragment(window.location.hash);
  if (token === null) return window.sessionStorage.getItem(KEY);
  window.history.replaceState(null, '', window.location.pathname + window.location.search + rest);
  keepToken(window, token);
  return token;
}

export function keepToken(window: Window, token: string): void {
  window.sessionStorage.setItem(KEY, token);
}

/** What a person pastes: a token, or the whole link that carries it. */
export function readPasted(pasted: string): string {
  const text = pasted.trim();
  const at = text.indexOf('#');
  return (at >= 0 ? splitFragment(text.slice(at)).token : null) ?? text;
}

/** RFC 6455 allows tokens of RFC 2616 as subprotocols; a JWT is one, most other texts are not. */
export const isToken = (text: string): boolean => /^[A-Za-z0-9_.~+-]+$/.test(text);
