/**
 * The plugin's configuration file: YAML or JSON, every key optional.
 * @module
 */
import { z } from 'zod';
import { WEEKDAYS } from '../../../domain/policies.ts';
import { Secret } from '../backup-system.ts';
import { readConfigFile } from '../config-file.ts';

const Domain = z.string().regex(/^\/[^\s]*$/, 'write the path of an Avamar domain, for example / or /tenants');

const EVERY_MONTHS_DAYS = Array.from({ length: 28 }, (_, index) => index + 1);
const MonthDay = z.literal([...EVERY_MONTHS_DAYS, 'last'], {
  error: 'write 1 to 28, or last: not every month has a 29th, 30th or 31st day',
});

/** Where backups are copied to, and when by schedule. */
const ReplicationTarget = z.strictObject({
  /** Name of a replication destination. Absent: the one that there is. */
  destination: z.string().min(1).optional(),
  /** What makes the destination where there is none of that name. */
  create: z
    .strictObject({
      /**
       * Options of the replicate plug-in by id, for example `dstaddr` (swagger, `DestinationServerDTO.configFlags`). The
       * password of the other server is among them, so all are secret.
       */
      flags: z.record(
        z.string().min(1),
        z
          .string()
          .min(1)
          .transform((value) => new Secret(value)),
      ),
    })
    .optional(),
  /** Id of the schedule on which the backups of policies with replication are copied. Absent: Avamar's own for that. */
  schedule: z.string().min(1).optional(),
  /** Of the connection to the destination. Absent: `HIGH`. */
  encryption: z.enum(['HIGH', 'MEDIUM', 'NONE']).optional(),
});

const AvamarConfig = z.strictObject({
  /**
   * Begins the name of everything that Holdfast makes in Avamar; nothing without it is ever touched. Changing it
   * orphans what was made before.
   */
  marker: z
    .string()
    .regex(/^[a-z][a-z0-9]{1,19}$/, 'write 2 to 20 small letters and digits, beginning with a letter')
    .default('holdfast'),
  /** Where schedules, retentions, datasets and groups are made. It must be at or above the domain of the clients. */
  policyDomain: Domain.default('/'),
  /** Where VMs become clients: at or below their vCenter's domain. Absent: that domain itself. */
  clientDomain: Domain.optional(),
  /**
   * How many seconds Avamar may take to make a VM a client before that counts as unknown; the next attempt finds what
   * became of it.
   */
  clientTaskSeconds: z.int().min(1).max(3_600).default(120),
  /** How many hours after its start a scheduled backup may still run (`ScheduleDTO.duration`). The default is ours. */
  windowHours: z.int().min(1).max(24).default(8),
  /** What is scheduled where a policy says that the backup system decides, and no group of Avamar's bears its code. */
  unlessChosen: z
    .strictObject({
      /** `HH:mm` in the policy's zone. */
      time: z
        .string()
        .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'write HH:mm')
        .default('22:00'),
      /** HOURLY. */
      everyHours: z.int().min(1).max(23).default(6),
      /** WEEKLY_PLANNED. */
      day: z.enum(WEEKDAYS).default('SUNDAY'),
      /** MONTHLY: 1 to 28 or `last`. A policy names no day of the month, so this one is of all of them. */
      monthDay: MonthDay.default(1),
    })
    .prefault({}),
  /**
   * The image plug-ins. 3016 is the example of `VmRestoreParam.pluginNumber` in the Avamar 19.x swagger; that it is the
   * one for Windows and 1016 its Linux twin is not written there.
   */
  plugins: z.strictObject({ linux: z.int().default(1016), windows: z.int().default(3016) }).prefault({}),
  /** The dataset of backups that take all disks: Avamar's built-in one for VM images, seen on live 19.x servers. */
  imageDatasetId: z.string().min(1).default('VMWARE:SNAPID'),
  /** For all backup managers, and by the name of one what is else there. */
  replication: ReplicationTarget.extend({
    managers: z.record(z.string().min(1), ReplicationTarget).default({}),
  }).prefault({}),
});

export type AvamarConfig = Readonly<z.output<typeof AvamarConfig>>;
export type ReplicationTarget = z.output<typeof ReplicationTarget>;

/**
 * Reads the configuration of the plugin.
 * @param path of the file; `undefined` means the defaults.
 * @throws Error that names the file, and each wrong key with what is wrong with it.
 */
export function loadAvamarConfig(path: string | undefined): AvamarConfig {
  return readConfigFile(path, AvamarConfig, 'Avamar');
}
