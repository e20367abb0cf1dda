/**
 * Where the demo finds Holdfast and its simulators, and the tokens with which it speaks to them.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../../temporal.config.ts';
import { StartError } from '../parts/part.ts';
import { apiFor } from './api-client.ts';
import { avamarConsole } from './avamar-console.ts';
import { serverAt } from './http.ts';
import { hypervisorView } from './hypervisor-view.ts';
import type { Screen } from './screen.ts';
import type { Story } from './story.ts';
import { veeamConsole } from './veeam-console.ts';

/** The parts of a story by which it reaches others. */
export type Connections = Pick<Story, 'admin' | 'platform' | 'apiAs' | 'avamar' | 'veeam' | 'hypervisor' | 'signal'>;

/** What is needed to connect. */
export interface Address {
  readonly config: Config;
  readonly tokens: DevelopmentTokens;
  readonly screen: Screen;
}

/** @param signal ends every wait for a server. */
export function connect({ config, tokens, screen }: Address, signal: AbortSignal): Connections {
  const { hypervisorPort, avamarPort, veeamPort } = config.simulators;
  const reach = (called: string, url: string) => serverAt({ called, url, signal, tell: (text) => screen.line(text) });
  const api = reach('The API', apiUrl(config));
  const apiAs = (token: string) => apiFor(api, token);
  return {
    admin: apiAs(tokens.CLOUD_ADMIN),
    platform: apiAs(tokens.PLATFORM),
    apiAs,
    avamar: avamarConsole(reach('The Avamar simulator', `http://127.0.0.1:${avamarPort}`)),
    veeam: veeamConsole(reach('The Veeam simulator', `http://127.0.0.1:${veeamPort}`)),
    hypervisor: hypervisorView(reach('The hypervisor simulator', `http://127.0.0.1:${hypervisorPort}`)),
    signal,
  };
}

/** Where the API is called; a wildcard is where it listens. */
export function apiUrl({ api: { host, port } }: Config): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** @throws StartError when nothing answers there. */
export async function requireApi(url: string): Promise<void> {
  const alive = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
  if (!alive)
    throw new StartError(
      `Holdfast does not answer on ${url}: run npm start in another terminal, then npm run demo again.`,
    );
}

const TokenFile = z.array(z.object({ role: z.string(), token: z.string() }));
/** The token of each role that sees every enterprise. */
export type DevelopmentTokens = Readonly<Record<'CLOUD_ADMIN' | 'PLATFORM', string>>;

/**
 * The tokens that `npm start` wrote for development.
 * @throws StartError when there are none.
 */
export function developmentTokens({ dataDir }: Config): DevelopmentTokens {
  const file = join(dataDir, 'dev-tokens.json');
  let tokens: z.infer<typeof TokenFile>;
  try {
    tokens = TokenFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartError(`The development tokens of npm start cannot be read from ${file}: ${why}`);
  }
  const of = (role: string) => {
    const found = tokens.find((token) => token.role === role);
    if (found === undefined) throw new StartError(`${file} has no ${role} token: stop npm start and start it again.`);
    return found.token;
  };
  return { CLOUD_ADMIN: of('CLOUD_ADMIN'), PLATFORM: of('PLATFORM') };
}
