/**
 * A person at the administration of an Avamar server: a small client of its REST API, written without the plugin.
 * @module
 */
import { Agent, fetch } from 'undici';
import { destinationNamed } from '../avamar-console.ts';

export interface Thing {
  readonly id: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

export interface AvamarAdministration {
  /** @throws Error with the server's words when it refuses. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Everything that schedules something, by kind; what Avamar brings along is left out. */
  inventory(): Promise<Record<'groups' | 'schedules' | 'retentions' | 'datasets' | 'replicationGroups', Thing[]>>;
  clients(): Promise<Thing[]>;
  /** Makes a replication destination. @returns its id. */
  destination(name: string): Promise<string>;
}

/**
 * Logs in.
 * @param url of the server, without a path.
 * @param trusted the authority of its certificate, in PEM; absent: the system's.
 */
export async function avamarAdministration(
  url: string,
  user: string,
  password: string,
  trusted?: string,
): Promise<AvamarAdministration> {
  const dispatcher = new Agent(trusted === undefined ? {} : { connect: { ca: trusted } });
  const basic = (name: string, secret: string) => ({ authorization: `Basic ${btoa(`${name}:${secret}`)}` });
  await fetch(`${url}/api/v1/oauth2/clients`, {
    method: 'POST',
    headers: basic(user, password),
    body: JSON.stringify({
      clientId: 'console',
      clientSecret: 'console',
      clientName: 'console',
      authorizedGrantTypes: ['password'],
      scopes: ['write'],
      autoApproveScopes: ['all'],
      redirectUris: [],
    }),
    dispatcher,
  });
  let token: string | undefined;
  const logIn = async (): Promise<string> => {
    const granted = await fetch(`${url}/api/oauth/token`, {
      method: 'POST',
      headers: basic('console', 'console'),
      body: new URLSearchParams({ grant_type: 'password', username: user, password, scope: 'write' }),
      dispatcher,
    });
    return ((await granted.json()) as { access_token: string }).access_token;
  };
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    for (let isSecond = false; ; isSecond = true) {
      token ??= await logIn();
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        dispatcher,
      });
      const text = await response.text();
      if (response.ok) return text === '' ? undefined : JSON.parse(text);
      if (response.status !== 401 || isSecond) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      // The server's clock may have been moved past the token's end.
      token = undefined;
    }
  };
  const all = async (path: string): Promise<Thing[]> =>
    ((await call('GET', `${path}?domain=/&recursive=true&inclusion=DESCENDANT&size=500`)) as { content: Thing[] })
      .content;
  const made = async (path: string) => (await all(path)).filter((thing) => thing['readOnly'] !== true);
  return {
    call,
    clients: () => all('/clients'),
    async destination(name) {
      return ((await call('POST', '/replication/destinations', destinationNamed(name))) as Thing).id;
    },
    async inventory() {
      const [groups, schedules, retentions, datasets, replicationGroups] = await Promise.all([
        made('/groups'),
        made('/schedules'),
        made('/retentions'),
        made('/datasets'),
        made('/replication/groups'),
      ]);
      return { groups, schedules, retentions, datasets, replicationGroups };
    },
  };
}
