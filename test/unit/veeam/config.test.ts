import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { backupPlugins } from '../../../activities/backup-systems/plugins.ts';
import { configuredRetention, loadVeeamConfig } from '../../../activities/backup-systems/veeam/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'veeam-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  const path = join(folder, 'veeam.yaml');
  writeFileSync(path, content);
  return path;
}

describe('the configuration of the Veeam plugin', () => {
  test('needs no file', () => {
    expect(loadVeeamConfig(undefined)).toMatchObject({
      jobName: 'holdfast-{vmId}',
      retention: { subtypes: {}, policies: {} },
      taskTimeoutSeconds: 120,
      cloneSettlingSeconds: 600,
    });
  });

  test('takes YAML or JSON and fills in what is left out', () => {
    expect(loadVeeamConfig(file('jobName: "hf {vmId}"\nretention:\n  default: { days: 14 }\n'))).toMatchObject({
      jobName: 'hf {vmId}',
      retention: { default: { days: 14 } },
    });
    expect(loadVeeamConfig(file('{"taskTimeoutSeconds": 60}'))).toMatchObject({ taskTimeoutSeconds: 60 });
    expect(loadVeeamConfig(file(''))).toMatchObject({ jobName: 'holdfast-{vmId}' });
  });

  test.each([
    ['jobName: holdfast', /jobName: write \{vmId\} once/],
    ['jobName: "{vmId}{vmId}"', /jobName: write \{vmId\} once/],
    ['jobName: "a-prefix-too-long-{vmId}"', /jobName: .* 54 characters long; a job takes 50/],
    ['jobName: "a/{vmId}"', /jobName: write letters/],
    ['retention: { default: { days: 0 } }', /retention\.default\.days/],
    ['retention: { default: { days: 1, restorePoints: 2 } }', /retention\.default: write either/],
    ['retention: { default: {} }', /retention\.default: write either/],
    ['retention: { subtypes: { YEARLY: { days: 1 } } }', /retention\.subtypes/],
    ['retention: { policies: { GOLD: { days: soon } } }', /retention\.policies\.GOLD\.days/],
    ['taskTimeoutSeconds: 1', /taskTimeoutSeconds/],
    ['jobname: "x {vmId}"', /jobname/],
    ['[1', /veeam\.yaml cannot be read/],
  ])('names the file and the key that is wrong in %s', (content, message) => {
    expect(() => loadVeeamConfig(file(content))).toThrow(message);
    expect(() => loadVeeamConfig(file(content))).toThrow(/veeam\.yaml/);
  });
});

describe('the retention', () => {
  const config = loadVeeamConfig(
    file(`
retention:
  default: { days: 31 }
  subtypes:
    HOURLY: { restorePoints: 48 }
  policies:
    Gold: { restorePoints: 24 }
    GOLD: { days: 8 }
`),
  );

  test('is the most specific entry', () => {
    expect(configuredRetention(config, 'SILVER', 'DAILY')).toEqual({ days: 31 });
    expect(configuredRetention(config, 'SILVER', 'HOURLY')).toEqual({ restorePoints: 48 });
    expect(configuredRetention(config, 'GOLD', 'HOURLY')).toEqual({ days: 8 });
  });

  test('is found by a code in any case, the exact one first', () => {
    expect(configuredRetention(config, 'Gold', 'DAILY')).toEqual({ restorePoints: 24 });
    expect(configuredRetention(config, 'gold', 'DAILY')).toEqual({ restorePoints: 24 });
    expect(configuredRetention(config, 'toString', 'DAILY')).toEqual({ days: 31 });
  });

  test('is the policy’s own when the file has none', () => {
    expect(configuredRetention(loadVeeamConfig(undefined), 'GOLD', 'DAILY')).toBeUndefined();
  });
});

describe('the loaded plugins', () => {
  const clock = () => new Date();

  test('offer Veeam', () => {
    const paths = { avamarConfigPath: undefined, veeamConfigPath: undefined };
    expect(backupPlugins(paths, clock).get('veeam')).toMatchObject({ type: 'veeam' });
  });

  test('say why Veeam is not loaded, and the others work', () => {
    const paths = { avamarConfigPath: undefined, veeamConfigPath: file('jobName: no') };
    const plugins = backupPlugins(paths, clock);
    expect(plugins.get('veeam')).toEqual({ notLoaded: expect.stringMatching(/veeam\.yaml.*jobName/) });
    expect(plugins.get('avamar')).toMatchObject({ type: 'avamar' });
  });
});
