/** Which key does what. F-keys as in VS Code; the second set is for keyboards whose F-keys are taken. */

import type { Step } from './session';

export type Action = 'continue' | 'pause' | Step | 'filter' | 'console' | 'help' | 'leave';

export interface Pressed {
  readonly key: string;
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/** The action of a key, or null when the key is the browser's or somebody is typing. F5 is ours only while
 *  something is stopped; otherwise it reloads the page, as everywhere. */
export function actionOf(pressed: Pressed, stopped: boolean, typing: boolean): Action | null {
  const { key, code, shiftKey } = pressed;
  if (pressed.altKey) return null;
  if (pressed.ctrlKey || pressed.metaKey) {
    if (code === 'Backslash') return stopped ? 'continue' : 'pause';
    if (code === 'Backquote') return 'console';
    if (code === 'Quote' && stopped) return 'next';
    if (code === 'Semicolon' && stopped) return shiftKey ? 'stepOut' : 'stepIn';
    return null;
  }
  switch (key) {
    case 'F5':
      return stopped && !shiftKey ? 'continue' : null;
    case 'F6':
      return 'pause';
    case 'F8':
      return stopped ? 'continue' : 'pause';
    case 'F10':
      return stopped ? 'next' : null;
    case 'F11':
      return stopped ? (shiftKey ? 'stepOut' : 'stepIn') : null;
  }
  if (typing) return null;
  if (key === '/') return 'filter';
  if (key === '?') return 'help';
  return key === 'Escape' ? 'leave' : null;
}

/** Whether an event comes from something that takes text. Shadow roots hide that from `event.target`. */
export function isTyping(event: Event): boolean {
  const target = event.composedPath()[0];
  if (target instanceof HTMLInputElement) return !/^(range|radio|checkbox)$/.test(target.type);
  return target instanceof HTMLElement && (/^(textarea|select)$/i.test(target.tagName) || target.isContentEditable);
}
