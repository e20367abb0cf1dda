/**
 * Virtual machines for trials: made, deployed and filled beforehand, many at once.
 * @module
 */
import type { Hardware } from '../../domain/virtual-machines.ts';
import { refuse } from './holds.ts';
import { patiently, type Stage, waitFor } from './stage.ts';

/** What a machine must be before its operation can begin. */
export type Condition =
  | 'NEW'
  | 'ON'
  | 'OFF'
  /** Off, with a backup that can be restored. */
  | 'BACKED_UP'
  /** The same, and undeployed and deployed again since: it is another machine than the one that was backed up. */
  | 'REDEPLOYED'
  /** In the hypervisor, and nobody here knows it. */
  | 'UNMANAGED'
  /** Undeployed by force: its schedule was left behind. */
  | 'LEFTOVER';

/** What is on the disk of a machine when its backup is made, and what is there when it is restored. */
export const SAVED = 'saved';
export const LATER = 'written later';

/** What protects a machine. */
export type Backup = 'avamar' | 'veeam';

/** A machine that is ready for its trial. */
export interface Machine {
  /** Empty as long as nobody here knows it. */
  readonly id: string;
  readonly name: string;
  readonly condition: Condition;
  readonly protectedBy: Backup;
  readonly hardware: Hardware;
  /** What the backup system calls it; `null` before it is deployed. */
  readonly cid: string | null;
  /** What stands for its schedule in Avamar. */
  readonly group: { readonly groupId: string; readonly scheduleId: string; readonly retentionId: string } | null;
  /** What stands for its schedule in Veeam. */
  readonly jobId: string | null;
  /** UNMANAGED and REDEPLOYED: what the hypervisor calls it. */
  readonly moref: string | null;
  /** LEFTOVER: the operation that left its schedule behind. */
  readonly leftBy: string | null;
  /** BACKED_UP and REDEPLOYED: the backup that can be restored, and what the backup system calls it. */
  readonly backup: { readonly resultId: string; readonly vendorId: string } | null;
}

export const HARDWARE: Hardware = {
  cpu: 2,
  memoryMiB: 2048,
  disks: [
    { label: 'system', sizeGiB: 20 },
    { label: 'data', sizeGiB: 40 },
  ],
};

/** So many machines are prepared side by side. */
const LANES = 12;

/** Makes machines in these conditions, in that order. */
export async function prepareMachines(
  stage: Stage,
  wanted: readonly Pick<Machine, 'name' | 'condition' | 'protectedBy'>[],
): Promise<Machine[]> {
  await stage.sessionsTake(0.5);
  const machines: Machine[] = [];
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < wanted.length; index = next++) {
      const one = wanted[index];
      if (one !== undefined) machines[index] = await prepare(stage, one);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return machines;
}

async function prepare(stage: Stage, wanted: Pick<Machine, 'name' | 'condition' | 'protectedBy'>): Promise<Machine> {
  const { name, condition, protectedBy } = wanted;
  const blank = {
    ...wanted,
    hardware: HARDWARE,
    cid: null,
    group: null,
    jobId: null,
    moref: null,
    leftBy: null,
    backup: null,
  };
  if (condition === 'UNMANAGED') {
    const { moref } = await stage.hypervisor('POST', '/morefs', { name, ...HARDWARE });
    await stage.hypervisor('PUT', `/morefs/${moref}/power`, { state: 'ON' });
    return { ...blank, id: '', moref };
  }
  const id = await (protectedBy === 'veeam' ? stage.veeamTenant : stage.tenant).newVm(name);
  const vm = `/v1/virtual-machines/${id}`;
  if (condition === 'NEW') return { ...blank, id };
  await succeed(stage, `${vm}/deploy`);
  const deployed = { ...blank, id, ...(await protectionOf(stage, id)) };
  switch (condition) {
    case 'ON':
      return deployed;
    case 'OFF':
      await succeed(stage, `${vm}/power-off`);
      return deployed;
    case 'BACKED_UP': {
      await write(stage, id, SAVED);
      await succeed(stage, `${vm}/backup`, {});
      const backup = await newestBackup(stage, id);
      await write(stage, id, LATER);
      await succeed(stage, `${vm}/power-off`);
      return { ...deployed, backup };
    }
    case 'REDEPLOYED': {
      await write(stage, id, SAVED);
      await stage.veeam('POST', `/jobs/${deployed.jobId}/start`, {});
      const backup = await newestBackup(stage, id);
      await free(stage, id);
      await succeed(stage, `${vm}/undeploy`);
      await succeed(stage, `${vm}/deploy`);
      await write(stage, id, LATER);
      await succeed(stage, `${vm}/power-off`);
      const { moref } = await stage.hypervisor('GET', `/vms/${id}`);
      return { ...deployed, ...(await protectionOf(stage, id)), backup, moref };
    }
    case 'LEFTOVER': {
      const path = `/api/v1/groups/${encodeURIComponent(deployed.group?.groupId ?? '')}$`;
      await refuse(stage.simulators, { system: 'avamar', method: 'DELETE', path });
      return { ...deployed, leftBy: await succeed(stage, `${vm}/undeploy`, { forceUndeploy: true }) };
    }
  }
}

async function succeed(stage: Stage, path: string, body?: unknown): Promise<string> {
  const answer = await stage.api('POST', path, body);
  if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  const operationId: string = answer.body['id'];
  const ended = await waitFor(
    () =>
      stage.rows<{ state: string; open: boolean }>(
        'select state, finished_at is null as open from operation where id = $1',
        [operationId],
      ),
    ([operation]) => operation?.open === false,
    120_000,
  );
  if (ended[0]?.state !== 'SUCCEEDED') throw new Error(`${path}: ${JSON.stringify(ended)}`);
  return operationId;
}

/** Waits until no run of the backup system holds the machine. */
async function free(stage: Stage, vmId: string): Promise<void> {
  const holders = () =>
    stage.rows('select operation_id from vm_lock where vm_id = $1 and operation_id is not null', [vmId]);
  const left = await waitFor(holders, (rows) => rows.length === 0, 60_000);
  if (left.length > 0) throw new Error(`${vmId} is still held`);
}

const write = (stage: Stage, id: string, content: string) =>
  stage.hypervisor('PUT', `/vms/${id}/disks/system/content`, { content });

async function newestBackup(stage: Stage, vmId: string): Promise<Machine['backup']> {
  const [row] = await waitFor(
    () =>
      stage.rows<{ resultId: string; vendorId: string }>(
        `select r.id as "resultId", c.vendor_id as "vendorId" from backup_result r
       join result_copy c on c.result_id = r.id and c.state = 'LISTED' where r.vm_id = $1 and r.status = 'SUCCEEDED'
       order by r.started_at desc limit 1`,
        [vmId],
      ),
    (rows) => rows.length > 0,
    60_000,
  );
  if (row === undefined) throw new Error(`the backup of ${vmId} has no copy`);
  return row;
}

/** What the backup system holds for a machine. */
export async function protectionOf(stage: Stage, vmId: string): Promise<Pick<Machine, 'cid' | 'group' | 'jobId'>> {
  const [row] = await patiently(() =>
    stage.rows<{ cid: string; groups: NonNullable<Machine['group']>[] | null; job: string | null }>(
      `select ref->>'vmRef' as cid, ref->'groups' as groups, ref->>'jobUid' as job from vm_schedule where vm_id = $1`,
      [vmId],
    ),
  );
  return { cid: row?.cid ?? null, group: row?.groups?.[0] ?? null, jobId: row?.job?.split(':').at(-1) ?? null };
}
