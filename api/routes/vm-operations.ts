/**
 * What is done to a virtual machine by an operation.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { z } from 'zod';
import type { ErrorCode } from '../../domain/errors.ts';
import type { Privilege } from '../../domain/privileges.ts';
import { ACCEPTED, accepted, IDEMPOTENCY_HEADERS, idempotencyOf } from '../accepted.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, type ApiEnv, newRoutes } from '../context.ts';
import { BEARER, ID_PATH, Id, NO_OPTIONS, optionalBody } from '../fields.ts';
import type { VmRequest } from '../operation-requests.types.ts';
import { OPERATION_PROBLEMS, problems } from '../problems.ts';

const UndeployOptions = z
  .strictObject({
    forceUndeploy: z
      .boolean()
      .optional()
      .describe(
        'Go on when a backup system does not remove its schedule; what is left is named as residue. Needs VAPP_FORCE_UNDEPLOY too.',
      ),
  })
  .meta({ id: 'UndeployOptions' });

const BackupOptions = z
  .strictObject({
    policyId: Id.optional().describe('May be left out when the virtual machine has a single policy.'),
    replication: z.boolean().optional().describe("Default: the policy's."),
  })
  .meta({ id: 'BackupOptions' });

type OperationCode = (typeof OPERATION_PROBLEMS)[number];

function operationRoute<const P extends string, B extends z.ZodType, const C extends ErrorCode>(of: {
  readonly path: P;
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly privilege: Privilege;
  readonly body: B;
  readonly codes: readonly C[];
}) {
  return createRoute({
    method: 'post',
    path: of.path,
    operationId: of.operationId,
    tags: ['Virtual machine operations'],
    summary: of.summary,
    description: of.description,
    security: BEARER,
    middleware: requires(of.privilege),
    request: { params: ID_PATH, headers: IDEMPOTENCY_HEADERS, body: optionalBody(of.body) },
    responses: { 202: ACCEPTED, ...problems<OperationCode | C>(...OPERATION_PROBLEMS, ...of.codes) },
  });
}

const deploy = operationRoute({
  path: '/v1/virtual-machines/{id}/deploy',
  operationId: 'deployVirtualMachine',
  summary: 'Deploy a virtual machine together with its backup schedules',
  description: 'If a backup schedule cannot be made, the whole deploy is undone.',
  privilege: 'VAPP_MANAGE',
  body: NO_OPTIONS,
  codes: ['VM_DEPLOY_NOT_ALLOWED'],
});

const undeploy = operationRoute({
  path: '/v1/virtual-machines/{id}/undeploy',
  operationId: 'undeployVirtualMachine',
  summary: 'Undeploy a virtual machine and remove its backup schedules',
  description: 'Its backups stay and can be restored once it is deployed again.',
  privilege: 'VAPP_MANAGE',
  body: UndeployOptions,
  codes: ['VM_UNDEPLOY_NOT_ALLOWED'],
});

const powerOn = operationRoute({
  path: '/v1/virtual-machines/{id}/power-on',
  operationId: 'powerOnVirtualMachine',
  summary: 'Switch a virtual machine on',
  description: 'From OFF or CONFIGURED.',
  privilege: 'VAPP_MANAGE',
  body: NO_OPTIONS,
  codes: ['VM_NOT_DEPLOYED', 'VM_STATE_NOT_ALLOWED'],
});

const powerOff = operationRoute({
  path: '/v1/virtual-machines/{id}/power-off',
  operationId: 'powerOffVirtualMachine',
  summary: 'Switch a virtual machine off',
  description: 'From ON.',
  privilege: 'VAPP_MANAGE',
  body: NO_OPTIONS,
  codes: ['VM_NOT_DEPLOYED', 'VM_STATE_NOT_ALLOWED'],
});

const backup = operationRoute({
  path: '/v1/virtual-machines/{id}/backup',
  operationId: 'backUpVirtualMachine',
  summary: 'Back a virtual machine up now',
  description: 'Nobody else can touch the virtual machine until the backup system has finished.',
  privilege: 'VAPP_MANAGE_BACKUP',
  body: BackupOptions,
  codes: [
    'BACKUP_REQUEST_VM_MUST_BE_DEPLOYED',
    'BACKUP_ONDEMAND_NOT_SUPPORTED',
    'BACKUP_POLICY_AMBIGUOUS',
    'BACKUP_POLICY_NOT_FOUND',
    'BACKUP_INVALID_REPLICATION_OPTION',
  ],
});

/** The routes that begin operations on a virtual machine. */
export function vmOperationRoutes(dependencies: ApiDependencies) {
  const { operations } = dependencies;
  return newRoutes()
    .openapi(deploy, async (c) => {
      const request = asked(c, deploy, c.req.valid('param'), c.req.valid('header'), c.req.valid('json'));
      return await accepted(c, dependencies, await operations.deploy(request));
    })
    .openapi(undeploy, async (c) => {
      const request = asked(c, undeploy, c.req.valid('param'), c.req.valid('header'), c.req.valid('json'));
      return await accepted(c, dependencies, await operations.undeploy(request));
    })
    .openapi(powerOn, async (c) => {
      const request = asked(c, powerOn, c.req.valid('param'), c.req.valid('header'), c.req.valid('json'));
      return await accepted(c, dependencies, await operations.powerOn(request));
    })
    .openapi(powerOff, async (c) => {
      const request = asked(c, powerOff, c.req.valid('param'), c.req.valid('header'), c.req.valid('json'));
      return await accepted(c, dependencies, await operations.powerOff(request));
    })
    .openapi(backup, async (c) => {
      const request = asked(c, backup, c.req.valid('param'), c.req.valid('header'), c.req.valid('json'));
      return await accepted(c, dependencies, await operations.backup(request));
    });
}

/** What the request asks for; method and path pattern are the scope of its idempotency key. */
function asked<Body>(
  c: Context<ApiEnv>,
  route: { readonly method: string; readonly path: string },
  { id: vmId }: { readonly id: string },
  headers: { readonly 'idempotency-key'?: string | undefined },
  body: Body,
): VmRequest<Body> {
  const scope = `${route.method.toUpperCase()} ${route.path}`;
  const idempotency = idempotencyOf(c, headers['idempotency-key'], scope, body);
  return { principal: c.get('principal'), vmId, body, idempotency };
}
