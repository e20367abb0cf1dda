import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OPERATION_ACTIONS } from '../../../domain/events.ts';
import {
  isTerminal,
  kindSlug,
  OBSERVED_STEPS,
  OPEN_STATES,
  OPERATION_KINDS,
  type OperationKind,
  POINT_OF_NO_RETURN,
  STEP_NAMES,
  STEPS,
  TERMINAL_STATES,
  tail,
  workflowId,
  recoveryMode,
} from '../../../domain/operations.ts';
import { cleanupSteps, residueOf, type ResiduePlace, wayOfCleaning } from '../../../domain/residue.ts';
import { VM_STATES, type VmState } from '../../../domain/virtual-machines.ts';

const VM = '0191d9d0-0000-7000-8000-00003f9c2a01';
const OPERATION = '0191d9d0-0000-7000-8000-000077ab0c1d';

describe('the id of a workflow', () => {
  const operation = { vmName: 'web-1', vmId: VM, kind: 'SCHEDULED_BACKUP', operationId: OPERATION } as const;

  test('can be read by a person', () => {
    expect(workflowId(operation, 0)).toBe('vm/web-1~3f9c2a01/scheduled-backup~77ab0c1d');
  });

  test('counts recoveries from 1', () => {
    expect(workflowId(operation, 2)).toBe('vm/web-1~3f9c2a01/scheduled-backup~77ab0c1d/recovery-2');
  });

  test('is another one for every operation and every recovery', () => {
    const recovery = fc.nat({ max: 20 });
    const end = fc.integer({ min: 0, max: 0xffff_ffff }).map((n) => n.toString(16).padStart(8, '0'));
    fc.assert(
      fc.property(end, end, recovery, recovery, (one, other, first, second) => {
        const id = (last: string, count: number) =>
          workflowId({ ...operation, operationId: `0191d9d0-0000-7000-8000-0000${last}` }, count);
        expect(id(one, first) === id(other, second)).toBe(one === other && first === second);
      }),
    );
  });

  test('ends with the last 8 hex digits of a uuid', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(tail(id)).toMatch(/^[0-9a-f]{8}$/);
        expect(id.endsWith(tail(id))).toBe(true);
      }),
    );
  });
});

describe('operations', () => {
  test('are in the end, or open', () => {
    for (const state of TERMINAL_STATES) expect(isTerminal(state)).toBe(true);
    for (const state of OPEN_STATES) expect(isTerminal(state)).toBe(false);
    expect(isTerminal('LOCKED')).toBe(false);
  });

  test('have words that can stand in a workflow id', () => {
    for (const kind of OPERATION_KINDS) expect(kindSlug(kind)).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });

  test.each(Object.entries(POINT_OF_NO_RETURN))('%s has its point of no return among its steps', (kind, step) => {
    expect(STEPS[kind as keyof typeof STEPS]).toContain(step);
  });

  test('take no step twice', () => {
    for (const kind of OPERATION_KINDS) expect(new Set(STEPS[kind]).size).toBe(STEPS[kind].length);
  });

  test('have all steps of the language', () => {
    expect(new Set([...Object.values(STEPS).flat(), ...OBSERVED_STEPS])).toEqual(new Set(STEP_NAMES));
  });

  test('begin and end with events of their own', () => {
    const actions = OPERATION_KINDS.flatMap((kind) => [OPERATION_ACTIONS[kind].begin, OPERATION_ACTIONS[kind].end]);
    expect(new Set(actions).size).toBe(actions.length);
  });
});

describe('an operation whose run was lost', () => {
  const lost = { origin: 'HOLDFAST', crossed: false, sessionPossible: false, undoing: false } as const;

  test('goes forward when it takes nothing back', () => {
    expect(recoveryMode({ ...lost, kind: 'CLEANUP' })).toBe('FORWARD');
    expect(recoveryMode({ ...lost, kind: 'SCHEDULE_REFRESH' })).toBe('FORWARD');
    expect(recoveryMode({ ...lost, kind: 'UNDEPLOY', crossed: true })).toBe('FORWARD');
  });

  test('is watched on when it may have a session, else undone', () => {
    expect(recoveryMode({ ...lost, kind: 'RESTORE', sessionPossible: true })).toBe('WATCH');
    expect(recoveryMode({ ...lost, kind: 'RESTORE', origin: 'BACKUP_SYSTEM' })).toBe('WATCH');
    expect(recoveryMode({ ...lost, kind: 'RESTORE' })).toBe('UNDO');
    expect(recoveryMode({ ...lost, kind: 'DEPLOY' })).toBe('UNDO');
  });
});

