/**
 * Every function exported here is a workflow type.
 * @module
 */
export { backupVm } from './backup-vm.ts';
export { checkExpiredResults } from './check-expired.ts';
export { checkManager } from './check-manager.ts';
export { cleanupVm } from './cleanup-vm.ts';
export { deployVm } from './deploy-vm.ts';
export { observeSession } from './observe-session.ts';
export { powerVm } from './power-vm.ts';
export { reconfigureVm } from './reconfigure-vm.ts';
export { refreshSchedule } from './refresh-schedule.ts';
export { registerVm } from './register-vm.ts';
export { restoreVm } from './restore-vm.ts';
export { undeployVm } from './undeploy-vm.ts';
export { watchManager } from './watch-manager.ts';
