/**
 * The documents of backup managers. Credentials go in and never come out.
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { BackupManagerRow } from '../../db/backup-managers.ts';
import { type Credentials, type Sealing, sealCredentials } from '../../db/sealing.ts';
import type { NewEvent } from '../../domain/events.ts';
import { BACKUP_PLUGIN_TYPES, backupPluginType, type FieldConstraint } from '../../domain/plugin-types.ts';
import type { Principal } from '../../domain/privileges.ts';
import type { FieldProblem } from '../../domain/policies.ts';
import { Endpoint, Id, iso, Moment, Name } from '../fields.ts';
import { fieldProblem } from '../validation.ts';

const TYPES = BACKUP_PLUGIN_TYPES.map((plugin) => plugin.type) as [string, ...string[]];

const Tls = z
  .discriminatedUnion('mode', [
    z.strictObject({ mode: z.literal('system') }),
    z.strictObject({
      mode: z.literal('ca'),
      pem: z.string().max(100_000).refine(isCertificate, 'must be a certificate in PEM'),
    }),
    z.strictObject({
      mode: z.literal('fingerprint'),
      sha256: z
        .string()
        .regex(/^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, 'must be a SHA-256 fingerprint: 64 hex digits'),
    }),
  ])
  .describe("What the endpoint's certificate is trusted by: the system, one authority, or its fingerprint.")
  .meta({ id: 'Tls' });

function isCertificate(pem: string): boolean {
  try {
    return pem.includes('-----BEGIN CERTIFICATE-----') && new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

const CredentialsBody = z
  .strictObject({ user: z.string().min(1).max(500), password: z.string().min(1).max(5_000) })
  .describe('Stored sealed; no answer shows them.')
  .meta({ id: 'Credentials' });

const SHARED = {
  name: Name,
  endpoint: Endpoint.optional(),
  tls: Tls.default({ mode: 'system' }),
  maxConcurrentWrites: z
    .int()
    .min(1)
    .max(100)
    .default(2)
    .describe('How many changes Holdfast makes in the backup system at once.'),
};

/** The body of a creation. */
export const NewBackupManager = z
  .strictObject({ type: z.enum(TYPES), ...SHARED, credentials: CredentialsBody.nullable().optional() })
  .meta({ id: 'NewBackupManager' });

/** The body of a change. */
export const ChangedBackupManager = z
  .strictObject({ type: z.string().optional(), ...SHARED, credentials: CredentialsBody.nullable().optional() })
  .meta({ id: 'ChangedBackupManager' });

/** What a check found. */
export const ManagerCheck = z
  .object({
    reachable: z.boolean(),
    version: z.string().nullable(),
    identity: z.string().nullable().describe('What the backup system calls itself.'),
    clockSkewSeconds: z.number().nullable().describe("The backup system's clock minus ours."),
    problems: z.array(z.object({ code: z.string(), message: z.string() })).readonly(),
    policies: z
      .array(z.object({ code: z.string(), ok: z.boolean(), message: z.string().nullable() }))
      .readonly()
      .describe('For each policy of the backup manager: whether the backup system can serve it.'),
  })
  .meta({ id: 'BackupManagerCheck' });

/** A backup manager as it is answered. */
export const BackupManager = z
  .object({
    id: Id,
    datacenterId: Id,
    type: z.string(),
    name: z.string(),
    endpoint: z.string().nullable(),
    hasCredentials: z.boolean(),
    credentialsUpdatedAt: Moment.nullable(),
    tls: Tls,
    maxConcurrentWrites: z.int(),
    identity: z.string().nullable().describe('What the backup system called itself at the first check.'),
    lastCheck: ManagerCheck.nullable(),
    checkedAt: Moment.nullable(),
    createdAt: Moment,
    links: z.object({ self: z.string(), check: z.string(), datacenter: z.string() }),
  })
  .meta({ id: 'BackupManager' });

/** The row as it is answered. */
export function toManager(row: BackupManagerRow): z.infer<typeof BackupManager> {
  const self = `/v1/backup-managers/${row.id}`;
  return {
    id: row.id,
    datacenterId: row.datacenter_id,
    type: row.type,
    name: row.name,
    endpoint: row.endpoint,
    hasCredentials: row.credentials_sealed !== null,
    credentialsUpdatedAt: iso(row.credentials_updated_at),
    tls: row.tls,
    maxConcurrentWrites: row.max_concurrent_writes,
    identity: row.identity,
    lastCheck: row.last_check,
    checkedAt: iso(row.checked_at),
    createdAt: iso(row.created_at),
    links: { self, check: `${self}/check`, datacenter: `/v1/datacenters/${row.datacenter_id}` },
  };
}

/** The columns of new credentials; `null` removes them. */
export function sealedCredentials(sealing: Sealing, managerId: string, credentials: Credentials | null) {
  return {
    credentials_sealed: credentials === null ? null : sealCredentials(sealing, managerId, credentials),
    credentials_updated_at: new Date(),
  };
}

/** What is wrong with the endpoint and the credentials for a backup manager of this type. */
export function managerProblems(type: string, endpoint: string | undefined, hasCredentials: boolean): FieldProblem[] {
  const plugin = backupPluginType(type);
  if (plugin === undefined) return [fieldProblem('/type', `there is no plugin ${type}; there is ${TYPES.join(', ')}`)];
  const { constraints, name } = plugin;
  return [
    ...constraintProblems('/endpoint', constraints.endpoint, endpoint !== undefined, name),
    ...constraintProblems('/credentials', constraints.credentials, hasCredentials, name),
  ];
}

function constraintProblems(pointer: string, constraint: FieldConstraint, given: boolean, name: string) {
  if (constraint === 'MANDATORY' && !given) return [fieldProblem(pointer, `${name} needs it`)];
  if (constraint === 'NOT_APPLICABLE' && given) return [fieldProblem(pointer, `${name} has none; leave it out`)];
  return [];
}

const PAST = { CREATE: 'created', MODIFY: 'changed', DELETE: 'deleted' } as const;

/** The event of a change. */
export function managerEvent(action: keyof typeof PAST, row: BackupManagerRow, principal: Principal): NewEvent {
  return {
    entity: 'BACKUP_MANAGER',
    action,
    severity: 'INFO',
    message: `Backup manager ${row.name} was ${PAST[action]} by ${principal.name}.`,
    datacenterId: row.datacenter_id,
    entityId: row.id,
    principal: principal.name,
    details: { type: row.type, endpoint: row.endpoint },
  };
}
