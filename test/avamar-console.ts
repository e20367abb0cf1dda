/**
 * The backup system as its administrator uses it.
 * @module
 */

/** Calls the REST API of the simulated Avamar; the path begins after `/api/v1`. */
export type AvamarConsole = (method: string, path: string, body?: unknown) => Promise<any>;

/** Logs in. */
export async function avamarConsole(url: string): Promise<AvamarConsole> {
  const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  await fetch(`${url}/api/v1/oauth2/clients`, {
    method: 'POST',
    headers: { authorization: basic('MCUser', 'avamar-simulator'), 'content-type': 'application/json' },
    body: JSON.stringify({
      clientId: 'console',
      clientSecret: 'console',
      clientName: 'Console',
      authorizedGrantTypes: ['password'],
      scopes: ['read', 'write'],
      autoApproveScopes: ['all'],
      redirectUris: ['https://localhost/'],
      accessTokenValiditySeconds: 864_000,
    }),
  });
  const answer = await fetch(`${url}/api/oauth/token`, {
    method: 'POST',
    headers: { authorization: basic('console', 'console'), 'content-type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=password&username=MCUser&password=avamar-simulator&scope=write',
  });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  return async (method, path, body) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
}

/** A second server that backups can be copied to, as it is written (swagger, `DestinationServerDTO`). */
export const destinationNamed = (name: string, host = `${name}.test`) => ({
  name,
  encryption: 'HIGH',
  pluginNumber: 1008,
  configFlags: [
    { flagId: 'dstaddr', name: 'dstaddr', pluginNumber: 1008, value: host, type: 'string', command: 'REPL_CONFIG' },
  ],
});

/** Registers that server. */
export async function newDestination(console: AvamarConsole, name: string): Promise<void> {
  await console('POST', '/replication/destinations', destinationNamed(name));
}
