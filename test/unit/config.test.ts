import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../temporal.config.ts';

const HOME = { HOME: '/home/ada' };

function problems(environment: Record<string, string>): string[] {
  try {
    loadConfig({ ...HOME, ...environment });
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('settings', () => {
  test('are all there when none is given', () => {
    const config = loadConfig(HOME);
    expect(config.api).toEqual({ host: '127.0.0.1', port: 3000 });
    expect(config.metrics).toEqual({ served: true, workerPort: undefined });
    expect(config.dataDir).toBe(resolve('.data'));
    expect(config.databaseUrl).toBeUndefined();
    expect(config.temporal).toMatchObject({
      address: undefined,
      namespace: 'default',
      tls: false,
      uiUrl: 'http://127.0.0.1:8233',
      taskQueue: 'holdfast',
      periodicTaskQueue: 'holdfast-periodic',
      cacheDir: '/home/ada/.cache/holdfast',
    });
    expect(config.limits).toEqual({ stepRetryMs: 600_000, undoRetryMs: 14_400_000, startMs: 900_000 });
    expect(config.intervals).toEqual({
      reconcileMs: 15_000,
      watchMs: 5_000,
      resultsSyncMs: 600_000,
      expiryCheckMs: 3_600_000,
    });
  });

  test('that are empty are not given', () => {
    expect(
      loadConfig({ ...HOME, PORT: '', DATABASE_URL: '', TEMPORAL_ADDRESS: '', HOLDFAST_STEP_RETRY_LIMIT: '' }),
    ).toEqual(loadConfig(HOME));
  });

  test.each([
    ['500ms', 500],
    ['15s', 15_000],
    ['10m', 600_000],
    ['4h', 14_400_000],
    ['1d', 86_400_000],
    ['0s', 0],
  ])('a time of %s', (text, milliseconds) => {
    expect(loadConfig({ HOLDFAST_STEP_RETRY_LIMIT: text }).limits.stepRetryMs).toBe(milliseconds);
  });

  test.each(['10', '10 m', '-10m', '1.5h', '1w', '10M', 'soon'])(
    '%s is no time, and it is said how one is written',
    (text) => {
      expect(problems({ HOLDFAST_UNDO_RETRY_LIMIT: text })).toEqual([
        'HOLDFAST_UNDO_RETRY_LIMIT: write a number and a unit: 500ms, 15s, 10m, 4h or 1d',
      ]);
    },
  );

  test.each([
    ['PORT', '0'],
    ['PORT', '65536'],
    ['PORT', 'http'],
    ['DATABASE_URL', 'mysql://db/holdfast'],
    ['DATABASE_URL', 'holdfast'],
    ['TEMPORAL_TLS', 'yes'],
    ['TEMPORAL_UI_URL', 'temporal.example.com'],
    ['HOLDFAST_TEMPORAL_PORT', '70000'],
    ['HOLDFAST_LOG_LEVEL', 'verbose'],
    ['HOLDFAST_SIMULATED_BACKUP_SECONDS', '0'],
    ['HOLDFAST_WATCH_INTERVAL', 'often'],
    ['HOLDFAST_METRICS', 'yes'],
    ['HOLDFAST_WORKER_METRICS_PORT', '0'],
  ])('%s=%s is refused, with the variable named', (name, value) => {
    expect(problems({ [name]: value })).toEqual([expect.stringMatching(new RegExp(`^${name}: .`))]);
  });

  test.each([
    [{}, true],
    [{ HOLDFAST_HOST: 'localhost' }, true],
    [{ HOLDFAST_HOST: '::1' }, true],
    [{ HOLDFAST_HOST: '0.0.0.0' }, false],
    [{ HOLDFAST_HOST: '127.example.com' }, false],
    [{ HOLDFAST_HOST: '0.0.0.0', HOLDFAST_METRICS: 'true' }, true],
    [{ HOLDFAST_METRICS: 'false' }, false],
  ])('%j: metrics are shown to others only on purpose', (environment, served) => {
    expect(loadConfig(environment).metrics.served).toBe(served);
  });

  test('that are wrong are named all at once, a line each', () => {
    const lines = problems({ PORT: 'http', TEMPORAL_TLS: 'yes', HOLDFAST_WATCH_INTERVAL: 'often' });
    expect(lines.map((line) => line.split(':')[0])).toEqual(['PORT', 'TEMPORAL_TLS', 'HOLDFAST_WATCH_INTERVAL']);
  });

  test('of other programs are left alone', () => {
    expect(loadConfig({ ...HOME, PATH: '/usr/bin', LANG: 'es_ES.UTF-8' })).toEqual(loadConfig(HOME));
  });

  test('of an installation are taken over', () => {
    const config = loadConfig({
      PORT: '8080',
      DATABASE_URL: 'postgresql://holdfast@db:5432/holdfast',
      TEMPORAL_ADDRESS: 'temporal:7233',
      TEMPORAL_TLS: 'true',
      TEMPORAL_UI_URL: 'https://temporal.example.com/',
      HOLDFAST_DATA_DIR: '/var/lib/holdfast',
      XDG_CACHE_HOME: '/var/cache',
    });
    expect(config.api.port).toBe(8080);
    expect(config.databaseUrl).toBe('postgresql://holdfast@db:5432/holdfast');
    expect(config.temporal).toMatchObject({ address: 'temporal:7233', tls: true, cacheDir: '/var/cache/holdfast' });
    // Links into the Temporal UI are made by appending to it.
    expect(config.temporal.uiUrl).toBe('https://temporal.example.com');
    expect(config.dataDir).toBe('/var/lib/holdfast');
  });
});
