/**
 * Random trials: machines that live on from round to round, operations of every kind at once, and a fault of some kind at
 * some moment. A trial is an operation that was open when a fault struck.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationKind } from '../../domain/operations.ts';
import type { Hardware } from '../../domain/virtual-machines.ts';
import { type Chance, chanceFrom } from './chance.ts';
import { FAULTS, type Fault, faultNamed } from './faults.ts';
import { Holds } from './holds.ts';
import { type LostRun, ownerlessTimes } from './live-owner.ts';
import { type Machine, protectionOf } from './machines.ts';
import type { Found } from './matrix.ts';
import { recordsOf } from './records.ts';
import { reported, type ReportedTrial } from './report.ts';
import { judge, settle } from './round.ts';
import { patiently, type Stage } from './stage.ts';
import { strike } from './strikes.ts';
import { newTrial, type Trial } from './trials.ts';
import { type WorkflowPlan, workflowPlans } from './workflows.ts';

const MACHINES = 56;
/** Operations begin within this time; the fault strikes within a little more. Milliseconds. */
const BEGIN_WITHIN_MS = 4_000;
const STRIKE_AFTER_MS = 2_000;
const STRIKE_WITHIN_MS = 8_000;

/** How often each kind of fault strikes: a freeze costs a minute more than the others. */
const WEIGHTS: Readonly<Record<Fault['group'], number>> = {
  worker: 5,
  'frozen worker': 1,
  temporal: 3,
  database: 3,
  api: 2,
  runs: 6,
};

/** Plays rounds until there are so many trials. */
export async function playRandom(
  stage: Stage,
  options: { readonly trials: number; readonly seed: number; readonly tell: (line: string) => void },
): Promise<Found> {
  const { tell } = options;
  const chance = chanceFrom(options.seed).of('random');
  const ids = await Promise.all(Array.from({ length: MACHINES }, (_, index) => stage.tenant.newVm(`m-${index}`)));
  const trials: ReportedTrial[] = [];
  const ownerless: number[] = [];
  for (let round = 1; trials.length < options.trials; round += 1) {
    const group = chance.pick(Object.entries(WEIGHTS).flatMap(([name, weight]) => Array<string>(weight).fill(name)));
    const result = await playRandomRound(stage, ids, group as Fault['group'], chance.of(`round ${round}`));
    trials.push(...result.trials);
    ownerless.push(...result.ownerless);
    const failed = trials.filter((trial) => trial.wrongs.length > 0).length;
    tell(`round ${round}: ${group}, ${result.trials.length} trials; ${trials.length} so far, ${failed} failed`);
    for (const trial of result.trials)
      for (const wrong of trial.wrongs) tell(`  FAILED ${wrong} [${trial.operationId}]`);
  }
  return { trials, ownerless };
}

async function playRandomRound(
  stage: Stage,
  ids: readonly string[],
  group: Fault['group'],
  chance: Chance,
): Promise<Found> {
  const faults = FAULTS.filter((fault) => fault.group === group);
  await stage.sessionsTake(chance.whole(1, 8));
  const chosen = await Promise.all(
    ids.map((id, index) => {
      const own = chance.of(`machine ${index}`);
      return choose(stage, id, own, faultNamed(own.pick(faults).name));
    }),
  );
  const begun: Trial[] = [];
  const beginning = Promise.all(
    chosen.map(async (trial) => {
      await sleep(trial.cell.chance.whole(0, BEGIN_WITHIN_MS));
      await beginOnce(stage, trial);
      begun.push(trial);
    }),
  );
  await sleep(chance.whole(STRIKE_AFTER_MS, STRIKE_WITHIN_MS));
  const struck = await openNow(stage, begun);
  // Runs are struck one by one; the others of the round must not notice.
  const victims =
    group === 'runs' ? struck.filter(({ machine }) => chance.of(`victim ${machine.name}`).fraction() < 0.7) : struck;
  const bystanders = new Set(begun);
  for (const victim of victims) bystanders.delete(victim);
  const holds = new Holds(stage.databaseUrl, stage.simulators);
  const lost: LostRun[] = await strike(stage, victims, holds);
  await beginning;
  for (const trial of begun) if (!victims.includes(trial)) bystanders.add(trial);
  for (const trial of bystanders) if (group === 'runs') trial.cell = { ...trial.cell, fault: UNTOUCHED };
  await settle(stage, begun);
  await stage.stopSecondWorker();
  await judge(stage, begun);
  const counted = begun.filter((trial) => victims.includes(trial) || trial.wrongs.length > 0);
  return { trials: counted.map(reported), ownerless: await ownerlessTimes(stage, lost) };
}

/** What happens to an operation beside one whose run is struck: nothing. */
const UNTOUCHED: Fault = {
  name: 'untouched',
  title: 'beside a lost run',
  points: [],
  consequence: 'GOES_ON',
  group: 'runs',
};

