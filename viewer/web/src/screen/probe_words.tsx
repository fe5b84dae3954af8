import { ago, baseName } from '../format';
import { KINDS, placeText, STATES, type State } from '../probes';
import { levels } from '../roster';
import type { ProbeSpec } from '../wire_probes';
import { useNow } from './now';

/** A state in a word; its colour only repeats it. */
export const StateWord = ({ state }: { state: State }) => <span class={`state ${state}`}>{STATES[state]}</span>;

/** How long it is there still. */
export function Left({ expires }: { expires: number }) {
  const now = useNow(1000) / 1000;
  return <span>{expires <= now ? 'expires now' : `${ago(2 * now - expires, now)} left`}</span>;
}

export function titleOf({ name, kind, place }: ProbeSpec): string {
  const where = place === null ? '' : place.type === 'line' ? `${baseName(place.path)}:${place.line}` : placeText(place);
  return name || [KINDS[kind.type], where].filter(Boolean).join(' ');
}

/** What a selector means, in words. */
export function reach(selector: string): string {
  const { namespace, service, instance } = levels(selector);
  if (selector === '*/*/*') return 'all processes';
  if (instance === '*' && !namespace.includes('*') && !service.includes('*')) return `all of ${namespace}/${service}`;
  return selector;
}
