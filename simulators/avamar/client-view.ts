import { fqdn } from './activity-engine.ts';
import type { Server } from './env.ts';
import { notFound } from './spring.ts';
import { type Client, isMachine } from './state.ts';

/** @throws AvamarError 404 */
export const needClient = ({ state }: Server, cid: string): Client => {
  const client = state.clients.get(cid);
  if (client === undefined) throw notFound('Client', cid);
  return client;
};

/** `Client` of the swagger. It does not tell the machine's entity id. */
export function clientView({ state }: Server, client: Client) {
  const newest = state.backups.get(`${client.id}/${client.lastLabelNumber}`);
  return {
    id: client.id,
    name: client.name,
    domainFqdn: client.domainFqdn,
    fqdn: fqdn(client.domainFqdn, client.name),
    clientType: isMachine(client) ? 'VMACHINE' : 'REGULAR',
    clientOS: 'otherLinux64Guest',
    enabled: client.enabled,
    activated: true,
    registered: !client.retired,
    restoreOnly: client.retired,
    activationTime: client.registeredAt,
    initializationTime: client.registeredAt,
    lastCheckinTime: client.registeredAt,
    overrideRetention: client.retentionId !== undefined,
    overrideDataset: false,
    overrideEncryption: false,
    encryption: 'HIGH',
    totalBackups: client.lastLabelNumber,
    ...(client.retentionId === undefined ? {} : { retentionId: client.retentionId }),
    ...(newest === undefined ? {} : { lastBackupTime: newest.creationTime }),
  };
}
