/**
 * The plugin's configuration file: YAML or JSON, every key optional.
 * @module
 */
import { z } from 'zod';
import { type Subtype, SUBTYPES } from '../../../domain/policies.ts';
import { patternProblem } from './names.ts';
import { readConfigFile } from '../config-file.ts';

const ONE_KEY = 'write either days or restorePoints';

/** How long a job keeps its restore points: days, or a number of points. */
const Retention = z
  .strictObject({
    days: z.int().min(1).max(99_999).optional(),
    restorePoints: z.int().min(1).max(99_999).optional(),
  })
  .transform(({ days, restorePoints }, context): { days: number } | { restorePoints: number } => {
    if (days !== undefined && restorePoints === undefined) return { days };
    if (restorePoints !== undefined && days === undefined) return { restorePoints };
    context.addIssue({ code: 'custom', message: ONE_KEY });
    return z.NEVER;
  });

const seconds = (min: number, max: number, otherwise: number) => z.int().min(min).max(max).default(otherwise);

const VeeamConfig = z.strictObject({
  /**
   * The name of a VM's job, with `{vmId}` where the VM's id goes; 50 characters at most when it is filled in. Changing it
   * orphans jobs whose reference is not on record; those on record keep the name that they have.
   */
  jobName: z
    .string()
    .superRefine((pattern, context) => {
      const message = patternProblem(pattern);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    })
    .default('holdfast-{vmId}'),

  /**
   * How long restore points are kept: what the job is told, and what expiry dates are estimated from. The most specific
   * entry wins: `policies` (by policy code, in any case), `subtypes`, `default`; without any, the policy's own days.
   */
  retention: z
    .strictObject({
      /** For every policy that has no other entry. */
      default: Retention.optional(),
      /** By subtype: HOURLY, DAILY, WEEKLY_PLANNED, MONTHLY. */
      subtypes: z.partialRecord(z.enum(SUBTYPES), Retention).default({}),
      /** By policy code. */
      policies: z.record(z.string(), Retention).default({}),
    })
    .prefault({}),

  /**
   * The repository of new jobs, by its name in Veeam: a clone has to name one, and the REST API does not tell that of the
   * template. Without an entry it is the one that the template's own backups lie in, else the only one there is.
   */
  repository: z
    .strictObject({
      /** For every policy that has no other entry. */
      default: z.string().min(1).optional(),
      /** By policy code, in any case. */
      policies: z.record(z.string(), z.string().min(1)).default({}),
    })
    .prefault({}),

  /**
   * The vCenter that the VMs are in, by the name that it has in Veeam. Only needed where Veeam knows several and a VM
   * cannot be told from one of another vCenter.
   */
  vcenter: z.string().min(1).optional(),

  /**
   * How many seconds one change (a clone, an edit, a removal) may take before it is looked at by its effect and, where
   * that does not show, counted as unknown.
   */
  taskTimeoutSeconds: seconds(5, 3_600, 120),
  /** How many seconds a VM may take until it shows among the objects of its job. */
  includeTimeoutSeconds: seconds(1, 3_600, 60),
  /**
   * For how many seconds after a clone whose answer was lost its job may still appear. Until then an undo does not
   * believe that there is none.
   */
  cloneSettlingSeconds: seconds(1, 86_400, 600),
  /**
   * For how many seconds after the end of a good backup its restore point may be missing; until then the backup counts
   * as running.
   */
  restorePointTimeoutSeconds: seconds(0, 3_600, 300),
  /** For how many seconds a restore whose start got no answer may not be listed yet. */
  quietPeriodSeconds: seconds(1, 3_600, 120),
});

export type VeeamConfig = Readonly<z.output<typeof VeeamConfig>>;
export type Retention = z.output<typeof Retention>;

/** The entry for a policy code in any case; the exact one before another. */
export function entryFor<T>(entries: Readonly<Record<string, T>>, code: string): T | undefined {
  if (Object.hasOwn(entries, code)) return entries[code];
  return Object.entries(entries).find(([key]) => key.toLowerCase() === code.toLowerCase())?.[1];
}

/** The retention that the file gives a policy of that subtype; `undefined`: the policy's own days. */
export function configuredRetention(config: VeeamConfig, code: string, subtype: Subtype): Retention | undefined {
  const { policies, subtypes, default: otherwise } = config.retention;
  return entryFor(policies, code) ?? subtypes[subtype] ?? otherwise;
}

/**
 * Reads the configuration of the plugin.
 * @param path of the file; `undefined` means the defaults.
 * @throws Error that names the file, and each wrong key with what is wrong with it.
 */
export function loadVeeamConfig(path: string | undefined): VeeamConfig {
  return readConfigFile(path, VeeamConfig, 'Veeam');
}
