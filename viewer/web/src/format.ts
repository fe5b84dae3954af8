/** Numbers and names as people read them. */

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export const percent = (value: number): string => `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)}%`;

/** A duration, with the unit that suits it. */
export function seconds(value: number): string {
  const [scaled, unit] = value < 0.001 ? [value * 1e6, 'µs'] : value < 1 ? [value * 1e3, 'ms'] : [value, 's'];
  return `${scaled < 9.95 && scaled > 0 ? scaled.toFixed(1) : Math.round(scaled)} ${unit}`;
}

/** A share of one. What is almost all is not shown as all. */
export const share = (value: number): string =>
  value === 1 || value === 0 ? `${value * 100}%` : `${Math.min(99.9, Math.max(0.1, value * 100)).toFixed(1)}%`;

export const clock = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleTimeString(undefined, { hour12: false });

/** A moment that may be days ago. */
export const day = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false });

/** A time that passed: of minutes and hours it is not the fractions of a second that count. */
export function span(passed: number): string {
  if (passed < 60) return passed <= 0 ? '0 s' : seconds(passed);
  if (passed < 3600) return `${Math.floor(passed / 60)} min ${Math.floor(passed % 60)} s`;
  return `${Math.floor(passed / 3600)} h ${Math.floor((passed % 3600) / 60)} min`;
}

export function ago(seconds: number, now: number): string {
  const passed = Math.max(0, Math.round(now - seconds));
  if (passed < 60) return `${passed} s`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ${Math.floor((passed % 3600) / 60)} min`;
  return `${Math.floor(passed / 86_400)} d`;
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Frames of installed packages and of the standard library are folded in the call stack. */
export const isLibrary = (path: string): boolean =>
  /\/(site|dist)-packages\/|\/lib\/python\d|^<frozen |\/zipimport/.test(path);
