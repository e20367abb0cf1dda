/**
 * What is asked of the API; each answer is compared with what the rules say.
 * @module
 */
import type { OperationKind } from '../../../../domain/operations.ts';
import { ACTIONS, type Deed, differs, type Follow, type Real } from './deeds.ts';
import {
  type Ask,
  begin,
  cancel,
  judge,
  type Model,
  type Operation,
  settle,
  type Vm,
  vmOf,
  type Who,
} from './rules.ts';

function tokenOf({ api, tokens }: Real, vm: Vm, who: Who): string {
  if (who === 'platform') return api.tokens.platform;
  return tokens[who === 'owner' ? vm.owner : vm.owner === 0 ? 1 : 0];
}

const HARDWARE = { memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 20 }] };

function chosen(real: Real, policy: boolean) {
  return policy ? [{ policyId: real.policyId }] : [];
}

/** Creates a draft. */
export async function create(real: Real, { owner, policy }: Extract<Deed, { deed: 'create' }>): Promise<Follow> {
  const name = real.api.unique('model-vm');
  const backupPolicies = chosen(real, policy);
  const body = { name, datacenterId: real.datacenterId, cpu: 1, ...HARDWARE, backupPolicies };
  const answer = await real.api.send(real.tokens[owner], 'POST', '/v1/virtual-machines', { body });
  return (model) => {
    model.vms.push({
      id: answer.body.id,
      name,
      owner,
      policy,
      state: 'NOT_ALLOCATED',
      deleted: false,
      cpu: 1,
      fence: 0,
      holder: null,
      result: null,
      leftBy: [],
      events: policy ? ['CREATE', 'ADD_BACKUP_POLICY'] : ['CREATE'],
    });
    return differs(201, answer.status);
  };
}

/** What is asked of the API about a VM. */
export async function request(
  real: Real,
  deed: Exclude<Deed, { deed: 'create' } | { operation: number }>,
  vm: Vm,
): Promise<Follow> {
  const path = `/v1/virtual-machines/${vm.id}`;
  switch (deed.deed) {
    case 'ask': {
      const kind = ACTIONS[deed.action];
      const force = deed.action === 'force undeploy';
      const action = force ? 'undeploy' : deed.action;
      const pattern = `/v1/virtual-machines/{id}/${action}`;
      const body = force ? { forceUndeploy: true } : {};
      return ask(real, vm, { ...deed, kind, force, method: 'POST', path: `${path}/${action}`, pattern, body });
    }
    case 'change': {
      const body = { cpu: deed.cpu, ...HARDWARE, backupPolicies: chosen(real, vm.policy) };
      const pattern = '/v1/virtual-machines/{id}';
      return ask(real, vm, { ...deed, kind: 'RECONFIGURE', method: 'PUT', path, pattern, body });
    }
    case 'restore': {
      const restores = `/v1/backup-results/${vm.result}/restores`;
      const pattern = '/v1/backup-results/{id}/restores';
      return ask(real, vm, { ...deed, kind: 'RESTORE', method: 'POST', path: restores, pattern, body: {} });
    }
    case 'keep a backup': {
      const id = vm.result ?? (await keepBackup(real, vm));
      return (later) => {
        (later.vms.find((candidate) => candidate.id === vm.id) as Vm).result = id;
        return undefined;
      };
    }
    case 'delete':
      return remove(real, vm, deed.who);
    case 'look':
      return look(real, vm, deed.who);
  }
}

interface Asked {
  readonly kind: OperationKind;
  readonly who: Who;
  readonly key: string | null;
  readonly cpu?: number;
  readonly force?: boolean;
  readonly cleansUp?: string;
  readonly method: string;
  readonly path: string;
  readonly pattern: string;
  readonly body: unknown;
}

