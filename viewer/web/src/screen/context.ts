import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Page } from '../page';
import type { Theme } from '../theme';

export const Screen = createContext<{ page: Page; theme: Theme } | null>(null);

export function useScreen(): { page: Page; theme: Theme } {
  const screen = useContext(Screen);
  if (screen === null) throw new Error('a component stands outside of the screen');
  return screen;
}
