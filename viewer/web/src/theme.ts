/** Dark or light: the system's choice until somebody makes another, which is remembered. */

import { computed, effect, signal } from '@preact/signals';

type Choice = 'dark' | 'light' | null;
const KEY = 'sonde.theme';

export class Theme {
  readonly #choice = signal<Choice>(null);
  readonly #system = signal<'dark' | 'light'>('dark');
  readonly now = computed(() => this.#choice.value ?? this.#system.value);

  constructor(window: Window) {
    const saved = window.localStorage.getItem(KEY);
    if (saved === 'dark' || saved === 'light') this.#choice.value = saved;
    const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
    this.#system.value = prefersDark.matches ? 'dark' : 'light';
    prefersDark.addEventListener('change', (change) => {
      this.#system.value = change.matches ? 'dark' : 'light';
    });
    effect(() => {
      window.document.documentElement.dataset['theme'] = this.now.value;
      if (this.#choice.value !== null) window.localStorage.setItem(KEY, this.#choice.value);
    });
  }

  toggle(): void {
    this.#choice.value = this.now.value === 'dark' ? 'light' : 'dark';
  }
}

/** The theme's colours for what is drawn on a canvas, which style sheets do not reach. */
export function colour(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}
