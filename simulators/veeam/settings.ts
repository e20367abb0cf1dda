/**
 * How this server behaves: its speed and the differences between the vendor's releases. `POST /_simulator/settings`
 * changes them for what comes after.
 * @module
 */
import { z } from 'zod';

const seconds = z.number().nonnegative();

export const Settings = z.strictObject({
  /** How long a job's run works. */
  backupSeconds: seconds,
  restoreSeconds: seconds,
  /** How long a task is `Running` before the backup server has done it. */
  taskSeconds: seconds,
  /** How long a task is `OperationFinished`; at least one look sees it so. */
  collectSeconds: seconds,
  /** The answer to a write already carries the finished task. */
  immediateTasks: z.boolean(),
  /** How long an added object is missing in the list of a job's objects. */
  includeSeconds: seconds,
  /** How long a machine that was never asked for is unknown. */
  lookupSeconds: seconds,
  /** How long a restore point is listed after its run before it is ready. */
  pointReadySeconds: seconds,
  /** After so long without a request a session is over. */
  idleSeconds: seconds,
  versions: z.array(z.string()).min(1),
  /** Whether the schedule is inside `JobScheduleOptions/Standart` or directly in `JobScheduleOptions`. */
  standart: z.boolean(),
  timestamps: z.enum(['seconds', 'milliseconds', 'microseconds']),
  jsonCase: z.enum(['pascal', 'camel']),
  jsonBom: z.boolean(),
  /** What the server takes for its own address in every Href, e.g. `http://veeam-em:9399`; null: the one that was called. */
  advertisedHost: z.string().nullable(),
  /** The server's own zone: of schedule times without an offset, hours and names of files. */
  timeZone: z.string(),
  /** Newer releases tell what a restore has made; older ones do not. */
  restoredObjRef: z.boolean(),
  /** Whether a restore session links the point that it restores. */
  restoreSessionPoint: z.boolean(),
  /** The defect of v12: the hierarchy roots show another id than the references of machines. */
  hierarchyRootDefect: z.boolean(),
  /** What the deletion of a job that is not there answers. */
  missingJobStatus: z.union([z.literal(404), z.literal(400)]),
  /** v12 names a backup `<job> - <vm>`, older releases `<job>`. */
  backupPerMachine: z.boolean(),
});
export type Settings = z.infer<typeof Settings>;

export const DEFAULT_SETTINGS: Settings = {
  backupSeconds: 12,
  restoreSeconds: 12,
  taskSeconds: 0.3,
  collectSeconds: 0.2,
  immediateTasks: false,
  includeSeconds: 1,
  lookupSeconds: 1,
  pointReadySeconds: 0.5,
  idleSeconds: 15 * 60,
  versions: ['v1_4', 'v1_5', 'v1_6', 'v1_7'],
  standart: true,
  timestamps: 'microseconds',
  jsonCase: 'pascal',
  jsonBom: false,
  advertisedHost: null,
  timeZone: 'UTC',
  restoredObjRef: true,
  restoreSessionPoint: true,
  hierarchyRootDefect: false,
  missingJobStatus: 404,
  backupPerMachine: true,
};
