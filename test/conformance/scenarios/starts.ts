/**
 * Stories of what cannot be named and must not begin twice: backups and restores, and their cancellation.
 * @module
 */
import type { BackupSystem, LostStart, ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import { type NamingContext, ExternalSystemError } from '../../../activities/calls.ts';
import type { BackupPluginType } from '../../../domain/plugin-types.ts';
import type { PluginUnderTest } from '../plugin-under-test.ts';
import { backedUp, copyOf, ended, keptDays, openContext, resultsOf, scheduled, until } from '../port-calls.ts';
import type { Played, Scenario } from '../scenarios.ts';

/** So long is long enough to be stopped. Seconds. */
const VERY_LONG = 1_000_000;

type Begun = { readonly vendorSessionId: string };

interface Start extends Pick<Played, 'act'> {
  /** How many sessions of the kind have begun for the VM. */
  readonly begun: () => Promise<number>;
  readonly sessionId: () => string;
}

/**
 * Starts as Holdfast does: what may have been begun is only looked for, and begun again when it is certainly not there.
 * @param subject what tells the session apart.
 */
async function startedOnce(
  world: PluginUnderTest,
  vm: ProtectedVm,
  subject: Pick<LostStart, 'kind' | 'vendorVmRef' | 'vendorBackupId'>,
  begin: (system: BackupSystem, context: NamingContext) => Promise<Begun>,
): Promise<Start> {
  const before = await world.console.sessionCount(vm, subject.kind);
  const begun = async () => (await world.console.sessionCount(vm, subject.kind)) - before;
  let sessionId: string | undefined;
  let lost: LostStart | undefined;
  return {
    begun,
    sessionId: () => sessionId ?? 'none',
    async act(system, context) {
      if (sessionId !== undefined) return;
      if (lost !== undefined) {
        const start = lost;
        // What was asked may still be on its way; Holdfast believes that there is none after the plugin's quiet period.
        await world.console.settled();
        const isThere = (await begun()) > 0;
        const look = () => system.findSession(context, start);
        const found = isThere ? await until(world, look, (answer) => answer !== 'NONE') : await look();
        if (typeof found === 'object') {
          sessionId = found.vendorSessionId;
          return;
        }
        if (found === 'AMBIGUOUS') throw new Error('the only session there is, is not recognised');
      }
      const vendorTime = await system.serverTime(context);
      let isSent = false;
      try {
        const sending: NamingContext = {
          ...context,
          beforeWrite: async () => {
            await context.beforeWrite();
            isSent = true;
          },
        };
        ({ vendorSessionId: sessionId } = await begin(system, sending));
      } catch (error) {
        const kind = error instanceof ExternalSystemError ? error.kind : undefined;
        // These two say that nothing was begun, so the next attempt begins it without a look.
        const isNothingBegun = !isSent || kind === 'UNREACHABLE' || kind === 'LOGIN_REFUSED';
        lost = isNothingBegun ? undefined : { ...subject, vendorTime, notThese: [] };
        throw error;
      }
    },
  };
}

const BEFORE = 'as it was';

/** What is on the restored machine; where the backup system does not tell which it is, one of the VM's must have it. */
function contentOf(disks: ReadonlyMap<string, string> | undefined, restoredVmRef: string | null): string | undefined {
  if (restoredVmRef !== null) return disks?.get(restoredVmRef);
  return [...(disks?.values() ?? [])].find((content) => content === BEFORE);
}

const replicating = new WeakMap<PluginUnderTest, Promise<void>>();

/** The first replication of a server may make what all later ones use. */
function firstReplication(world: PluginUnderTest, type: BackupPluginType): Promise<void> {
  const begin = async () => {
    const system = world.connect();
    const { vm, ...one } = await scheduled(world, type, 'first-replicated');
    const { vendorVmRef, vendorBackupId } = await backedUp(world, { vm, ...one });
    const since = await system.serverTime(openContext());
    const begun = await system.startReplication(openContext(), vm, { vendorVmRef, vendorBackupId, since });
    await ended(world, system, begun.vendorSessionId);
  };
  const known = replicating.get(world) ?? begin();
  replicating.set(world, known);
  return known;
}

export const STARTS: readonly Scenario[] = [
  {
    name: 'a backup is started',
    needs: [],
    isOffered: ({ operations }) => operations.onDemandBackup,
    isIdempotent: true,
    expected: () => ({ state: 'SUCCEEDED', kind: 'BACKUP', keptDays: 7, begun: 1 }),
    async begin(world) {
      const vm = await world.machines.deploy('backed-up');
      const vendorVmRef = await world.connect().vmReference(openContext(), vm);
      const start = await startedOnce(
        world,
        vm,
        { kind: 'BACKUP', vendorVmRef, vendorBackupId: null },
        (system, context) => system.startBackup(context, vm, { retentionDays: 7, disks: null }),
      );
      return {
        act: start.act,
        async outcome() {
          const system = world.connect();
          const { state, kind, vendorBackupId } = await ended(world, system, start.sessionId());
          const made = await system.result(openContext(), { vendorVmRef, schedule: null }, vendorBackupId ?? '');
          return { state, kind, keptDays: keptDays(made), begun: await start.begun() };
        },
      };
    },
  },
  {
    name: 'a restore is started',
    needs: ['DISKS'],
    isOffered: ({ operations }) => operations.restore,
    isIdempotent: true,
    expected: () => ({ state: 'SUCCEEDED', isOfThatBackup: true, content: BEFORE, begun: 1 }),
    async begin(world, type) {
      const protectedVm = await scheduled(world, type, 'restored');
      const { vm } = protectedVm;
      await world.machines.writeDisk?.(vm, BEFORE);
      const backup = await backedUp(world, protectedVm);
      await world.machines.writeDisk?.(vm, 'as it became');
      const { vendorVmRef, vendorBackupId } = backup;
      const start = await startedOnce(world, vm, { kind: 'RESTORE', vendorVmRef, vendorBackupId }, (system, context) =>
        system.startRestore(context, vm, copyOf(backup)),
      );
      return {
        act: start.act,
        async outcome() {
          const report = await ended(world, world.connect(), start.sessionId());
          const disks = await world.machines.readDisks?.(vm);
          return {
            state: report.state,
            isOfThatBackup: report.vendorBackupId === vendorBackupId,
            content: contentOf(disks, report.restoredVmRef),
            begun: await start.begun(),
          };
        },
      };
    },
  },
  {
    name: 'a replication is started',
    needs: ['REPLICATION'],
    isOffered: ({ operations }) => operations.replication,
    isIdempotent: true,
    expected: () => ({ kind: 'REPLICATION', state: 'SUCCEEDED', isOfTheVm: true, copies: { it: 2, another: 1 } }),
    async begin(world, type) {
      await firstReplication(world, type);
      const one = await scheduled(world, type, 'replicated');
      const it = await backedUp(world, one);
      // Vendors choose what to copy by its time: a backup of the same moment would be copied with it.
      const later = it.createdAt.getTime() + 5_000;
      await until(
        world,
        () => world.connect().serverTime(openContext()),
        (now) => now.getTime() >= later,
      );
      const another = await backedUp(world, one);
      const { vendorVmRef, vendorBackupId } = it;
      let since: Date | undefined;
      let sessionId: string | undefined;
      return {
        async act(system, context) {
          // The clock of the first attempt: what that one has begun is no older.
          since ??= await system.serverTime(context);
          const asked = { vendorVmRef, vendorBackupId, since };
          sessionId = (await system.startReplication(context, one.vm, asked)).vendorSessionId;
        },
        async outcome() {
          const report = await ended(world, world.connect(), sessionId ?? 'none');
          const listed = await resultsOf(world.connect(), [{ vendorVmRef, schedule: null }]);
          const copiesOf = (id: string) => listed.find((result) => result.vendorBackupId === id)?.copies.length;
          return {
            kind: report.kind,
            state: report.state,
            isOfTheVm: report.vendorVmRef === vendorVmRef,
            // Begun twice it makes no second copy, and a backup that nobody asked to copy has none.
            copies: { it: copiesOf(vendorBackupId), another: copiesOf(another.vendorBackupId) },
          };
        },
      };
    },
  },
  {
    name: 'a session is cancelled',
    needs: ['TIME'],
    isOffered: ({ operations }) => operations.cancel,
    isIdempotent: false,
    expected: () => ({ state: 'CANCELLED', vendorBackupId: null }),
    async begin(world, type) {
      const { vm, ref } = await scheduled(world, type, 'cancelled');
      const system = world.connect();
      const since = await system.serverTime(openContext());
      await world.console.sessionsTake(VERY_LONG);
      await world.console.startBackup(vm);
      const found = await until(
        world,
        async () => (await system.sessionsSince(openContext(), since)).find((one) => one.vendorVmRef === ref.vmRef),
        (one) => one !== undefined,
      );
      await world.console.sessionsTake(0.1);
      const id = found?.vendorSessionId ?? '';
      return {
        act: (client, context) => client.cancel(context, id),
        async outcome() {
          const { state, vendorBackupId } = await ended(world, system, id);
          // One that has ended, and one that nobody knows, can be cancelled without an error.
          await system.cancel(openContext(), id);
          return { state, vendorBackupId };
        },
      };
    },
  },
];
