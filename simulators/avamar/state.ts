/**
 * The server's state: its collections, the objects that every server has, and its numbers.
 * @module
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { SimulatedClock } from '../kit/clock.ts';
import type { Collection, Store } from '../kit/store.ts';
import { addBuiltIns, SYSTEM_DOMAIN } from './built-ins.ts';
import type {
  Activity,
  AuditRecord,
  Backup,
  Client,
  Copy,
  Dataset,
  Destination,
  Group,
  OAuthClient,
  ReplicationGroup,
  Retention,
  Schedule,
  TaskRecord,
  Token,
  VCenter,
} from './model.ts';

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
  destinations: Collection<Destination>;
  replicationGroups: Collection<ReplicationGroup>;
  /** By `cid/destId/labelNumber`. */
  copies: Collection<Copy>;
  tasks: Collection<TaskRecord>;
  audit: Collection<AuditRecord>;
  scheduler: Collection<{ checkedUntil: number }>;
  vcenter(): VCenter;
  /** The server's own client, which does the replicating. */
  replicator(): Client;
  rememberVCenter(seen: { uuid: string; version: string }): void;
  systemId(): string;
  /** A number that looks like epoch milliseconds and never repeats: the vendor's ids are made of such. */
  nextNumber(): number;
  /** A client id as on the wire: 40 hexadecimal digits. */
  newCid(): string;
};

/** Opens the server's state; a new one gets the built-in objects and an identity that stays. */
export function openState(
  store: Store,
  clock: SimulatedClock,
  options: { vcenterName: string; timeZoneId: string },
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
    destinations: store.collection('destinations'),
    replicationGroups: store.collection('replication-groups'),
    copies: store.collection('copies'),
    scheduler: store.collection('scheduler'),
    vcenter,
    replicator: () => state.clients.values().find(({ domainFqdn }) => domainFqdn === SYSTEM_DOMAIN) as Client,
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
  addBuiltIns(state, options.timeZoneId, clock.now());
  return state;
}
