/**
 * Sizes, times and names as a person reads them.
 * @module
 */

/** `POWER_OFF` → `power-off`. */
export function slug(kind: string): string {
  return kind.toLowerCase().replaceAll('_', '-');
}

/** `3.2 s`, `1 min 05 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** `14:07:03` where the reader is. */
export function clock(iso: string): string {
  return new Date(iso).toLocaleTimeString('en-GB');
}

/** `2026-12-22 14:07` where the reader is. */
export function date(iso: string | null): string {
  return iso === null ? 'never' : new Date(iso).toLocaleString('sv-SE').slice(0, 16);
}

/** `260 GiB`. */
export function size(bytes: number | null): string {
  return bytes === null ? 'size unknown' : `${Math.round((bytes / 1024 ** 3) * 10) / 10} GiB`;
}

const LONGEST_NAME = 40;

/** A long name without its middle: the end of what a backup system calls a backup tells it from others. */
export function short(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, 18)}…${name.slice(19 - LONGEST_NAME)}`;
}
