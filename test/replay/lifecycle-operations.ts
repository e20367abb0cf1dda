/**
 * The operations that change a VM, each with as many steps as it can have.
 * @module
 */
import type { OperationKind } from '../../domain/operations.ts';
import { hardware, type PlannedOperation, planned, schedule } from './operation-history.ts';

/** Operations that ask the backup systems for running sessions before they touch the VM. */
export const ASK_FIRST: readonly OperationKind[] = ['RECONFIGURE', 'UNDEPLOY', 'POWER_OFF'];

/** A schedule in each of two backup systems. */
export const both = [schedule('m1'), schedule('m2')];

/** One of each kind that is rolled back when it fails. */
export const OPERATIONS: readonly PlannedOperation[] = [
  planned('DEPLOY', { desiredSchedules: both }),
  planned('RECONFIGURE', {
    currentSchedules: both,
    desiredSchedules: [schedule('m1', 'silver'), schedule('m2', 'silver')],
    hardware: { current: hardware(1, 10), desired: hardware(2, 20) },
  }),
  planned('UNDEPLOY', { currentSchedules: both }),
  planned('POWER_ON'),
  planned('POWER_OFF'),
  planned('REGISTER'),
];
