import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAvamarConfig } from '../../../activities/backup-systems/avamar/config.ts';
import { replicationTarget } from '../../../activities/backup-systems/avamar/replication-target.ts';
import { backupPlugins } from '../../../activities/backup-systems/plugins.ts';

const folder = mkdtempSync(join(tmpdir(), 'avamar-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  const path = join(folder, 'avamar.yaml');
  writeFileSync(path, content);
  return path;
}

describe('the configuration of the Avamar plugin', () => {
  test('needs no file', () => {
    expect(loadAvamarConfig(undefined)).toMatchObject({ marker: 'holdfast', policyDomain: '/', windowHours: 8 });
  });

  test('takes YAML or JSON and fills in what is left out', () => {
    expect(loadAvamarConfig(file('marker: acme\nunlessChosen:\n  time: "01:30"\n'))).toMatchObject({
      marker: 'acme',
      unlessChosen: { time: '01:30', everyHours: 6, day: 'SUNDAY', monthDay: 1 },
    });
    expect(loadAvamarConfig(file('{"windowHours": 4}'))).toMatchObject({ windowHours: 4 });
    expect(loadAvamarConfig(file(''))).toMatchObject({ marker: 'holdfast' });
  });

  test('names the file and the key that is wrong', () => {
    const path = file('unlessChosen:\n  time: "25:00"\nwindowHours: many\n');
    expect(() => loadAvamarConfig(path)).toThrow(/avamar\.yaml.*windowHours: .*unlessChosen\.time: write HH:mm/);
    expect(() => loadAvamarConfig(file('markr: acme'))).toThrow(/markr/);
    expect(() => loadAvamarConfig(file('[1'))).toThrow(/avamar\.yaml cannot be read/);
    expect(() => loadAvamarConfig(join(folder, 'missing.yaml'))).toThrow(/missing\.yaml cannot be read/);
  });
});

describe('where backups are copied to', () => {
  const SECRET = 'hunter2-of-the-vault';

  test('can be told for all managers, and for one of them', () => {
    const path = file(
      `replication: { destination: east, create: { flags: { ap: ${SECRET} } }, managers: { b: { destination: west } } }`,
    );
    const config = loadAvamarConfig(path);
    expect(replicationTarget(config, 'a')).toMatchObject({ destination: 'east' });
    expect(replicationTarget(config, 'a').create?.flags['ap']?.reveal()).toBe(SECRET);
    // What makes the one must not make the other.
    expect(replicationTarget(config, 'b')).toEqual({ destination: 'west' });
    expect(JSON.stringify(config)).not.toContain(SECRET);
  });

  test.each([
    ['replication: { create: { flags: { ap: "hunter2-of-the-vault } } }', /cannot be read: .* \(line 1\)/],
    ['replication: { create: { flags: { ap: [hunter2-of-the-vault] } } }', /replication\.create\.flags\.ap: /],
    ['replication: { create: { ap: hunter2-of-the-vault } }', /replication\.create\.flags: /],
  ])('is not shown when it is wrong: %s', (content, message) => {
    const load = () => loadAvamarConfig(file(content));
    expect(load).toThrow(message);
    expect(load).not.toThrow(SECRET);
  });
});

describe('the day of the month', () => {
  const monthDay = (written: string) => loadAvamarConfig(file(`unlessChosen: { monthDay: ${written} }`));

  test.each(['1', '28', 'last'])('can be %s', (written) => {
    expect(String(monthDay(written).unlessChosen.monthDay)).toBe(written);
  });

  test.each(['0', '29', '30', '31', '1.5', 'first'])('cannot be %s, and the reason is told', (written) => {
    expect(() => monthDay(written)).toThrow(
      /unlessChosen\.monthDay: write 1 to 28, or last: not every month has a 29th/,
    );
  });
});

describe('the loaded plugins', () => {
  const clock = () => new Date();

  test('offer Avamar', () => {
    expect(
      backupPlugins({ avamarConfigPath: undefined, veeamConfigPath: undefined }, clock).get('avamar'),
    ).toMatchObject({ type: 'avamar' });
  });

  test('say why one is not loaded, and do not fail for it', () => {
    const plugins = backupPlugins({ avamarConfigPath: file('marker: "No!"'), veeamConfigPath: undefined }, clock);
    expect(plugins.get('avamar')).toEqual({ notLoaded: expect.stringMatching(/marker/) });
    expect(plugins.get('tape')).toEqual({ notLoaded: expect.stringContaining('tape') });
  });
});
