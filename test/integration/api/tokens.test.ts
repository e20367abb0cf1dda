import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { ensureDevelopmentTokens } from '../../../bin/dev-tokens.ts';
import { runToken } from '../../../bin/token.ts';
import { findToken, revokeToken } from '../../../db/tokens.ts';
import { loadConfig } from '../../../temporal.config.ts';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let dataDir: string;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'holdfast-tokens-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

async function holdfastToken(...argv: string[]): Promise<string[]> {
  const printed: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  try {
    await runToken(argv, loadConfig({ DATABASE_URL: api.databaseUrl }));
    return printed;
  } finally {
    log.mockRestore();
  }
}

test('the command line makes a token of an enterprise that works until it is revoked', async () => {
  const enterprise = await api.newEnterprise();
  const [token, , about] = await holdfastToken('create', '--role', 'USER', '--enterprise', enterprise.name);
  expect(about).toContain(`USER of ${enterprise.name}, named "${enterprise.name} user". It is not shown again.`);
  const seen = await api.expectStatus(200, token, 'GET', '/v1/enterprises');
  expect(seen.items.map((item: { id: string }) => item.id)).toEqual([enterprise.id]);

  const id = /Token (\S+),/.exec(about as string)?.[1] as string;
  const list = await holdfastToken('list');
  expect(list.find((line) => line.startsWith(id))).toContain('valid');
  expect(list.join()).not.toContain(token);
  await holdfastToken('revoke', id);
  expect((await api.send(token, 'GET', '/v1/enterprises')).status).toBe(401);
  await expect(holdfastToken('revoke', id)).rejects.toThrow(`There is no valid token ${id}.`);
});

test('roles that see every enterprise belong to none', async () => {
  const [token] = await holdfastToken('create', '--role', 'PLATFORM', '--name', 'the platform');
  await api.expectStatus(200, token, 'GET', '/v1/virtual-machines');
  const events = await api.expectStatus(200, token, 'GET', '/v1/events?entity=TOKEN&limit=1');
  expect(events.items[0]).toMatchObject({ action: 'CREATE', principal: 'the command line' });
});

test.each([
  [['create'], /--role must be one of/],
  [['create', '--role', 'KING'], /--role must be one of/],
  [['create', '--role', 'USER'], /belongs to an enterprise/],
  [['create', '--role', 'USER', '--enterprise', 'nobody'], /There is no enterprise "nobody"/],
  [['create', '--role', 'PLATFORM', '--enterprise', 'acme'], /leave --enterprise out/],
  [['revoke', 'x'], /Usage/],
  [['frobnicate'], /Usage/],
  [[], /Usage/],
])('%j says what is wrong', async (argv, message) => {
  await expect(holdfastToken(...argv)).rejects.toThrow(message);
});

test('the development tokens are the same at the next start, as long as this database knows them', async () => {
  const first = await ensureDevelopmentTokens(api.databaseUrl, dataDir);
  expect(first.tokens.map(({ role, enterprise }) => [role, enterprise])).toEqual([
    ['CLOUD_ADMIN', null],
    ['PLATFORM', null],
  ]);
  expect(statSync(first.file).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(first.file, 'utf8'))).toEqual(first.tokens);
  expect(await ensureDevelopmentTokens(api.databaseUrl, dataDir)).toEqual(first);

  const [administrator, platform] = first.tokens.map(({ token }) => token) as [string, string];
  await api.expectStatus(200, administrator, 'GET', '/v1/enterprises');
  const row = await findToken(api.db, platform);
  await revokeToken(api.db, row?.id as string);
  const second = await ensureDevelopmentTokens(api.databaseUrl, dataDir);
  expect(second.tokens[0]?.token).toBe(administrator);
  expect(second.tokens[1]?.token).not.toBe(platform);
});
