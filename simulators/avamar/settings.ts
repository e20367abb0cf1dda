/**
 * How this server behaves. `POST /_simulator/settings` changes it for what comes after; a restart forgets the changes.
 * @module
 */
import { z } from 'zod';
import { isTimeZoneId } from './time-zones.ts';

const seconds = z.number().nonnegative();

export const Settings = z.strictObject({
  /** How long a backup works. */
  backupSeconds: seconds,
  restoreSeconds: seconds,
  /** How long a replication group's run works. */
  replicationSeconds: seconds,
  /** How long the asynchronous task takes that makes clients of machines. */
  taskSeconds: seconds,
  /** The server's own IANA zone: that of schedules which name none when they are written. */
  timeZoneId: z.string().refine((id) => isTimeZoneId(id), 'unknown time zone'),
});
export type Settings = z.infer<typeof Settings>;
