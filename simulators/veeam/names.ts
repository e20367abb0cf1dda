/**
 * Names as the server writes them. Their form differs between releases, so nobody should read them.
 * @module
 */
import { DateTime } from 'luxon';
import type { JobSession, Point, RestoreSession, TaskSession } from './state.ts';

const stamp = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

export const pointName = ({ vmName, createdAt }: Pick<Point, 'vmName' | 'createdAt'>): string =>
  `${vmName}@${stamp(createdAt)}`;
export const taskSessionName = ({ vmName, createdAt }: TaskSession): string => `${vmName}@${stamp(createdAt)}`;
export const jobSessionName = ({ jobName, createdAt }: JobSession): string => `${jobName}@${stamp(createdAt)}`;
export const restoreSessionName = ({ vmName, createdAt }: RestoreSession): string => `${vmName}@${stamp(createdAt)}`;
export const restorePointName = ({ createdAt }: Point): string =>
  `${stamp(createdAt)}.${String(createdAt % 1000).padStart(3, '0')}000`;

export function fileName(jobName: string, { createdAt, isFull }: Point, timeZone: string): string {
  const at = DateTime.fromMillis(createdAt, { zone: timeZone }).toFormat("yyyy-MM-dd'T'HHmmss");
  return `${jobName}D${at}.${isFull ? 'vbk' : 'vib'}`;
}
