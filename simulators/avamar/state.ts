/**
 * What the simulated Avamar server keeps. Field names that also go over the wire are the vendor's (Avamar 19.x swagger);
 * times inside are epoch milliseconds of the simulated clock.
 * @module
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { SimulatedClock } from '../kit/clock.ts';
import type { Collection, Store } from '../kit/store.ts';
import { addBuiltIns } from './built-ins.ts';

export type OAuthClient = {
  clientId: string;
  clientSecret: string;
  clientName: string;
  authorizedGrantTypes: string[];
  scopes: string[];
  autoApproveScopes: string[];
  redirectUris: string[];
  accessTokenValiditySeconds: number;
  refreshTokenValiditySeconds: number;
};
export type Token = {
  accessToken: string;
  refreshToken: string;
  jti: string;
  clientId: string;
  userName: string;
  scope: string;
  accessExpires: number;
  refreshExpires: number;
};

/** A virtual machine client. `entityId` is what the vCenter calls the machine, e.g. `VirtualMachine:vm-12`. */
export type Client = {
  id: string;
  name: string;
  domainFqdn: string;
  vmName: string;
  entityId: string;
  instanceUuid: string;
  cbtEnabled: boolean;
  enabled: boolean;
  retired: boolean;
  retentionId?: string;
  registeredAt: number;
  lastLabelNumber: number;
};

export type Recurrence = 'Daily' | 'Weekly' | 'Monthly' | 'OnDemand';
export type Schedule = {
  id: string;
  name: string;
  domainFqdn: string;
  recurrenceEnum: Recurrence;
  /** `HH:mm` in the schedule's zone. */
  startTime: string;
  /** Hours. */
  duration: number;
  timeZoneId: string;
  dailyData?: { timesOfDay: string[] } | undefined;
  weeklyData?: { daysOfWeek: string[] } | undefined;
  monthlyData?:
    | {
        typeEnum: 'NthDay' | 'NthWeekDay';
        nthDay?: string | undefined;
        nthWeekDay?: string | undefined;
        dayOfWeek?: string | undefined;
      }
    | undefined;
  postponeUntilDate?: string | undefined;
  endDate?: string | undefined;
  readOnly: boolean;
};

export type DurationUnit = 'DAYS' | 'WEEKS' | 'MONTHS' | 'YEARS';
export type Retention = {
  id: string;
  name: string;
  domainFqdn: string;
  basicRetentionType: 'DURATION' | 'EXDATE' | 'NO_EXPIRATION';
  duration?: number | undefined;
  durationUnit?: DurationUnit | undefined;
  expireDate?: string | undefined;
  override: boolean;
  readOnly: boolean;
  [tag: `${string}Tag` | `${string}TagUnit`]: unknown;
};

export type Dataset = {
  id: string;
  name: string;
  domain: string;
  includes: { pluginNumber: number; value: string }[];
  excludes: { pluginNumber: number; value: string }[];
  targets: { pluginNumber: number; value: string; recordID?: string | undefined }[];
  flags: Record<string, unknown>[];
  allData: boolean;
  readOnly: boolean;
};

export type JoinType = 'EXCLUDED' | 'NOT_SELECTED' | 'INCLUDED_BY_RULE' | 'INCLUDED_BY_USER';
export type Group = {
  id: string;
  name: string;
  domain: string;
  enabled: boolean;
  datasetId: string;
  scheduleId: string;
  retentionId: string;
  encryption: string;
  members: { cid: string; datasetId?: string | undefined; joinType: JoinType }[];
  proxyIds: string[];
  autoProxyMapping: boolean;
  skipNext: boolean;
  runOnce: boolean;
};

export type RestoreTarget =
  | { kind: 'existing'; moref: string; restoreConfiguration: boolean }
  | { kind: 'new'; name: string };

/** A backup or a restore. What it looks like now follows from these times and the clock, so a restart changes nothing. */
export type Activity = {
  id: string;
  wid: string;
  kind: 'backup' | 'restore';
  type: 'On-Demand Backup' | 'Scheduled Backup' | 'Restore';
  cid: string;
  user: string;
  pluginNumber: number;
  queuedAt: number;
  startAt: number;
  endAt: number;
  scheduledAt?: number;
  groupId?: string;
  groupFqdn?: string;
  scheduleId?: string;
  scheduleName?: string;
  datasetId?: string;
  retentionId?: string;
  /** Epoch milliseconds; 0 never. Absent: computed when the backup is complete. */
  expireTime?: number;
  /** Disk labels; absent means all. */
  disks?: string[];
  /** Absent until the backup began. */
  totalBytes?: number;
  label: string;
  labelNumber?: string;
  restore?: { target: RestoreTarget; powerMode?: string };
  /** The state to end in, decided by a switch when the activity was queued. */
  outcome?: { state: string; errorCode: number; codeReason: string };
  cancelRequestedAt?: number;
  finished?: { at: number; state: string; errorCode: number; codeReason: string };
  effectiveExpiration?: number;
  /** The machine that a restore made: its MoRef. */
  restoredMoref?: string;
};

