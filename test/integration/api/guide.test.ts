import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEFAULT_TEMPLATES } from '../../../simulators/veeam/templates.ts';
import { startTestApi, type TestApi } from './test-api.ts';

const GUIDE = new URL('../../../docs/guides/api.md', import.meta.url);

let api: TestApi;
let guide: string;
beforeAll(async () => {
  guide = await readFile(GUIDE, 'utf8');
  api = await startTestApi();
});
afterAll(() => api.stop());

/** The commands of the guide's set-up, in their order, up to the first that needs a worker. */
function setUp(): string[] {
  const blocks = [...guide.matchAll(/^```\n([^]*?)^```$/gm)].map(([, text]) => text ?? '');
  const commands = blocks.flatMap((text) => text.split(/\n+(?=api |export )|\n$/)).filter((line) => line !== '');
  return commands.slice(
    0,
    commands.findIndex((command) => command.includes('/deploy')),
  );
}

test('the set-up of the guide is accepted as it is written', async () => {
  const known = new Map([['API', '/v1']]);
  const filledIn = (text: string) => text.replaceAll(/\$([A-Z_]+)/g, (_, name: string) => known.get(name) ?? name);
  let last = '';
  const made: string[] = [];
  for (const command of setUp()) {
    const [, variable] = /^export (\w+)=<id>$/.exec(command) ?? [];
    if (variable !== undefined) known.set(variable, last);
    const [, method, path = '', body] = /^api (?:-X (\w+) )?(\$\S+)(?: -d '([^]*)')?$/.exec(command) ?? [];
    // A check waits for the backup system.
    if (path === '' || path.endsWith('/check')) continue;
    const json = body === undefined ? {} : { body: JSON.parse(filledIn(body.replaceAll(/'(\$\w+)'/g, '$1'))) };
    const how = method ?? (body === undefined ? 'GET' : 'POST');
    const answer = await api.send(api.tokens.admin, how, filledIn(path), json);
    expect([answer.status, answer.text], command).toEqual([how === 'PUT' ? 204 : 201, expect.any(String)]);
    if (how === 'POST') last = answer.body.id;
    made.push(path.split('/').at(-1) ?? '');
  }
  expect(made.filter((what) => what === 'backup-policies' || what === 'virtual-machines')).toEqual([
    'backup-policies',
    'backup-policies',
    'virtual-machines',
    'virtual-machines',
  ]);
});

test('the guide names each template of the simulator that a policy for Veeam can have the code of', () => {
  for (const { name } of DEFAULT_TEMPLATES) expect(guide).toContain(`\`${name}\``);
});
