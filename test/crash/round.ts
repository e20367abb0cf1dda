/**
 * A round: many trials at once. All operations are brought to where they shall be, the fault strikes once, everything is
 * let go, and each is judged on its own.
 * @module
 */
import { type Hold, Holds, refuse } from './holds.ts';
import { type LostRun, ownerlessTimes } from './live-owner.ts';
import { type Machine, prepareMachines } from './machines.ts';
import { recordsOf } from './records.ts';
import { type Stage, waitFor } from './stage.ts';
import { strike } from './strikes.ts';
import { requestAgain, requestInVain } from './requests.ts';
import { begin, type Cell, describeCell, findOperation, newTrial, statesOf, type Trial } from './trials.ts';
import { wrongs } from './verdict.ts';
import { holdAt } from './workflows.ts';

/** A session that is running when the fault strikes takes so long. Seconds. */
const LONG_SESSION = 40;
/** One that shall be seen by the watch before it ends. Seconds. */
const SEEN_SESSION = 6;
const SHORT_SESSION = 1;
/** Sessions that end are seen within this time; a statement waits for 30 s at most. Milliseconds. */
const SESSIONS_LIMIT_MS = 15_000;
/** Everybody is where they shall be within this time: a call to another system lasts 20 s at most. Milliseconds. */
const IN_PLACE_LIMIT_MS = 14_000;
/** A lost start is looked for for a minute; a run is carried on within a minute. Milliseconds. */
const SETTLE_LIMIT_MS = 240_000;
/** What the backup system lists is written down with the next sync. Milliseconds. */
const AGREE_LIMIT_MS = 45_000;

/** What a round found. */
export interface RoundResult {
  readonly trials: readonly Trial[];
  /** How long lost operations were without an owner, in milliseconds. */
  readonly ownerless: readonly number[];
}

/** Makes the machines of a round. */
export function machinesFor(stage: Stage, name: string, cells: readonly Cell[]): Promise<Machine[]> {
  const wanted = cells.map(({ workflow }, index) => ({
    name: `${name}-${index}`,
    condition: workflow.condition,
    protectedBy: workflow.protectedBy ?? ('avamar' as const),
  }));
  return prepareMachines(stage, wanted);
}

/**
 * Plays one round; all its faults are of one group.
 * @param struck called when the fault is over, while the operations go on to their end, with the cells that it missed.
 */
export async function playRound(
  stage: Stage,
  cells: readonly Cell[],
  machines: readonly Machine[],
  tell: (line: string) => void,
  struck: (missed: readonly Cell[]) => void,
): Promise<RoundResult> {
  await stage.watchIsAlive(new Set(cells.map(({ workflow }) => workflow.protectedBy ?? 'avamar')));
  const trials = await Promise.all(cells.map((cell, index) => newTrial(stage, cell, machines[index] as Machine)));
  const holds = new Holds(stage.databaseUrl, stage.simulators);
  let lost: LostRun[] = [];
  try {
    for (const trial of trials) await keep(stage, trial, holds);
    if (cells[0]?.fault.group === 'api') await requestInVain(stage, trials, holds);
    else await launch(stage, trials, holds);
    const missed = trials.filter((trial) => !trial.inPlace);
    tell(`${trials.length - missed.length} of ${trials.length} are where they shall be`);
    for (const { cell } of missed) tell(`  not in place: ${describeCell(cell)}`);
    lost = await strike(stage, trials, holds);
  } finally {
    await holds.release();
  }
  if (cells[0]?.fault.group === 'api') await requestAgain(stage, trials);
  tell('struck; waiting for every operation to end');
  struck(trials.filter((trial) => !trial.inPlace).map(({ cell }) => cell));
  await settle(stage, trials);
  await stage.stopSecondWorker();
  await judge(stage, trials);
  return { trials, ownerless: await ownerlessTimes(stage, lost) };
}

/** Arms what keeps the trial's operation where it shall be. */
async function keep(stage: Stage, trial: Trial, holds: Holds): Promise<void> {
  const { step, point, chance } = trial.cell;
  const { machine } = trial;
  const hold: Hold | null =
    step === null || point === null
      ? { system: 'database', vmId: machine.id, step: 'REQUEST', at: 'commit' }
      : holdAt(step, point, machine, chance);
  trial.hold = hold === null ? null : await holds.arm(hold);
  const refused = trial.cell.workflow.refused?.(machine);
  if (refused !== undefined) await refuse(stage.simulators, refused);
}

/**
 * Begins everything, in an order in which sessions last as long as they have to: first those that shall be under way
 * when the fault strikes, then those that shall have ended by then, then everything else.
 */
