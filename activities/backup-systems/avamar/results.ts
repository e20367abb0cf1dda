/**
 * The backups that Avamar lists for a client, and their copies on other servers.
 * @module
 */
import { z } from 'zod';
import type { CallContext } from '../../calls.ts';
import { type CopyRef, type CopyReport, copyKey, type ResultReport } from '../backup-system.ts';
import { backupId, partsOf } from './backup-id.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** The location of a copy on the Avamar server itself; other locations are ids of replication destinations. */
export const LOCAL = 'Local';

const Text = z.string().nullish();
const Copy = z.object({
  labelNumber: z.union([z.string(), z.number()]).transform(String),
  /** Epoch milliseconds; the unit is not documented and follows the swagger's other times. 0: never. */
  expirationTime: z.number().nullish(),
  location: Text,
  localMissing: z.boolean().nullish(),
  destId: Text,
});
/** `BackupInfo` of the swagger; `children` are the copies on other servers. */
const Backup = Copy.extend({
  name: Text,
  date: Text,
  creationTime: z.number().nullish(),
  pluginNumber: z.number().nullish(),
  size: z.number().nullish(),
  children: z.array(Copy).nullish(),
});
export type Backup = z.infer<typeof Backup>;

const REMOTE = { includeRemote: 'true' };

function resultOf(cid: string, backup: Backup): ResultReport {
  return {
    vendorBackupId: backupId(cid, backup.labelNumber),
    vendorVmRef: cid,
    name: backup.name || `${LOCAL} ${backup.labelNumber}`,
    createdAt: createdAt(backup),
    sizeBytes: backup.size ?? null,
    copies: copiesOf(backup),
  };
}

function createdAt(backup: Backup): Date {
  return new Date(backup.creationTime ?? backup.date ?? 0);
}

function copiesOf(backup: Backup): CopyReport[] {
  const copies = [backup, ...(backup.children ?? [])].map((copy) => ({
    location: copy.location === 'Remote' && copy.destId ? copy.destId : LOCAL,
    vendorId: copy.labelNumber,
    expiresAt: copy.expirationTime ? new Date(copy.expirationTime) : null,
    expiryEstimated: false,
  }));
  return copies.filter(({ location }) => location !== LOCAL || backup.localMissing !== true);
}

async function* backupsOf(
  rest: AvamarRest,
  context: CallContext,
  cid: string,
  query: Readonly<Record<string, string>>,
): AsyncGenerator<Backup> {
  const path = `/clients/${encodeURIComponent(cid)}/backups`;
  const list = { path, query: { ...REMOTE, ...query }, purpose: 'list the backups of a client', item: Backup };
  const seen = new Set<string>();
  try {
    for await (const backup of rest.items(context, list)) {
      if (seen.has(backup.labelNumber)) continue;
      seen.add(backup.labelNumber);
      yield backup;
    }
  } catch (error) {
    // A client that was deleted took its backups with it.
    if (!isAbsent(error)) throw error;
  }
}

/** The backups of these clients that were made at or after that moment. */
export async function* listResults(
  rest: AvamarRest,
  context: CallContext,
  cids: readonly string[],
  since: Date,
): AsyncGenerator<ResultReport> {
  for (const cid of cids) {
    // A second more, as nobody says whether `after` includes its moment.
    const after = new Date(Math.max(0, since.getTime() - 1_000)).toISOString();
    for await (const backup of backupsOf(rest, context, cid, { after })) {
      if (createdAt(backup) >= since) yield resultOf(cid, backup);
    }
  }
}

/** One backup of a client; `undefined` when it is not listed. */
export async function backup(
  rest: AvamarRest,
  context: CallContext,
  cid: string,
  labelNumber: string,
): Promise<Backup | undefined> {
  const path = `/clients/${encodeURIComponent(cid)}/backups/${encodeURIComponent(labelNumber)}`;
  try {
    const call = { method: 'GET', path, purpose: `look at the backup ${labelNumber}`, answer: Backup } as const;
    return (await rest.read(context, call)).body;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** One backup as a result. */
export async function result(
  rest: AvamarRest,
  context: CallContext,
  vendorVmRef: string,
  vendorBackupId: string,
): Promise<ResultReport | undefined> {
  const { cid, labelNumber } = partsOf(vendorBackupId, vendorVmRef);
  const found = await backup(rest, context, cid, labelNumber);
  return found === undefined ? undefined : resultOf(cid, found);
}

/** Which of these copies Avamar still lists; one list is read for each client. */
export async function listed(
  rest: AvamarRest,
  context: CallContext,
  copies: readonly CopyRef[],
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  for (const cid of new Set(copies.map((copy) => copy.vendorVmRef))) {
    for await (const one of backupsOf(rest, context, cid, {})) {
      for (const { location, vendorId } of copiesOf(one)) there.add(copyKey({ vendorVmRef: cid, vendorId, location }));
    }
  }
  return new Set(copies.map(copyKey).filter((key) => there.has(key)));
}