export type Configuration = {
  name: string;
  cpu: number;
  memoryMiB: number;
  annotation?: string;
  disks: { label: string; sizeGiB: number; content: string }[];
};
export type Backup = {
  cid: string;
  labelNumber: string;
  name: string;
  creationTime: number;
  /** Epoch milliseconds; 0 never. */
  expirationTime: number;
  pluginNumber: number;
  sizeBytes: number;
  configuration: Configuration;
};

export type TaskRecord = {
  id: string;
  createdAt: number;
  completedAt?: number;
  cancelled: boolean;
  request: { domain: string; entityIds: string[]; cbtEnabled: boolean };
  result?: Record<string, unknown>[];
  error?: { code: number; exception: string; message: string };
};

export type AuditRecord = {
  id: number;
  at: number;
  userName: string;
  oauth2ClientId: string;
  jti: string;
  ip: string;
  method: string;
  path: string;
  query: string;
  body: unknown;
  status: number;
  responseBody: unknown;
  responseTimeMs: number;
};

export type VCenter = { cid: string; name: string; domain: string; uuid: string; version: string };

export type State = {
  oauthClients: Collection<OAuthClient>;
  /** By access token. */
  tokens: Collection<Token>;
  clients: Collection<Client>;
  schedules: Collection<Schedule>;
  retentions: Collection<Retention>;
  datasets: Collection<Dataset>;
  groups: Collection<Group>;
  activities: Collection<Activity>;
  /** By `cid/labelNumber`. */
  backups: Collection<Backup>;
  tasks: Collection<TaskRecord>;
  audit: Collection<AuditRecord>;
  settings: Collection<Settings>;
  scheduler: Collection<{ checkedUntil: number }>;
  vcenter(): VCenter;
  rememberVCenter(seen: { uuid: string; version: string }): void;
  systemId(): string;
  /** A number that looks like epoch milliseconds and never repeats: the vendor's ids are made of such. */
  nextNumber(): number;
  /** A client id as on the wire: 40 hexadecimal digits. */
  newCid(): string;
};

export type Settings = { backupSeconds: number; restoreSeconds: number; taskSeconds: number };

/** Opens the server's state; a new one gets the built-in objects and an identity that stays. */
export function openState(
  store: Store,
  clock: SimulatedClock,
  options: { vcenterName: string; timeZoneId: string; settings: Settings },
): State {
  const identity = store.collection<{ systemId: string; lastNumber: number }>('identity');
  const vcenters = store.collection<VCenter>('vcenters');
  if (identity.get('self') === undefined) {
    identity.put('self', { systemId: `${Math.floor(clock.now() / 1000)}@${randomUUID()}`, lastNumber: 0 });
  }
  if (vcenters.get('self') === undefined) {
    const { vcenterName: name } = options;
    vcenters.put('self', { cid: randomBytes(20).toString('hex'), name, domain: `/${name}`, uuid: '', version: '' });
  }
  const vcenter = () => vcenters.get('self') as VCenter;
  const state: State = {
    oauthClients: store.collection('oauth-clients'),
    tokens: store.collection('tokens'),
    clients: store.collection('clients'),
    schedules: store.collection('schedules'),
    retentions: store.collection('retentions'),
    datasets: store.collection('datasets'),
    groups: store.collection('groups'),
    activities: store.collection('activities'),
    backups: store.collection('backups'),
    tasks: store.collection('tasks'),
    audit: store.collection('audit'),
    settings: store.collection('settings'),
    scheduler: store.collection('scheduler'),
    vcenter,
    rememberVCenter(seen) {
      const known = vcenter();
      if (known.uuid !== seen.uuid || known.version !== seen.version) vcenters.put('self', { ...known, ...seen });
    },
    systemId: () => identity.get('self')?.systemId ?? '',
    nextNumber() {
      const { systemId, lastNumber } = identity.get('self') as { systemId: string; lastNumber: number };
      const number = Math.max(clock.now(), lastNumber + 1);
      identity.put('self', { systemId, lastNumber: number });
      return number;
    },
    newCid: () => randomBytes(20).toString('hex'),
  };
  state.settings.put('self', options.settings);
  addBuiltIns(state, options.timeZoneId);
  return state;
}
