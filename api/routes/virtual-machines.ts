/**
 * Virtual machines. One that is not allocated is a draft, edited at once; any other is changed by an operation.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { z } from 'zod';
import { operationById } from '../../db/operations.ts';
import { listVms, vmView } from '../../db/virtual-machine-list.ts';
import { HoldfastError } from '../../domain/errors.ts';
import { VM_STATES } from '../../domain/virtual-machines.ts';
import { ACCEPTED, accepted, IDEMPOTENCY_HEADERS, IDEMPOTENCY_REPLAYED, idempotencyOf } from '../accepted.ts';
import { requirePrivilege, requires } from '../auth/authenticate.ts';
import { type ApiDependencies, type ApiEnv, newRoutes } from '../context.ts';
import {
  ChangedVirtualMachine,
  NewVirtualMachine,
  toVirtualMachine,
  VirtualMachine,
  VmName,
} from '../documents/virtual-machine.ts';
import { BEARER, ID_PATH, Id, json, requiredBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { CHOICE_PROBLEMS, LIST_PROBLEMS, OPERATION_PROBLEMS, problems } from '../problems.ts';
import { changeVm, createVm, deleteVm, draftOf } from '../virtual-machine-drafts.ts';

const TAGS = ['Virtual machines'];

const Query = z.object({
  ...PAGE_QUERY,
  name: VmName.optional(),
  state: z.enum([...VM_STATES, 'LOCKED']).optional(),
  datacenterId: Id.optional(),
  enterpriseId: Id.optional(),
});

const list = createRoute({
  method: 'get',
  path: '/v1/virtual-machines',
  operationId: 'listVirtualMachines',
  tags: TAGS,
  summary: 'The virtual machines that the token sees',
  security: BEARER,
  request: { query: Query },
  responses: { 200: json(pageOf(VirtualMachine, 'VirtualMachinePage'), 'A page.'), ...problems(...LIST_PROBLEMS) },
});

const POST_ROUTE = 'POST /v1/virtual-machines';

const create = createRoute({
  method: 'post',
  path: '/v1/virtual-machines',
  operationId: 'createVirtualMachine',
  tags: TAGS,
  summary: 'Create a virtual machine that is not deployed yet, or register one that runs already',
  description:
    'Choosing policies needs VAPP_MANAGE_BACKUP, giving times or days VAPP_DEFINE_BACKUP_INFO, choosing disks for a ' +
    'policy VAPP_MANAGE_BACKUP_DISKS. What could not be scheduled is refused here, and not when it is deployed. ' +
    'With a hypervisorRef (needs VAPP_REGISTER) an operation of kind REGISTER takes the machine over: its state and ' +
    'hardware are read from the hypervisor, its backup jobs in other systems are not touched, and its first policy ' +
    'comes by a change of it. Until that operation ends the answer is LOCKED and lock.operationId names it; when the ' +
    'machine cannot be registered the virtual machine is gone again and the operation says why. An Idempotency-Key ' +
    'counts with a hypervisorRef.',
  security: BEARER,
  middleware: requires('VAPP_MANAGE'),
  request: { headers: IDEMPOTENCY_HEADERS, body: requiredBody(NewVirtualMachine) },
  responses: {
    201: {
      ...json(VirtualMachine, 'Created.'),
      headers: z.object({
        location: z.string().describe('The virtual machine.'),
        'idempotency-replayed': IDEMPOTENCY_REPLAYED,
      }),
    },
    ...problems(...OPERATION_PROBLEMS, ...CHOICE_PROBLEMS, 'VM_NAME_IN_USE', 'HYPERVISOR_VM_IN_USE'),
  },
});

const read = createRoute({
  method: 'get',
  path: '/v1/virtual-machines/{id}',
  operationId: 'readVirtualMachine',
  tags: TAGS,
  summary: 'One virtual machine: its state, who holds it, its schedules and what was left behind',
  security: BEARER,
  request: { params: ID_PATH },
  responses: { 200: json(VirtualMachine, 'The virtual machine.'), ...problems('NOT_FOUND') },
});

const PUT_ROUTE = 'PUT /v1/virtual-machines/{id}';

const update = createRoute({
  method: 'put',
  path: '/v1/virtual-machines/{id}',
  operationId: 'updateVirtualMachine',
  tags: TAGS,
  summary: 'Change a virtual machine',
  description:
    'Replaces hardware and chosen policies. Not allocated: changed at once, 200. Deployed: an operation reconfigures ' +
    'it together with its backup schedules, 202. Changing hardware or name needs VAPP_MANAGE, policies VAPP_MANAGE_BACKUP.',
  security: BEARER,
  middleware: requires('VAPP_MANAGE', 'VAPP_MANAGE_BACKUP'),
  request: { params: ID_PATH, headers: IDEMPOTENCY_HEADERS, body: requiredBody(ChangedVirtualMachine) },
  responses: {
    200: json(VirtualMachine, 'Changed.'),
    202: ACCEPTED,
    ...problems(
      ...OPERATION_PROBLEMS,
      ...CHOICE_PROBLEMS,
      'VM_NAME_IN_USE',
      'VM_NOT_DEPLOYED',
      'VM_STATE_NOT_ALLOWED',
      'NOTHING_TO_RECONFIGURE',
      'VM_DISK_CANNOT_SHRINK',
    ),
  },
});

const remove = createRoute({
  method: 'delete',
  path: '/v1/virtual-machines/{id}',
  operationId: 'deleteVirtualMachine',
  tags: TAGS,
  summary: 'Delete a virtual machine that is not allocated',
  description: 'Its backups stay where they are; they can no longer be restored through Holdfast.',
  security: BEARER,
  middleware: requires('VAPP_MANAGE'),
  request: { params: ID_PATH },
  responses: { 204: { description: 'Deleted.' }, ...problems('NOT_FOUND', 'VM_DELETE_NOT_ALLOWED') },
});

/** The routes of virtual machines. */
export function virtualMachineRoutes(dependencies: ApiDependencies) {
  const { db, operations } = dependencies;

  const shown = async (tenant: string | null, id: string) => {
    const row = await vmView(db, tenant, id);
    if (row === undefined) throw notFound('virtual machine', id);
    return toVirtualMachine(row);
  };

  /** Has a machine registered, and shows its virtual machine. */
  const registered = async (c: Context<ApiEnv>, body: z.infer<typeof NewVirtualMachine>, key: string | undefined) => {
    const principal = c.get('principal');
    requirePrivilege(principal, 'VAPP_REGISTER', 'to register a machine of the hypervisor');
    const { name, enterpriseId, datacenterId, hypervisorRef = '' } = body;
    const { operationId, repeated } = await operations.register({
      principal,
      body: { name, enterpriseId, datacenterId, hypervisorRef },
      idempotency: idempotencyOf(c, key, POST_ROUTE, body),
    });
    if (repeated) c.header('Idempotency-Replayed', 'true');
    const operation = await operationById(db, operationId);
    const row = operation && (await vmView(db, principal.enterpriseId, operation.vm_id));
    if (row !== undefined) return toVirtualMachine(row);
    const message = `The machine ${hypervisorRef} was not registered. Operation ${operationId} says why.`;
    throw new HoldfastError('NOT_FOUND', message, { operationId });
  };

  return newRoutes()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const page = pageRequest(c, { limit, cursor }, filter);
      const found = await listVms(db, c.get('principal').enterpriseId, filter, page);
      return c.json(pageAnswer(c, found, toVirtualMachine, filter), 200);
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const body = c.req.valid('json');
      const draft = draftOf(body);
      const vm =
        draft === undefined
          ? await registered(c, body, c.req.valid('header')['idempotency-key'])
          : await shown(principal.enterpriseId, await createVm(db, principal, draft));
      return c.json(vm, 201, { Location: vm.links.self });
    })
    .openapi(read, async (c) => c.json(await shown(c.get('principal').enterpriseId, c.req.valid('param').id), 200))
    .openapi(update, async (c) => {
      const principal = c.get('principal');
      const { id: vmId } = c.req.valid('param');
      const body = c.req.valid('json');
      const changed = await changeVm(db, principal, vmId, body);
      if (changed !== 'NOT_A_DRAFT') return c.json(toVirtualMachine(changed), 200);
      const { cpu, memoryMiB, disks, backupPolicies } = body;
      try {
        const requested = await operations.reconfigure({
          principal,
          vmId,
          body: { hardware: { cpu, memoryMiB, disks }, backupPolicies },
          idempotency: idempotencyOf(c, c.req.valid('header')['idempotency-key'], PUT_ROUTE, body),
        });
        return await accepted(c, dependencies, requested);
      } catch (error) {
        // An undeploy has ended since the first look: what was to be reconfigured is a draft by now.
        if (!isDraft(error)) throw error;
        const draft = await changeVm(db, principal, vmId, body);
        if (draft === 'NOT_A_DRAFT') throw error;
        return c.json(toVirtualMachine(draft), 200);
      }
    })
    .openapi(remove, async (c) => {
      await deleteVm(db, c.get('principal'), c.req.valid('param').id);
      return c.body(null, 204);
    });
}

/** Whether a reconfigure was refused because the VM is one that can be changed at once. */
function isDraft(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'VM_NOT_DEPLOYED' && error.extra['state'] === 'NOT_ALLOCATED';
}