async function ask(real: Real, vm: Vm, asked: Asked): Promise<Follow> {
  const { kind, who, method, path, pattern, body } = asked;
  const key = asked.key === null ? null : `${real.story}-${asked.key}`;
  const token = tokenOf(real, vm, who);
  const headers = key === null ? {} : { 'idempotency-key': key };
  const answer = await real.api.send(token, method, path, { body, headers });
  const wish: Ask = {
    vmId: vm.id,
    who,
    kind,
    cpu: asked.cpu ?? null,
    force: asked.force ?? false,
    cleansUp: asked.cleansUp ?? null,
    key,
    scope: `${token} ${method} ${pattern}`,
    request: `${method} ${path} ${JSON.stringify(body)}`,
  };
  return (model) => {
    const verdict = judge(model, wish);
    if ('begins' in verdict) {
      if (answer.status === 202) begin(model, wish, answer.body.id);
      return differs([202, kind, null], [answer.status, answer.body.kind, answer.headers.get('idempotency-replayed')]);
    }
    if ('repeats' in verdict) {
      const replayed = answer.headers.get('idempotency-replayed');
      return differs([202, verdict.repeats, 'true'], [answer.status, answer.body.id, replayed]);
    }
    if ('code' in verdict) {
      const { status, code, holder = null } = verdict;
      return differs(
        [status, code, holder],
        [answer.status, answer.body?.code, answer.body?.holder?.operationId ?? null],
      );
    }
    const changed = model.vms.find(({ id }) => id === vm.id) as Vm;
    changed.cpu = asked.cpu ?? changed.cpu;
    changed.events.push('MODIFY');
    return differs(verdict.status, answer.status);
  };
}

/** A backup that the VM can be restored from is there. */
async function keepBackup({ api, enterprises, managerId }: Real, vm: Vm): Promise<string> {
  const { id } = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: vm.id,
      enterprise_id: enterprises[vm.owner],
      manager_id: managerId,
      origin: 'SCHEDULED',
      name: 'nightly',
      status: 'SUCCEEDED',
      started_at: '2026-11-22T02:00:00Z',
      ended_at: '2026-11-22T02:30:00Z',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await api.db
    .insertInto('result_copy')
    .values({ result_id: id, location: 'avamar', vendor_id: 'b-1', vendor_vm_ref: 'client-1' })
    .execute();
  return id;
}

async function remove(real: Real, vm: Vm, who: Who): Promise<Follow> {
  const answer = await real.api.send(tokenOf(real, vm, who), 'DELETE', `/v1/virtual-machines/${vm.id}`);
  return (model) => {
    const removed = model.vms.find(({ id }) => id === vm.id) as Vm;
    if (removed.deleted || who === 'stranger') return differs([404, 'NOT_FOUND'], [answer.status, answer.body?.code]);
    if (removed.holder !== null || removed.state !== 'NOT_ALLOCATED') {
      return differs([409, 'VM_DELETE_NOT_ALLOWED'], [answer.status, answer.body?.code]);
    }
    removed.deleted = true;
    removed.events.push('DELETE');
    return differs(204, answer.status);
  };
}

async function look(real: Real, vm: Vm, who: Who): Promise<Follow> {
  const answer = await real.api.send(tokenOf(real, vm, who), 'GET', `/v1/virtual-machines/${vm.id}`);
  return (model) => {
    const seen = model.vms.find(({ id }) => id === vm.id) as Vm;
    if (seen.deleted || who === 'stranger') return differs(404, answer.status);
    const { state, storedState, lock } = answer.body;
    const visible = seen.holder === null ? seen.state : 'LOCKED';
    return differs(
      [200, visible, seen.state, seen.holder],
      [answer.status, state, storedState, lock?.operationId ?? null],
    );
  };
}

/** What is asked of the API about an operation. */
export async function requestAboutOperation(
  model: Model,
  real: Real,
  deed: Extract<Deed, { deed: 'cancel' | 'clean up' | 'settle' }>,
  operation: Operation,
): Promise<Follow> {
  const { id } = operation;
  const here = (later: Model) => later.operations.find((candidate) => candidate.id === id) as Operation;
  const vm = vmOf(model, operation);
  const path = `/v1/operations/${id}`;
  switch (deed.deed) {
    case 'cancel': {
      const { body } = await real.api.send(tokenOf(real, vm, deed.who), 'POST', `${path}/cancel`);
      return (later) => differs(cancel(later, here(later), deed.who), body.decision ?? body.code);
    }
    case 'clean up': {
      const pattern = '/v1/operations/{id}/retry-cleanup';
      const asked = { ...deed, kind: 'CLEANUP', method: 'POST', path: `${path}/retry-cleanup`, pattern } as const;
      return ask(real, vm, { ...asked, cleansUp: id, body: {} });
    }
    case 'settle': {
      const body = { outcome: deed.outcome, reason: 'seen at the console' };
      const answer = await real.api.send(real.api.tokens.admin, 'POST', `${path}/settle`, { body });
      return (later) => {
        const code = settle(later, here(later), deed.outcome);
        return differs([code === null ? 202 : 409, code], [answer.status, answer.body.code ?? null]);
      };
    }
  }
}
