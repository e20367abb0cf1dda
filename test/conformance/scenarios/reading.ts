/**
 * Stories of what Holdfast reads: sessions, backups, what is still there, and whether the system can be used.
 * @module
 */
import { expect } from 'vitest';
import {
  copyKey,
  type ListedVm,
  type ResultReport,
  type SessionReport,
} from '../../../activities/backup-systems/backup-system.ts';
import type { StoredCheck } from '../../../db/columns.ts';
import type { BackupPluginType } from '../../../domain/plugin-types.ts';
import type { PluginUnderTest } from '../plugin-under-test.ts';
import { backedUp, copyOf, keptDays, openContext, scheduled, until } from '../port-calls.ts';
import type { Scenario } from '../scenarios.ts';

/** Two VMs with three backups and one. */
interface History {
  readonly since: Date;
  readonly vms: readonly ListedVm[];
  readonly backups: readonly ResultReport[];
  readonly sessions: readonly SessionReport[];
}

const histories = new WeakMap<PluginUnderTest, Promise<History>>();

/** Made once for all stories that only read. */
function history(world: PluginUnderTest, type: BackupPluginType): Promise<History> {
  const known = histories.get(world) ?? made(world, type);
  histories.set(world, known);
  return known;
}

async function made(world: PluginUnderTest, type: BackupPluginType): Promise<History> {
  const system = world.connect();
  const since = await system.serverTime(openContext());
  const first = await scheduled(world, type, 'first');
  const second = await scheduled(world, type, 'second');
  const backups: ResultReport[] = [];
  for (const one of [first, second, first, first]) backups.push(await backedUp(world, one));
  const refs = new Set([first.ref.vmRef, second.ref.vmRef]);
  const look = async () =>
    (await system.sessionsSince(openContext(), since)).filter(({ vendorVmRef }) => refs.has(vendorVmRef));
  const sessions = await until(
    world,
    look,
    (all) => all.length === backups.length && all.every(({ endedAt }) => endedAt !== null),
  );
  const vms = [first, second].map(({ ref, schedule }) => ({ vendorVmRef: ref.vmRef, schedule }));
  return { since, vms, backups, sessions };
}

const byId = (a: { id: string }, b: { id: string }): number => a.id.localeCompare(b.id);

const aSession = {
  id: expect.any(String),
  kind: 'BACKUP',
  state: 'SUCCEEDED',
  vendorBackupId: expect.any(String),
};
const aResult = {
  id: expect.any(String),
  vendorVmRef: expect.any(String),
  keptDays: 7,
  isNew: true,
  isSized: true,
  copies: 1,
};

export const READING: readonly Scenario[] = [
  {
    name: 'sessions are read',
    needs: [],
    isOffered: ({ operations }) => operations.listResults,
    isIdempotent: true,
    expected: () => ({
      asked: [aSession, aSession, aSession, aSession],
      begun: [aSession, aSession, aSession, aSession],
      strangers: 0,
    }),
    async begin(world, type) {
      const { since, sessions } = await history(world, type);
      const ids = sessions.map(({ vendorSessionId }) => vendorSessionId);
      let asked: SessionReport[] = [];
      let begun: SessionReport[] = [];
      const told = (all: readonly SessionReport[]) =>
        all
          .filter(({ vendorSessionId }) => ids.includes(vendorSessionId))
          .map(({ vendorSessionId: id, kind, state, vendorBackupId }) => ({ id, kind, state, vendorBackupId }))
          .toSorted(byId);
      return {
        async act(system, context) {
          asked = await system.sessions(context, [...ids, 'nobody']);
          begun = await system.sessionsSince(context, since);
        },
        outcome: async () => ({ asked: told(asked), begun: told(begun), strangers: asked.length - ids.length }),
      };
    },
  },
  {
    name: 'results are read',
    needs: [],
    isOffered: ({ operations }) => operations.listResults,
    isIdempotent: true,
    expected: () => ({ all: [aResult, aResult, aResult, aResult], single: aResult }),
    async begin(world, type) {
      const { vms, backups, since } = await history(world, type);
      const [one] = backups;
      const [vm] = vms;
      if (one === undefined || vm === undefined) throw new Error('there is no history');
      // To the second: clocks in headers know no more.
      const from = new Date(since.getTime() - 1_000);
      let found: ResultReport[] = [];
      let single: ResultReport | undefined;
      const told = ({ vendorBackupId: id, vendorVmRef, createdAt, sizeBytes, copies }: ResultReport) => ({
        id,
        vendorVmRef,
        // Not every backup system tells the size of a backup.
        isSized: sizeBytes === null || sizeBytes > 0,
        isNew: createdAt >= from,
        keptDays: keptDays({ createdAt, copies }),
        copies: copies.length,
      });
      return {
        async act(system, context) {
          found = [];
          for await (const result of system.listResults(context, vms, from)) found.push(result);
          single = await system.result(context, vm, one.vendorBackupId);
        },
        outcome: async () => ({ all: found.map(told).toSorted(byId), single: single && told(single) }),
      };
    },
  },
  {
    name: 'copies are looked for',
    needs: [],
    isOffered: ({ operations }) => operations.checkExpired,
    isIdempotent: true,
    expected: () => ({ found: 4, absent: [] }),
    async begin(world, type) {
      const { backups } = await history(world, type);
      const copies = backups.map(copyOf);
      const gone = copies.slice(0, 1).map((copy) => ({ ...copy, vendorId: '00000000-0000-0000-0000-000000000000' }));
      let keys: ReadonlySet<string> = new Set();
      return {
        async act(system, context) {
          keys = await system.listed(context, [...copies, ...gone]);
        },
        outcome: async () => ({
          found: keys.size,
          absent: copies.map(copyKey).filter((key) => !keys.has(key)),
        }),
      };
    },
  },
  {
    name: 'the system is checked',
    needs: [],
    isOffered: () => true,
    isIdempotent: true,
    expected: () => ({
      reachable: true,
      version: expect.any(String),
      identity: expect.any(String),
      problems: expect.any(Array),
      policies: [expect.objectContaining({ ok: true })],
    }),
    async begin(world) {
      let found: StoredCheck | undefined;
      return {
        async act(system, context) {
          found = await system.check(context, [world.policyCode]);
        },
        async outcome() {
          expectWhole(found);
          const { reachable, version, identity, problems, policies } = await world
            .connect()
            .check(openContext(), [world.policyCode]);
          return { reachable, version, identity, problems: problems.map(({ code }) => code), policies };
        },
      };
    },
  },
];

/** A check answers whatever happens; where something was wrong it says what. */
function expectWhole(found: StoredCheck | undefined): void {
  if (found === undefined) throw new Error('the check has not answered');
  const isUsable = found.policies.every(({ ok }) => ok);
  if (!found.reachable && (isUsable || found.problems.length === 0)) {
    throw new Error(`the check says nothing of what was wrong: ${JSON.stringify(found)}`);
  }
}
