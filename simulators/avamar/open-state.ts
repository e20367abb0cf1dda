import { randomBytes, randomUUID } from 'node:crypto';
import type { SimulatedClock } from '../kit/clock.ts';
import type { Store } from '../kit/store.ts';
import { addBuiltIns, SYSTEM_DOMAIN } from './built-ins.ts';
import type { Client, State, VCenter } from './state.ts';

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
    rules: store.collection('rules'),
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