/** An operation that the machine allows now. */
async function choose(stage: Stage, vmId: string, chance: Chance, fault: Fault): Promise<Trial> {
  const records = (await recordsOf(stage, [vmId])).get(vmId);
  if (records === undefined) throw new Error(`there is no machine ${vmId}`);
  const { vm, copies } = records;
  const current = { cpu: vm.cpu, memoryMiB: vm.memory_mib, disks: vm.disks };
  const copy = copies.findLast((one) => one.state === 'LISTED');
  const kinds: Readonly<Record<string, readonly OperationKind[]>> = {
    NOT_ALLOCATED: ['DEPLOY'],
    ON: ['RECONFIGURE', 'POWER_OFF', 'POWER_OFF', 'BACKUP', 'UNDEPLOY', 'SCHEDULED_BACKUP'],
    OFF: [
      'RECONFIGURE',
      'POWER_ON',
      'BACKUP',
      'SCHEDULED_BACKUP',
      ...(copy === undefined ? [] : (['RESTORE', 'RESTORE'] as const)),
    ],
    UNKNOWN: ['UNDEPLOY'],
  };
  const kind = chance.pick(kinds[vm.state] ?? ['UNDEPLOY']);
  const machine: Machine = {
    id: vmId,
    name: vm.name,
    condition: 'ON',
    protectedBy: 'avamar',
    moref: null,
    leftBy: null,
    hardware: current,
    ...(await protectionOf(stage, vmId)),
    backup: copy === undefined ? null : { resultId: copy.result_id, vendorId: copy.vendor_id },
  };
  const plan = workflowPlans(false).find((workflow) => workflow.kind === kind) as WorkflowPlan;
  const isSilver = vm.backup_policies[0]?.policyId === stage.tenant.silverId;
  const workflow =
    kind === 'RECONFIGURE' ? reconfigure(plan, changed(current, stage.changesDisks, chance), isSilver) : plan;
  const trial = await newTrial(stage, { workflow, step: null, fault, point: null, chance }, machine);
  trial.before = { ...trial.before, content: null };
  // What a restore brings back differs from what is there, so that its effect can be seen.
  if (kind === 'RESTORE') {
    await stage.hypervisor('PUT', `/vms/${vmId}/disks/system/content`, { content: `before ${chance.fraction()}` });
  }
  return trial;
}

/** Other hardware; disks only grow and come, since a backup is restored into the disks that it was made of. */
function changed(now: Hardware, disks: boolean, chance: Chance): Hardware {
  const cpu = (now.cpu % 8) + 1;
  if (!disks || chance.fraction() < 0.5) return { ...now, cpu };
  const grown = now.disks.map((disk) => (disk.label === 'system' ? { ...disk, sizeGiB: disk.sizeGiB + 1 } : disk));
  return { ...now, cpu, disks: grown };
}

function reconfigure(plan: WorkflowPlan, hardware: Hardware, isSilver: boolean): WorkflowPlan {
  return {
    ...plan,
    request: ({ tenant }, { id }) => ({
      method: 'PUT',
      path: `/v1/virtual-machines/${id}`,
      body: { ...hardware, backupPolicies: [{ policyId: isSilver ? tenant.policyId : tenant.silverId }] },
    }),
    after: () => ({ hardware, policy: isSilver ? 'GOLD' : 'SILVER' }),
  };
}

/** Begins the operation, repeating the request with its key until there is an answer. */
async function beginOnce(stage: Stage, trial: Trial): Promise<void> {
  const { cell, machine } = trial;
  trial.inPlace = true;
  if (cell.workflow.request === null) return cell.workflow.begins?.(stage, machine);
  const { method, path, body } = cell.workflow.request(stage, machine);
  const key = { 'idempotency-key': `random-${machine.id}-${Math.trunc(cell.chance.fraction() * 1e9)}` };
  const answer = await patiently(async () => {
    const given = await stage.api(method, path, body, key);
    if (given.status >= 500) throw new Error(`${given.status}`);
    return given;
  });
  if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  trial.operationId = answer.body['id'];
}

/** Those of the trials whose operation is open now, and in which step. */
async function openNow(stage: Stage, begun: readonly Trial[]): Promise<Trial[]> {
  const rows = await stage.rows<{ id: string; vm_id: string; step: string | null }>(
    `select o.id, o.vm_id, (select name from step s where s.operation_id = o.id and s.state = 'RUNNING' limit 1) as step
     from operation o where o.vm_id = any($1) and o.finished_at is null`,
    [begun.map(({ machine }) => machine.id)],
  );
  return begun.flatMap((trial) => {
    const row = rows.find(({ vm_id: vmId }) => vmId === trial.machine.id);
    if (row === undefined) return [];
    trial.operationId = row.id;
    trial.where = row.step ?? 'between steps';
    return [trial];
  });
}
