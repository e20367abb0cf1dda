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
  /** 0: never. */
  expirationTime: z.number().nullish(),
  /** `Local`, `Remote`, or nothing. */
  location: Text,
  localMissing: z.boolean().nullish(),
  destId: Text,
  destName: Text,
});
type Copy = z.infer<typeof Copy>;
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

/** What a location is called that is not here. */
const REMOTE = 'Remote';

function resultOf(cid: string, backup: Backup): ResultReport {
  return {
    vendorBackupId: backupId(cid, backup.labelNumber, onlyElsewhere(backup)),
    vendorVmRef: cid,
    name: backup.name || `${LOCAL} ${backup.labelNumber}`,
    createdAt: createdAt(backup),
    sizeBytes: backup.size ?? null,
    copies: copiesOf(backup),
  };
}

/** Below this a number counts seconds: as milliseconds it is in 1973, before there was any Avamar. */
const FIRST_MILLISECONDS = 100_000_000_000;

/**
 * A moment of the API. Its times are int64, and nothing says of what unit: milliseconds, as the labels in the swagger's
 * examples end in them; a server that counts seconds is understood all the same.
 */
export function momentOf(epoch: number): Date {
  return new Date(epoch < FIRST_MILLISECONDS ? epoch * 1_000 : epoch);
}

/** When the backup was made. */
export function createdAt({ creationTime, date }: Backup): Date {
  if (creationTime) return momentOf(creationTime);
  return new Date(date || 0);
}

/** The copies that are there; one on another server has a number of its own there. */
function copiesOf(backup: Backup): CopyReport[] {
  const isGone = backup.localMissing === true && onlyElsewhere(backup) === undefined;
  const own = isGone ? [] : [copyOf(backup, onlyElsewhere(backup) ?? LOCAL)];
  return [...own, ...(backup.children ?? []).map((copy) => copyOf(copy, serverOf(copy)))];
}

/** What a copy is found by must not change, as names do: the destination's id. */
const serverOf = ({ destId }: Copy): string => destId || REMOTE;

/** The other server of a backup that is listed for itself although it is there alone. */
const onlyElsewhere = (backup: Copy): string | undefined => (backup.location === REMOTE ? serverOf(backup) : undefined);

function copyOf({ labelNumber, expirationTime, destName }: Copy, location: string): CopyReport {
  const locationName = location === LOCAL ? null : destName || null;
  const expiresAt = expirationTime ? momentOf(expirationTime) : null;
  return { location, locationName, vendorId: labelNumber, expiresAt, expiryEstimated: false };
}

async function* backupsOf(
  rest: AvamarRest,
  context: CallContext,
  cid: string,
  query: Readonly<Record<string, string>>,
): AsyncGenerator<Backup> {
  const path = `/clients/${encodeURIComponent(cid)}/backups`;
  const list = {
    path,
    query: { includeRemote: 'true', ...query },
    purpose: 'list the backups of a client',
    item: Backup,
  };
  const seen = new Set<string>();
  try {
    for await (const backup of rest.items(context, list)) {
      const id = backupId(cid, backup.labelNumber, onlyElsewhere(backup));
      if (seen.has(id)) continue;
      seen.add(id);
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

/**
 * One backup of a client; `undefined` when it is not listed.
 * @param elsewhere for a copy on another server, the server as `destId`; the number is then the copy's.
 */
export async function backup(
  rest: AvamarRest,
  context: CallContext,
  cid: string,
  labelNumber: string,
  elsewhere: Readonly<Record<string, string>> = {},
): Promise<Backup | undefined> {
  const path = `/clients/${encodeURIComponent(cid)}/backups/${encodeURIComponent(labelNumber)}`;
  try {
    const purpose = `look at the backup ${labelNumber}`;
    const call = { method: 'GET', path, query: elsewhere, purpose, answer: Backup } as const;
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
  const { cid, labelNumber, destId } = partsOf(vendorBackupId, vendorVmRef);
  const found = await backup(rest, context, cid, labelNumber, destId === undefined ? {} : { destId });
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
