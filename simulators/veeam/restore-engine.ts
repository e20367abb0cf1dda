/**
 * Restores of whole machines. A machine that is still there is removed first and made anew, so it comes back with another
 * MoRef; with a quick rollback its disks are put back in place.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { type VCenterLink, VCenterRefusal, VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import { type SimulatedClock, isWaitOver } from '../kit/clock.ts';
import { pointName } from './names.ts';
import type { Outcomes } from './outcomes.ts';
import type { Settings } from './settings.ts';
import type { Point, RestoreSession, Result, State } from './state.ts';

const VCENTER_PATIENCE_MS = 60_000;
const STARTING_MS = 1000;

export type RestoreEngine = ReturnType<typeof createRestoreEngine>;

export function createRestoreEngine(
  state: State,
  clock: SimulatedClock,
  link: VCenterLink,
  outcomes: Outcomes,
  settings: () => Settings,
) {
  const open = new Set(
    state.restoreSessions
      .values()
      .filter(({ ended }) => ended === undefined)
      .map(({ id }) => id),
  );
  const end = (session: RestoreSession, result: Result, reason: string): void => {
    open.delete(session.id);
    state.restoreSessions.put(session.id, { ...session, ended: { at: clock.now(), result, reason } });
  };

  /** What happens to the machine that is there, when the restore begins to work. */
  const handleOriginal = async (session: RestoreSession): Promise<RestoreSession> => {
    const machine = await link.machine(session.ref.moref);
    if (machine !== undefined && !session.keepOriginal) {
      await link.power(machine.moref, 'OFF');
      if (!session.quickRollback) await link.remove(machine.moref);
    }
    return state.restoreSessions.put(session.id, { ...session, originalGone: true });
  };

  const freeName = async (wanted: string): Promise<string> => {
    const taken = new Set((await link.machines()).map(({ name }) => name));
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? wanted : `${wanted}_restored${number === 2 ? '' : `_${number - 1}`}`;
      if (!taken.has(name)) return name;
    }
  };

  const restoredMoref = async (session: RestoreSession, { configuration }: Point): Promise<string> => {
    const machine = session.quickRollback ? await link.machine(session.ref.moref) : undefined;
    if (machine === undefined) {
      // The session's id as the key: a server that dies between the creation and its own note makes no second machine.
      const name = await freeName(configuration.name);
      return (await link.create({ ...configuration, name, key: session.id })).moref;
    }
    const { cpu, memoryMiB, disks } = configuration;
    await link.overwrite(machine.moref, {
      disks: Object.fromEntries(disks.map(({ label, content }) => [label, content])),
      configuration: { cpu, memoryMiB, disks: disks.map(({ label, sizeGiB }) => ({ label, sizeGiB })) },
    });
    return machine.moref;
  };

  const carryOn = async (session: RestoreSession): Promise<void> => {
    const { outcome } = session;
    const fails = outcome?.result === 'Failed';
    let current = session;
    if (!session.originalGone && (!fails || outcome.originalRemoved)) current = await handleOriginal(session);
    if (!isWaitOver(clock.now(), session.createdAt, session.endAt)) return undefined;
    if (fails) return end(current, 'Failed', outcome.reason);
    const point = state.points.get(session.pointId);
    if (point === undefined) return end(current, 'Failed', 'The restore point was not found.');
    const moref = await restoredMoref(current, point);
    if (session.powerOn) await link.power(moref, 'ON');
    end({ ...current, restoredMoref: moref }, outcome?.result ?? 'Success', outcome?.reason ?? '');
  };

  const step = async (session: RestoreSession): Promise<void> => {
    if (!isWaitOver(clock.now(), session.createdAt, session.workAt)) return;
    try {
      await carryOn(session);
    } catch (error) {
      const current = state.restoreSessions.get(session.id) ?? session;
      if (error instanceof VCenterRefusal) end(current, 'Failed', error.message);
      else if (!(error instanceof VCenterUnavailable)) throw error;
      else if (clock.now() > session.endAt + VCENTER_PATIENCE_MS) end(current, 'Failed', error.message);
    }
  };

  return {
    start(point: Point, how: { quickRollback: boolean; keepOriginal: boolean; powerOn: boolean }): RestoreSession {
      const now = clock.now();
      const total = settings().restoreSeconds * 1000;
      const outcome = outcomes.take('restore', point.vmName);
      const session: RestoreSession = {
        id: randomUUID(),
        pointId: point.id,
        pointName: pointName(point),
        vmName: point.vmName,
        ref: point.ref,
        createdAt: now,
        workAt: now + Math.min(STARTING_MS, total / 10),
        endAt: now + total,
        ...how,
        originalGone: false,
        ...(outcome === undefined ? {} : { outcome }),
      };
      open.add(session.id);
      return state.restoreSessions.put(session.id, session);
    },
    /** Carries on the restores whose time has come. */
    async advance(): Promise<void> {
      await Promise.all([...open].map((id) => step(state.restoreSessions.get(id) as RestoreSession)));
    },
  };
}
