/**
 * The Holdfast API as the holder of one token uses it.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Operation, Problem } from './documents.ts';
import type { Answer, Call, Server } from './http.ts';

/** The API said no. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: number;
  readonly problem: Problem;

  constructor(call: Call, status: number, problem: Problem) {
    const fields = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
    super(`${call.method} ${call.path} answered ${status} ${problem.code}: ${[problem.detail, ...fields].join('; ')}`);
    this.status = status;
    this.problem = problem;
  }
}

/** The API under one token. Every function throws ApiProblem where the API refuses. */
export interface Api {
  get<T extends z.ZodType>(path: string, as: T): Promise<z.infer<T>>;
  /** All items of a list, page after page. */
  list<T extends z.ZodType>(path: string, item: T): Promise<z.infer<T>[]>;
  post<T extends z.ZodType>(path: string, json: unknown, as: T): Promise<z.infer<T>>;
  put<T extends z.ZodType>(path: string, json: unknown, as: T): Promise<z.infer<T>>;
  delete(path: string): Promise<void>;
  /** Begins an operation, once, however often the request must be sent until its answer arrives. */
  begin(path: string, json?: unknown): Promise<Operation>;
}

/** The API for the holder of a token. */
export function apiFor(server: Server, token: string): Api {
  const ask = async <T extends z.ZodType>(call: Call, as: T): Promise<z.infer<T>> => {
    const headers = { authorization: `Bearer ${token}`, ...call.headers };
    const answer = await server.send({ ...call, headers });
    if (answer.status >= 400) throw refusal(call, answer);
    const read = as.safeParse(answer.body);
    if (read.success) return read.data;
    throw new Error(
      `${call.method} ${call.path} answered something else than expected: ${z.prettifyError(read.error)}`,
    );
  };
  const page = async <T extends z.ZodType>(path: string, item: T) =>
    await ask({ method: 'GET', path }, z.object({ items: z.array(item), nextCursor: z.string().nullable() }));

  return {
    get: (path, as) => ask({ method: 'GET', path }, as),
    async list(path, item) {
      const first = `${path}${path.includes('?') ? '&' : '?'}limit=200`;
      const items = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const read: { items: z.infer<typeof item>[]; nextCursor: string | null } = await page(
          cursor === '' ? first : `${first}&cursor=${encodeURIComponent(cursor)}`,
          item,
        );
        items.push(...read.items);
        cursor = read.nextCursor;
      }
      return items;
    },
    post: (path, json, as) => ask({ method: 'POST', path, json }, as),
    put: (path, json, as) => ask({ method: 'PUT', path, json }, as),
    async delete(path) {
      await ask({ method: 'DELETE', path }, z.null());
    },
    begin: (path, json = {}) =>
      ask({ method: 'POST', path, json, headers: { 'idempotency-key': randomUUID() } }, Operation),
  };
}

function refusal(call: Call, { status, body }: Answer): Error {
  const problem = Problem.safeParse(body);
  if (problem.success) return new ApiProblem(call, status, problem.data);
  return new Error(`${call.method} ${call.path} answered ${status}: ${JSON.stringify(body)}`);
}

/** The problem with which the API refuses a request; `undefined` when it does not refuse. */
export async function refusalOf(request: Promise<unknown>): Promise<ApiProblem | undefined> {
  try {
    await request;
    return undefined;
  } catch (error) {
    if (error instanceof ApiProblem) return error;
    throw error;
  }
}
