/**
 * What the routes are handed, and what a request carries.
 * @module
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Database } from '../db/connect.ts';
import type { Sealing } from '../db/sealing.ts';
import type { Principal } from '../domain/privileges.ts';
import type { Config } from '../temporal.config.ts';
import type { OperationRequests } from './operation-requests.types.ts';
import { refuseInvalid } from './validation.ts';

/** Everything that the API needs from outside. */
export interface ApiDependencies {
  readonly db: Database;
  readonly operations: OperationRequests;
  /** Asked only whether it can be reached and which runs are open; operations go through `operations`. */
  readonly temporal: Pick<Client, 'connection' | 'workflow'>;
  readonly sealing: Sealing;
  readonly logger: Logger;
  readonly config: Pick<Config, 'temporal' | 'metrics'>;
}

/** What middleware leaves for the handlers. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    /** Set by authentication; absent on the open paths. */
    principal: Principal;
  };
}

/** An empty set of routes that refuses what its schemas refuse. */
export function newRoutes(): OpenAPIHono<ApiEnv> {
  return new OpenAPIHono<ApiEnv>({ defaultHook: refuseInvalid });
}
