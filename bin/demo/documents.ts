/**
 * What the demo reads of the API's documents; the rest of them is left alone.
 * @module
 */
import { z } from 'zod';

const Named = z.object({ id: z.string(), name: z.string() });

export const Enterprise = Named;

export const Datacenter = Named.extend({
  timeZone: z.string(),
  hypervisor: z.object({ type: z.string(), endpoint: z.string() }),
});
export type Datacenter = z.infer<typeof Datacenter>;

export const Manager = Named.extend({ type: z.string(), endpoint: z.string().nullable() });
export type Manager = z.infer<typeof Manager>;

export const ManagerCheck = z.object({
  reachable: z.boolean(),
  version: z.string().nullable(),
  identity: z.string().nullable(),
  clockSkewSeconds: z.number().nullable(),
  problems: z.array(z.object({ code: z.string(), message: z.string() })),
  policies: z.array(z.object({ code: z.string(), ok: z.boolean(), message: z.string().nullable() })),
});

export const Policy = Named.extend({
  managerId: z.string(),
  code: z.string(),
  description: z.string(),
  replication: z.boolean(),
  timeZone: z.string(),
  retentionDays: z.number(),
  configurations: z.array(z.record(z.string(), z.unknown())),
});
export type Policy = z.infer<typeof Policy>;

export const Token = Named.extend({ revokedAt: z.string().nullable() });
export const CreatedToken = Named.extend({ token: z.string() });

const Disk = z.object({ label: z.string(), sizeGiB: z.number() });

export const VirtualMachine = Named.extend({
  enterpriseId: z.string(),
  datacenterId: z.string(),
  state: z.string(),
  lock: z
    .object({ operationId: z.string(), kind: z.string(), reason: z.string().nullable(), ageSeconds: z.number() })
    .nullable(),
  cpu: z.number(),
  memoryMiB: z.number(),
  disks: z.array(Disk),
  backupPolicies: z.array(
    z.object({ policyId: z.string(), configurations: z.array(z.looseObject({ time: z.string().nullish() })) }),
  ),
  hypervisorRef: z.string().nullable(),
  schedules: z.array(z.object({ manager: Named, policies: z.array(z.object({ code: z.string() })) })),
});
export type VirtualMachine = z.infer<typeof VirtualMachine>;

const OperationError = z.object({ code: z.string(), message: z.string(), vendorMessage: z.string().nullable() });

/** The states in which an operation has ended; in any other it goes on. */
const ENDED = ['SUCCEEDED', 'ROLLED_BACK', 'ROLLED_BACK_WITH_RESIDUE', 'FAILED', 'CANCELLED'];

export const OperationSummary = z.object({
  id: z.string(),
  kind: z.string(),
  origin: z.string(),
  state: z.string(),
  vm: Named,
  progress: z.number(),
  attentionReason: z.string().nullable(),
  createdAt: z.string(),
  finishedAt: z.string().nullable(),
  error: OperationError.nullable(),
  links: z.object({ temporalUi: z.string() }),
});
export type OperationSummary = z.infer<typeof OperationSummary>;

export const Operation = OperationSummary.extend({
  steps: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      reason: z.string().nullable(),
      error: OperationError.nullable(),
      compensation: z.object({ state: z.string() }).nullable(),
    }),
  ),
  residue: z.array(z.object({ description: z.string() })),
});
export type Operation = z.infer<typeof Operation>;

/** Whether the operation has ended. */
export function hasEnded(operation: Pick<OperationSummary, 'state'>): boolean {
  return ENDED.includes(operation.state);
}

export const BackupResult = z.object({
  id: z.string(),
  name: z.string(),
  operationId: z.string().nullable(),
  origin: z.string(),
  status: z.string(),
  restorable: z.boolean(),
  lastReplication: z.object({ status: z.string(), message: z.string().nullable() }).nullable(),
  sizeBytes: z.number().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  copies: z.array(
    z.object({
      location: z.string(),
      locationName: z.string().nullable(),
      vendorId: z.string(),
      state: z.string(),
      overdue: z.boolean(),
      expiresAt: z.string().nullable(),
      expiryEstimated: z.boolean(),
    }),
  ),
});
export type BackupResult = z.infer<typeof BackupResult>;

/** A refusal (RFC 9457). */
export const Problem = z.looseObject({
  code: z.string(),
  title: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  holder: z
    .object({ operationId: z.string(), kind: z.string().optional(), requestedBy: z.string().optional() })
    .optional(),
});
export type Problem = z.infer<typeof Problem>;
