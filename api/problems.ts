/**
 * Errors as answers: RFC 9457 problem documents with a code of the catalogue and a page for each code.
 * @module
 */
import { isGrpcServiceError } from '@temporalio/client';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { ERRORS, type ErrorCode, errorDefinition, HoldfastError, isErrorCode } from '../domain/errors.ts';
import type { ApiEnv } from './context.ts';
import { fromDatabase } from './database-errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** What `legacyCode` is. */
export const LEGACY_CODES =
  'A legacy code is that of the same error in Abiquo, another cloud platform, for clients that were written for it.';

/** The page of a code, relative to the API; the list of pages for what is not a code. */
export function errorPage(code: string): string {
  return isErrorCode(code) ? `/errors/${code}` : '/errors';
}

const Problem = z
  .looseObject({
    type: z.string().describe('The page about this code: what happened and how to fix it.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What happened this time, and what to do.'),
    instance: z.string().describe('The id of the request; the log has it too.'),
    code: z.string(),
    legacyCode: z.string().optional().describe(LEGACY_CODES),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string(), code: z.string() }))
      .optional()
      .describe('Each field that is wrong, with a JSON pointer.'),
  })
  .meta({ id: 'Problem' });

type ProblemResponse = {
  readonly description: string;
  readonly content: { readonly 'application/problem+json': { readonly schema: typeof Problem } };
};
type ProblemResponses<C extends ErrorCode> = { readonly [S in (typeof ERRORS)[C]['status']]: ProblemResponse };

/** Every route may answer these. */
const ALWAYS = ['INTERNAL', 'DATABASE_UNAVAILABLE', 'METHOD_NOT_ALLOWED'] as const;

/** The codes of routes that take a body. */
export const BODY_PROBLEMS = [
  'MALFORMED_JSON',
  'UNSUPPORTED_MEDIA_TYPE',
  'PAYLOAD_TOO_LARGE',
  'INVALID_REQUEST',
] as const satisfies readonly ErrorCode[];

/** What policyProblems may find. */
export const POLICY_PROBLEMS = [
  'BACKUP_MANAGER_NOT_FOUND',
  'BACKUP_NON_VALID_TYPE',
  'BACKUP_NON_VALID_PERIOD',
  'BACKUP_NON_VALID_DAY',
  'BACKUP_NOT_UNIQUE',
  'BACKUP_DISKS',
  'BACKUP_INVALID_DISKS',
  'BACKUP_INVALID_HOURLY',
  'BACKUP_INVALID_DATE_FORMAT',
  'BACKUP_INVALID_DATE_FORMAT_DEFINED',
  'BACKUP_WEEKLY_WITHOUT_DAY',
  'BACKUP_INVALID_REPLICATION_OPTION',
  'BACKUP_TOO_MANY_CONFIGURATIONS',
] as const satisfies readonly ErrorCode[];

/** What resolveSchedules may find. */
export const CHOICE_PROBLEMS = [
  'BACKUP_POLICY_NOT_FOUND',
  'BACKUP_CONFIGURATION_NOT_FOUND',
  'BACKUP_NOT_UNIQUE',
  'BACKUP_NOT_FOUND',
  'BACKUP_NOT_EDITABLE',
  'BACKUP_TIME_NOT_INDICATED',
  'BACKUP_INVALID_HOURLY',
  'BACKUP_INVALID_DATE_FORMAT',
  'BACKUP_INVALID_DATE_FORMAT_DEFINED',
  'BACKUP_WEEKLY_WITHOUT_DAY',
  'BACKUP_INVALID_DISKS',
  'BACKUP_MULTIPLE_POLICIES_DISABLED',
] as const satisfies readonly ErrorCode[];

/** The codes of routes that begin an operation. */
export const OPERATION_PROBLEMS = [
  ...BODY_PROBLEMS,
  'NOT_FOUND',
  'VM_LOCKED',
  'IDEMPOTENCY_KEY_REUSED',
] as const satisfies readonly ErrorCode[];

/** The codes of lists. */
export const LIST_PROBLEMS = ['INVALID_CURSOR', 'INVALID_REQUEST'] as const satisfies readonly ErrorCode[];

/**
 * Declares the problems that a route answers, a response for each status that names its codes.
 * @example responses: { 200: …, ...problems('NOT_FOUND', ...BODY_PROBLEMS) }
 */
export function problems<const C extends ErrorCode>(...codes: readonly C[]): ProblemResponses<C> {
  const responses: Record<number, ProblemResponse> = {};
  const all: readonly ErrorCode[] = [...new Set<ErrorCode>([...codes, 'UNAUTHENTICATED', 'FORBIDDEN', ...ALWAYS])];
  for (const status of new Set(all.map((code) => errorDefinition(code).status))) {
    const named = all.filter((code) => errorDefinition(code).status === status);
    responses[status] = problemAnswer(...named);
  }
  return responses;
}

/** Declares one response, for codes of the same status. */
export function problemAnswer(...codes: readonly ErrorCode[]): ProblemResponse {
  return {
    description: codes.map((code) => `${code}: ${errorDefinition(code).title}`).join('. '),
    content: { [PROBLEM_TYPE]: { schema: Problem } },
  };
}

const BY_STATUS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  400: ['MALFORMED_JSON', 'The body is not JSON: check its brackets, quotes and commas.'],
  413: ['PAYLOAD_TOO_LARGE', 'The body is larger than 1 MiB.'],
  415: ['UNSUPPORTED_MEDIA_TYPE', 'Send the body with the content type application/json.'],
};

/** gRPC: DEADLINE_EXCEEDED and UNAVAILABLE. */
const UNREACHABLE: ReadonlySet<number> = new Set([4, 14]);

/** What a client is told about an error; an unknown one becomes INTERNAL and says nothing of what is inside. */
export function toHoldfastError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  if (error instanceof HTTPException) {
    const known = BY_STATUS[error.status];
    if (known !== undefined) return new HoldfastError(...known);
  }
  // The client wraps the errors of some of its calls.
  const call = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  if (isGrpcServiceError(call) && UNREACHABLE.has(call.code)) {
    return new HoldfastError('TEMPORAL_UNAVAILABLE', 'Temporal cannot be reached. Try again in a few seconds.');
  }
  return (
    fromDatabase(error) ??
    new HoldfastError(
      'INTERNAL',
      'Something failed inside Holdfast. The log has the reason under the id of this request.',
    )
  );
}

/** The answer for an error. */
export function problemResponse(c: Context<ApiEnv>, error: HoldfastError): Response {
  const { status, title, legacy } = errorDefinition(error.code);
  const document = {
    ...error.extra,
    type: errorPage(error.code),
    title,
    status,
    detail: error.message,
    instance: c.get('requestId'),
    code: error.code,
    ...(legacy === undefined ? {} : { legacyCode: legacy }),
    ...(error.problems.length === 0 ? {} : { errors: error.problems }),
  };
  if (status === 401) c.header('WWW-Authenticate', 'Bearer realm="holdfast"');
  if (status === 503) c.header('Retry-After', '5');
  return c.body(JSON.stringify(document), status as ContentfulStatusCode, { 'Content-Type': PROBLEM_TYPE });
}
