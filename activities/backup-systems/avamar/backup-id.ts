/**
 * The id of a backup: a label number is unique within its client only, so the client is part of it. One that is on
 * another server alone is listed with the number that it has there, so that server is part of it too.
 * @module
 */

export interface BackupParts {
  readonly cid: string;
  readonly labelNumber: string;
  /** The other server, where it is on that one alone. */
  readonly destId?: string | undefined;
}

/** `<client id>/<label number>`, or `<client id>/<label number>@<destination id>`. */
export function backupId(cid: string, labelNumber: string, destId?: string): string {
  return destId === undefined ? `${cid}/${labelNumber}` : `${cid}/${labelNumber}@${destId}`;
}

/** The parts of a backup id; a bare label number belongs to `cid`. */
export function partsOf(id: string, cid: string): BackupParts {
  const slash = id.lastIndexOf('/');
  const [labelNumber = '', destId] = id.slice(slash + 1).split('@');
  return { cid: slash < 0 ? cid : id.slice(0, slash), labelNumber, destId };
}