describe('residue', () => {
  const place: ResiduePlace = {
    operationId: OPERATION,
    kind: 'DEPLOY',
    vmId: VM,
    vmName: 'web-1',
    datacenterName: 'dc-madrid',
    hypervisorRef: 'vm-42',
    managerName: 'avamar',
    vendorRef: 'group-7',
    leftMachines: ['vm-41'],
  };
  const leavesNothing = [
    'OBSERVE',
    'WATCH',
    'REFRESH',
    'RECORD',
    'REPLICATE',
    'CLEAN_HYPERVISOR',
    'CLEAN_BACKUP_SYSTEM',
  ];
  const cleanup = `POST /v1/operations/${OPERATION}/retry-cleanup`;
  const undeploy = `POST /v1/virtual-machines/${VM}/undeploy`;

  test.each(STEP_NAMES.filter((step) => !leavesNothing.includes(step)))('%s that is not undone is named', (step) => {
    const left = residueOf(step, place);
    expect(left?.description).toContain('web-1');
    expect([place.hypervisorRef, place.vendorRef, ...place.leftMachines]).toContain(left?.ref);
    expect([place.datacenterName, place.managerName]).toContain(left?.systemName);
    expect(left?.removeWith).toContain(cleanup);
  });

  test.each(leavesNothing)('%s leaves nothing behind', (step) => {
    expect(residueOf(step as (typeof STEP_NAMES)[number], place)).toBeNull();
  });

  test('of a VM that was to be made or removed goes with an undeploy too', () => {
    expect(residueOf('CONFIGURE', place)).toMatchObject({
      system: 'HYPERVISOR',
      systemName: 'dc-madrid',
      removeWith: `${cleanup} or ${undeploy}`,
    });
    expect(residueOf('DECONFIGURE', { ...place, kind: 'UNDEPLOY' })?.removeWith).toBe(`${cleanup} or ${undeploy}`);
  });

  test.each(['RECONFIGURE', 'POWER_OFF', 'REGISTER'] as const)('of a %s never asks to take the VM away', (kind) => {
    expect(residueOf(kind, { ...place, kind })?.removeWith).toBe(cleanup);
  });

  test('of a restore names the machine beside the VM, and never asks to take the VM away', () => {
    expect(residueOf('REPLACE', { ...place, kind: 'RESTORE' })).toMatchObject({
      system: 'HYPERVISOR',
      ref: 'vm-41',
      description: 'vm-41 may be left in dc-madrid beside web-1, whose mark it bears',
      removeWith: cleanup,
    });
  });

  test('of which little is known names the VM', () => {
    const little = { ...place, hypervisorRef: null, managerName: null, vendorRef: null };
    expect(residueOf('ALLOCATE', little)?.ref).toBe(VM);
    expect(residueOf('BACKUP_SCHEDULE', little)).toMatchObject({ ref: VM, systemName: 'the backup system' });
  });

  test('is cleaned in the hypervisor once and in each backup system once', () => {
    const left = [
      { system: 'BACKUP_SYSTEM', managerId: 'm-1' },
      { system: 'HYPERVISOR', managerId: null },
      { system: 'HYPERVISOR', managerId: null },
      { system: 'BACKUP_SYSTEM', managerId: 'm-2' },
      { system: 'BACKUP_SYSTEM', managerId: 'm-1' },
      { system: 'BACKUP_SYSTEM', managerId: null },
    ] as const;
    expect(cleanupSteps(left)).toEqual([
      { name: 'CLEAN_HYPERVISOR', managerId: null, skip: null },
      { name: 'CLEAN_BACKUP_SYSTEM', managerId: 'm-1', skip: null },
      { name: 'CLEAN_BACKUP_SYSTEM', managerId: 'm-2', skip: null },
    ]);
    expect(cleanupSteps([])).toEqual([]);
  });

  describe('is removed', () => {
    const left = (kind: OperationKind, state: VmState, [crossed, deployedSince, usedSince]: readonly boolean[]) => ({
      kind,
      state,
      crossed: crossed === true,
      deployedSince: deployedSince === true,
      usedSince: usedSince === true,
    });
    const flags = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [1, 2, 4].map((bit) => (bits & bit) !== 0));
    const cases = OPERATION_KINDS.flatMap((kind) =>
      VM_STATES.flatMap((state) => flags.map((which) => left(kind, state, which))),
    );

    test('only where a deploy or a final undeploy left it and nobody has the VM in use', () => {
      const removing = cases.filter((left) => wayOfCleaning(left, left.state) === 'REMOVE');
      expect(removing).toEqual(
        cases.filter(
          ({ kind, crossed, deployedSince, usedSince, state }) =>
            (kind === 'DEPLOY' || (kind === 'UNDEPLOY' && crossed)) &&
            !deployedSince &&
            !usedSince &&
            (state === 'UNKNOWN' || state === 'NOT_ALLOCATED'),
        ),
      );
    });

    test('never from a VM that was deployed since', () => {
      for (const left of cases) {
        if (left.deployedSince) expect(wayOfCleaning(left, left.state)).toBe('OWNED');
      }
    });

    test('never from a machine that was somebody’s before', () => {
      for (const left of cases) {
        if (left.kind === 'REGISTER') expect(['RELEASE', 'OWNED']).toContain(wayOfCleaning(left, left.state));
      }
    });
  });
});