async function launch(stage: Stage, trials: readonly Trial[], holds: Holds): Promise<void> {
  const under = trials.filter((trial) => trial.cell.step?.waits === true && trial.hold === null);
  const found = trials.filter((trial) => trial.cell.workflow.request === null && !under.includes(trial));
  // The watch waits for an operation that is kept where it begins, and everybody who needs the watch waits for that.
  const last = found.filter(({ cell }) => cell.step?.name === 'OBSERVE');
  const observed = found.filter((trial) => !last.includes(trial));
  const ended = trials.filter((trial) => !under.includes(trial) && !found.includes(trial) && endsSession(trial.cell));
  const others = trials.filter((trial) => ![under, found, ended].some((some) => some.includes(trial)));
  await stage.sessionsTake(LONG_SESSION);
  await beginAll(stage, under);
  await sessionsBegun(stage, under);
  await stage.sessionsTake(SEEN_SESSION);
  await beginAll(stage, observed);
  await stage.sessionsTake(SHORT_SESSION);
  await beginAll(stage, ended);
  await waitUntilInPlace(stage, [...under, ...observed, ...ended], holds, SESSIONS_LIMIT_MS);
  await stage.sessionsTake(SEEN_SESSION);
  await beginAll(stage, last);
  await stage.sessionsTake(SHORT_SESSION);
  await beginAll(stage, others);
  await waitUntilInPlace(stage, trials, holds, IN_PLACE_LIMIT_MS);
  await Promise.all(trials.map((trial) => findOperation(stage, trial, 3_000)));
}

const endsSession = ({ step }: Cell): boolean => step?.afterSession === true || step?.waits === true;

const beginAll = (stage: Stage, trials: readonly Trial[]) => Promise.all(trials.map((trial) => begin(stage, trial)));

async function sessionsBegun(stage: Stage, trials: readonly Trial[]): Promise<void> {
  const count = async () => {
    const running = stage.state().avamar.activities.filter((activity) => activity.finished === undefined);
    return trials.filter(({ machine }) => running.some((activity) => activity.cid === machine.cid)).length;
  };
  await waitFor(count, (begun) => begun === trials.length, 20_000);
}

async function waitUntilInPlace(stage: Stage, trials: readonly Trial[], holds: Holds, limitMs: number): Promise<void> {
  await waitFor(
    async () => {
      const holding = await holds.holding();
      const watching = await stage.rows<{ vm_id: string }>(
        `select o.vm_id from step s join operation o on o.id = s.operation_id
         where o.vm_id = any($1) and o.finished_at is null and s.name = 'WATCH' and s.state = 'RUNNING'`,
        [trials.map(({ machine }) => machine.id)],
      );
      for (const trial of trials) {
        const { hold } = trial;
        trial.inPlace = hold === null ? watching.some((row) => row.vm_id === trial.machine.id) : holding.has(hold);
      }
      return trials.every((trial) => trial.inPlace);
    },
    (all) => all,
    limitMs,
    150,
  );
}

/** Waits until every operation has ended, and with it whatever else holds one of the machines. */
export async function settle(stage: Stage, trials: readonly Trial[]): Promise<void> {
  const vmIds = trials.map(({ machine }) => machine.id);
  await Promise.all(trials.map((trial) => findOperation(stage, trial, 20_000)));
  await waitFor(
    () => stage.rows<{ id: string }>('select id from operation where vm_id = any($1) and finished_at is null', [vmIds]),
    (open) => open.length === 0,
    SETTLE_LIMIT_MS,
    500,
  );
  const states = await statesOf(
    stage,
    trials.flatMap(({ operationId }) => (operationId === '' ? [] : [operationId])),
  );
  for (const trial of trials) trial.outcome = states.get(trial.operationId)?.state ?? 'no operation';
}

/** Judges each trial; what the backup system lists may be written down a little later. */
export async function judge(stage: Stage, trials: readonly Trial[]): Promise<void> {
  await waitFor(
    async () => {
      const records = await recordsOf(
        stage,
        trials.map(({ machine }) => machine.id),
      );
      const state = stage.state();
      for (const trial of trials) {
        const { cell, machine, operationId, before, decision } = trial;
        const known = records.get(machine.id);
        if (known === undefined) throw new Error(`there is no machine ${machine.id}`);
        const found = wrongs(
          {
            machine,
            workflow: cell.workflow,
            operationId,
            before,
            consequence: cell.fault.consequence,
            decision,
            unseen: cell.workflow.request === null && (cell.step === null || !trial.inPlace),
          },
          known,
          state,
        );
        trial.wrongs = found;
      }
      // What did not end, or ended wrongly, will not become right by waiting.
      return trials.every((trial) => trial.wrongs.length === 0);
    },
    (all) => all,
    AGREE_LIMIT_MS,
    2_000,
  );
}
