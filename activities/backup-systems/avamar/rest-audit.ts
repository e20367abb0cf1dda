/**
 * Avamar's audit of its REST API: what was answered to whom (swagger, `RestAuditVO`). It is the witness of starts whose
 * answer was lost.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { AvamarRest } from './rest.ts';

const Text = z.string().nullish();
const Record = z.object({
  date: Text,
  apiHttpMethod: Text,
  apiUrl: Text,
  oauth2ClientId: Text,
  responseStatusCode: z.number().nullish(),
  responseBody: z.unknown(),
});
type Record = z.infer<typeof Record>;

/** A start that Avamar has answered with the ids of activities. */
export interface AnsweredStart {
  readonly activityIds: readonly string[];
  /** Whether Holdfast asked for it; else somebody else did, also through the REST API. */
  readonly isOurs: boolean;
  /** Whose backup or restore it is. */
  readonly cid: string;
  /** Restores: the number of the backup. */
  readonly labelNumber: string | undefined;
}

/** `/clients/{cid}/backup`, `/clients/{cid}/groups/{id}/backup`, `/clients/{cid}/backups/{number}/restore:vm`. */
const START = /\/clients\/([^/]+)\/(?:(?:groups\/[^/]+\/)?backup|backups\/([^/]+)\/restore:vm)$/;

/**
 * The starts of backups and restores that were answered since a moment of Avamar's clock.
 * @returns `undefined` when the audit may not be read: it is for administrators.
 */
export async function answeredStarts(
  rest: AvamarRest,
  context: CallContext,
  since: Date,
): Promise<AnsweredStart[] | undefined> {
  // A second more, as nobody says whether `after` includes its moment.
  const query = { after: new Date(since.getTime() - 1_000).toISOString() };
  const list = { path: '/rest-audit', query, purpose: 'read its audit', item: Record };
  const found: AnsweredStart[] = [];
  try {
    for await (const record of rest.items(context, list)) {
      const start = isBefore(record, since) ? undefined : startOf(record, rest.login.clientId);
      if (start !== undefined) found.push(start);
    }
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || (error.transient && error.kind !== 'LOGIN_REFUSED')) throw error;
    return undefined;
  }
  return found;
}

/** A date without a zone may be of any; what it says decides nothing. */
function isBefore({ date }: Record, since: Date): boolean {
  return /(?:Z|[+-]\d\d:?\d\d)$/.test(date ?? '') && new Date(date ?? '') < since;
}

function startOf(record: Record, ourClientId: string): AnsweredStart | undefined {
  const { apiHttpMethod, apiUrl, responseStatusCode, responseBody, oauth2ClientId } = record;
  const [, cid, labelNumber] = START.exec(apiUrl?.split('?', 1)[0] ?? '') ?? [];
  if (apiHttpMethod !== 'POST' || cid === undefined || (responseStatusCode ?? 200) >= 300) return undefined;
  return {
    activityIds: idsIn(responseBody),
    isOurs: oauth2ClientId === ourClientId,
    cid: decoded(cid),
    labelNumber: labelNumber === undefined ? undefined : decoded(labelNumber),
  };
}

/** A backup is answered with a list of ids, a restore with one; the audit may keep the answer as its text. */
function idsIn(body: unknown): string[] {
  if (typeof body === 'string' && /^\s*["[]/.test(body)) {
    try {
      return idsIn(JSON.parse(body));
    } catch {
      return [];
    }
  }
  return z.union([z.string().transform((id) => [id]), z.array(z.string())]).safeParse(body).data ?? [];
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
