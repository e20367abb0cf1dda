/**
 * What is written to clients, in the vendor's shapes. Fields that this server makes no use of are checked all the same.
 * @module
 */
import { z } from 'zod';
import { SnapFlagDTO } from './flags.ts';
import { vendorEnum } from './spring.ts';

const Encryption = vendorEnum(['HIGH', 'MEDIUM', 'NONE']);

/** Whom a client belongs to; this server takes no note of it. */
export const Contact = z.object({
  email: z.string().optional(),
  location: z.string().optional(),
  name: z.string().optional(),
  notes: z.string().optional(),
  phone: z.string().optional(),
});

/** `UpdateClientDTO`; of what it takes for agents and containers this server takes no note. */
export const ClientChange = z.object({
  name: z.string().min(1).optional(),
  enabled: z.boolean().optional(),
  cbtEnabled: z.boolean().optional(),
  retentionId: z.string().optional(),
  activated: z.boolean().optional(),
  allowAdditionDataset: z.boolean().optional(),
  allowOverrideSchedule: z.boolean().optional(),
  contact: Contact.optional(),
  clientInitBackup: z.object({}).optional(),
  dynamic: z.boolean().optional(),
  encryption: Encryption.optional(),
  overrideEncryption: z.boolean().optional(),
  overrideRetention: z.boolean().optional(),
  overtimeOption: vendorEnum(['NEVER', 'NEXT', 'NEXT_SUCCESS', 'ALWAYS']).optional(),
  paging: z.object({}).optional(),
  recursiveProtection: z.boolean().optional(),
  updateVmClient: z.boolean().optional(),
});
/** `RetireClientParam`. */
export const Retirement = z.object({
  forceRetire: z.boolean().optional(),
  localBackupExpirationTime: z.iso.datetime({ offset: true }).optional(),
  remoteBackupExpirationTime: z.iso.datetime({ offset: true }).optional(),
  parentCid: z.string().optional(),
});
/** `BackupClientParam`. */
export const OnDemandBackup = z.object({
  targets: z
    .array(
      z.object({
        name: z.string(),
        pluginNumber: z.number().int(),
        disks: z.array(z.object({ diskPath: z.string() })).optional(),
        file: z.boolean().optional(),
        recordId: z.string().optional(),
        xmlAttributes: z.string().optional(),
      }),
    )
    .min(1),
  /** Epoch milliseconds, like the other int64 times of the swagger's examples; absent: the client's retention. */
  expireTime: z.number().int().nonnegative().optional(),
  encryption: Encryption.optional(),
  flags: z.array(SnapFlagDTO).optional(),
  ignoreIndependentAndRawDisks: z.boolean().optional(),
  proxy: z.string().optional(),
});
