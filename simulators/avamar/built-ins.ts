import type { State } from './state.ts';

export const DEFAULT_DATASET_ID = 'VMWARE:SNAPID';
export const DEFAULT_RETENTION_ID = 'Default:POLICYID';
export const DEFAULT_SCHEDULE_ID = 'Default:SCHEDULEID';

/** Objects that every server has. The ids are of live 19.x servers or the swagger's examples; the contents are ours. */
export function addBuiltIns(state: State, timeZoneId: string): void {
  if (state.schedules.size > 0) return;
  const schedule = { domainFqdn: '/', duration: 10, timeZoneId, readOnly: true };
  state.schedules.put(DEFAULT_SCHEDULE_ID, {
    ...schedule,
    id: DEFAULT_SCHEDULE_ID,
    name: 'Default Schedule',
    recurrenceEnum: 'Daily',
    startTime: '22:00',
    dailyData: { timesOfDay: ['22:00'] },
  });
  state.schedules.put('default:DAILY:SCHEDULEDID', {
    ...schedule,
    id: 'default:DAILY:SCHEDULEDID',
    name: 'Daily Schedule',
    recurrenceEnum: 'Daily',
    startTime: '20:00',
    dailyData: { timesOfDay: ['20:00'] },
  });
  state.retentions.put(DEFAULT_RETENTION_ID, {
    id: DEFAULT_RETENTION_ID,
    name: 'Default Retention',
    domainFqdn: '/',
    basicRetentionType: 'DURATION',
    duration: 60,
    durationUnit: 'DAYS',
    override: false,
    readOnly: true,
  });
  state.datasets.put(DEFAULT_DATASET_ID, {
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
}
