import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openCredentials, openSealing, SealError, sealCredentials } from '../../../db/sealing.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'holdfast-sealing-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const development = () => openSealing({ masterKeyFile: undefined, dataDir });
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64');

test('what is sealed opens in its place, and shows nothing of itself', () => {
  const sealing = development();
  const sealed = sealing.seal('hunter2 ñ €', 'row-1');
  expect(sealing.open(sealed, 'row-1')).toBe('hunter2 ñ €');
  expect(sealed).not.toContain('hunter2');
  expect(sealing.seal('hunter2 ñ €', 'row-1')).not.toBe(sealed);
});

test('a sealed text opens nowhere else and not when a character of it was changed', () => {
  const sealing = development();
  const sealed = sealing.seal('hunter2', 'row-1');
  expect(() => sealing.open(sealed, 'row-2')).toThrow(SealError);
  for (const index of [sealed.length - 2, sealed.lastIndexOf('.') + 3, sealed.indexOf('.', 3) + 3]) {
    const other = sealed[index] === 'A' ? 'B' : 'A';
    expect(() => sealing.open(sealed.slice(0, index) + other + sealed.slice(index + 1), 'row-1')).toThrow(SealError);
  }
  expect(() => sealing.open('v2.x', 'row-1')).toThrow(/not in a form/);
});

test('the development key is made once, for its owner alone', () => {
  const sealed = development().seal('hunter2', 'row-1');
  expect(development().open(sealed, 'row-1')).toBe('hunter2');
  expect(statSync(join(dataDir, 'master.key')).mode & 0o777).toBe(0o600);
  expect(readdirSync(dataDir)).toEqual(['master.key']);
  expect(readFileSync(join(dataDir, 'master.key'), 'utf8')).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
});

test('a new key is put first, and the old one opens what it sealed', () => {
  const masterKeyFile = join(dataDir, 'keys');
  const open = (...keys: string[]) => {
    writeFileSync(masterKeyFile, keys.join('\n'));
    return openSealing({ masterKeyFile, dataDir });
  };
  const old = open(key(1)).seal('hunter2', 'row-1');
  const rotated = open(key(2), key(1));
  expect(rotated.open(old, 'row-1')).toBe('hunter2');
  const renewed = rotated.seal('hunter2', 'row-1');
  expect(open(key(2)).open(renewed, 'row-1')).toBe('hunter2');
  expect(() => open(key(2)).open(old, 'row-1')).toThrow(/which is not in/);
});

test('a key file that is missing or wrong is refused, and never made', () => {
  const masterKeyFile = join(dataDir, 'keys');
  expect(() => openSealing({ masterKeyFile, dataDir })).toThrow(/cannot be read \(ENOENT\)/);
  for (const text of ['', 'short', `${key(1)}\nshort`]) {
    writeFileSync(masterKeyFile, text);
    expect(() => openSealing({ masterKeyFile, dataDir })).toThrow(/32 bytes in base64/);
  }
});

test('credentials open for their own backup manager alone', () => {
  const sealing = development();
  const sealed = sealCredentials(sealing, 'manager-1', { user: 'MCUser', password: 'hunter2' });
  expect(openCredentials(sealing, 'manager-1', sealed)).toEqual({ user: 'MCUser', password: 'hunter2' });
  expect(() => openCredentials(sealing, 'manager-2', sealed)).toThrow(SealError);
});
