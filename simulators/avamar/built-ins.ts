import type { Collection } from '../kit/store.ts';
import type { State } from './state.ts';

export const DEFAULT_DATASET_ID = 'VMWARE:SNAPID';
export const DEFAULT_RETENTION_ID = 'Default:POLICYID';
export const DEFAULT_SCHEDULE_ID = 'Default:SCHEDULEID';
export const SYSTEM_DOMAIN = '/MC_SYSTEM';

/**
 * Objects that every server has, added where they are missing. The ids are of live 19.x servers or the swagger's examples;
 * the contents are ours.
 */
export function addBuiltIns(state: State, timeZoneId: string, now: number): void {
  const add = <T extends { id: string }>(collection: Collection<T>, object: T): void => {
    if (collection.get(object.id) === undefined) collection.put(object.id, object);
  };
  const daily = (id: string, name: string, startTime: string): void =>
    add(state.schedules, {
      id,
      name,
      domainFqdn: '/',
      duration: 10,
      timeZoneId,
      readOnly: true,
      recurrenceEnum: 'Daily',
      startTime,
      dailyData: { timesOfDay: [startTime] },
    });
  daily(DEFAULT_SCHEDULE_ID, 'Default Schedule', '22:00');
  daily('default:DAILY:SCHEDULEDID', 'Daily Schedule', '20:00');
  daily('Default:REPL_SCHEDULEID', 'Default Replication Schedule', '15:00');
  add(state.retentions, {
    id: DEFAULT_RETENTION_ID,
    name: 'Default Retention',
    domainFqdn: '/',
    basicRetentionType: 'DURATION',
    duration: 60,
    durationUnit: 'DAYS',
    override: false,
    readOnly: true,
  });
  add(state.datasets, {
    id: DEFAULT_DATASET_ID,
    name: 'VMware Image Dataset',
    domain: '/',
    includes: [],
    excludes: [],
    targets: [],
    flags: [],
    allData: true,
    readOnly: true,
  });
  const hasReplicator = state.clients.values().some(({ domainFqdn }) => domainFqdn === SYSTEM_DOMAIN);
  if (hasReplicator) return;
  add(state.clients, {
    id: state.newCid(),
    name: 'avamar.simulated',
    domainFqdn: SYSTEM_DOMAIN,
    vmName: '',
    entityId: '',
    instanceUuid: '',
    cbtEnabled: false,
    enabled: true,
    retired: false,
    registeredAt: now,
    lastLabelNumber: 0,
  });
}
