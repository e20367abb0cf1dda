/**
 * Every setting of Holdfast, read from the environment once, checked once, at boot.
 * This is the only module that reads `process.env`; everything else is handed what it needs.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';

/** The workflow and activity queue of the operations; a datacenter may name its own. */
export const DEFAULT_TASK_QUEUE = 'holdfast';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `500ms`, `15s`, `10m`, `4h`, `1d` → milliseconds. */
const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h|d)$/, 'write a number and a unit: 500ms, 15s, 10m, 4h or 1d')
  .transform((text) => {
    const unit = text.replace(/^\d+/, '') as keyof typeof UNIT_MS;
    return Number.parseInt(text, 10) * UNIT_MS[unit];
  });

const portNumber = 'write a port number from 1 to 65535';
const port = z.coerce.number({ error: portNumber }).int(portNumber).min(1, portNumber).max(65_535, portNumber);
const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

const Environment = z.object({
  PORT: port.default(3000),
  HOLDFAST_HOST: z.string().min(1).default('127.0.0.1'),
  HOLDFAST_DATA_DIR: z.string().min(1).default('.data'),
  HOLDFAST_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HOLDFAST_MASTER_KEY_FILE: z.string().min(1).optional(),
  HOLDFAST_METRICS: flag.optional(),
  HOLDFAST_WORKER_METRICS_PORT: port.optional(),

  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'write postgres://user:password@host:port/database' })
    .optional(),

  TEMPORAL_ADDRESS: z.string().min(1).optional(),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  TEMPORAL_API_KEY: z.string().min(1).optional(),
  TEMPORAL_TLS: flag.default(false),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_CERT_PATH: z.string().min(1).optional(),
  TEMPORAL_TLS_CLIENT_KEY_PATH: z.string().min(1).optional(),
  TEMPORAL_CLI_PATH: z.string().min(1).optional(),
  TEMPORAL_UI_URL: z.url().optional(),
  HOLDFAST_TEMPORAL_PORT: port.default(7233),
  HOLDFAST_TEMPORAL_UI_PORT: port.default(8233),
  XDG_CACHE_HOME: z.string().min(1).optional(),
  HOME: z.string().min(1).optional(),

  HOLDFAST_HYPERVISOR_SIMULATOR_PORT: port.default(4010),
  HOLDFAST_AVAMAR_SIMULATOR_PORT: port.default(4020),
  HOLDFAST_VEEAM_SIMULATOR_PORT: port.default(4030),
  HOLDFAST_SIMULATED_BACKUP_SECONDS: z.coerce.number().positive().default(12),

  HOLDFAST_AVAMAR_CONFIG_PATH: z.string().min(1).optional(),
  HOLDFAST_VEEAM_CONFIG_PATH: z.string().min(1).optional(),

  HOLDFAST_STEP_RETRY_LIMIT: duration.default(10 * UNIT_MS.m),
  HOLDFAST_UNDO_RETRY_LIMIT: duration.default(4 * UNIT_MS.h),
  HOLDFAST_START_LIMIT: duration.default(15 * UNIT_MS.m),
  HOLDFAST_RECONCILE_INTERVAL: duration.default(15 * UNIT_MS.s),
  HOLDFAST_WATCH_INTERVAL: duration.default(5 * UNIT_MS.s),
  HOLDFAST_RESULTS_SYNC_INTERVAL: duration.default(10 * UNIT_MS.m),
  HOLDFAST_EXPIRY_CHECK_INTERVAL: duration.default(UNIT_MS.h),
});

/** The checked settings. Durations are milliseconds, paths absolute. */
export interface Config {
  readonly api: { readonly host: string; readonly port: number };
  readonly dataDir: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly metrics: {
    /**
     * HOLDFAST_METRICS: whether the API answers `GET /metrics`, which needs no token. Left out: only while the API
     * listens on loopback alone, so that nobody shows them to a network unknowingly.
     */
    readonly served: boolean;
    /** HOLDFAST_WORKER_METRICS_PORT: where a worker serves its own metrics, on 127.0.0.1; absent: it does not. */
    readonly workerPort: number | undefined;
  };
  /** File with the key that seals credentials; absent: `<dataDir>/master.key` is made (development). */
  readonly masterKeyFile: string | undefined;
  /** Absent: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly temporal: {
    /** Absent: the embedded development server. */
    readonly address: string | undefined;
    readonly namespace: string;
    readonly apiKey: string | undefined;
    readonly tls: boolean;
    readonly caPath: string | undefined;
    readonly certPath: string | undefined;
    readonly keyPath: string | undefined;
    readonly cliPath: string | undefined;
    /** Base of the links into the Temporal UI. */
    readonly uiUrl: string;
    readonly port: number;
    readonly uiPort: number;
    readonly taskQueue: string;
    readonly periodicTaskQueue: string;
    /** Where downloaded or built Temporal binaries are kept, shared by all checkouts. */
    readonly cacheDir: string;
  };
  readonly simulators: {
    readonly hypervisorPort: number;
    readonly avamarPort: number;
    readonly veeamPort: number;
    readonly backupSeconds: number;
  };
  readonly plugins: { readonly avamarConfigPath: string | undefined; readonly veeamConfigPath: string | undefined };
  readonly limits: {
    /** How long transient errors of a step are retried before the operation rolls back. */
    readonly stepRetryMs: number;
    /** How long an undo is retried before what it could not undo is named as residue. */
    readonly undoRetryMs: number;
    /** What could not be started within this time is ended as not started. */
    readonly startMs: number;
  };
  readonly intervals: {
    /** HOLDFAST_RECONCILE_INTERVAL: between two looks for operations that nobody carries on. */
    readonly reconcileMs: number;
    /** HOLDFAST_WATCH_INTERVAL: between two looks at a backup system with sessions in flight; six times as long without. */
    readonly watchMs: number;
    /** HOLDFAST_RESULTS_SYNC_INTERVAL: between two syncs of the backups that a backup system lists. */
    readonly resultsSyncMs: number;
    /** HOLDFAST_EXPIRY_CHECK_INTERVAL: between two checks for expired backups. */
    readonly expiryCheckMs: number;
  };
}

/** A setting that cannot be used; the message names each variable and what is wrong with it, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads and checks all settings.
 * @throws ConfigError with one line per wrong variable.
 * @example const config = loadConfig(process.env);
 */
export function loadConfig(environment: Record<string, string | undefined>): Config {
  // An empty variable means "not set": that is how compose files and shells leave one out.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = Environment.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new ConfigError(lines.join('\n'));
  }
  const env = parsed.data;
  const cacheHome = env.XDG_CACHE_HOME ?? resolve(env.HOME ?? '.', '.cache');
  return {
    api: { host: env.HOLDFAST_HOST, port: env.PORT },
    dataDir: resolve(env.HOLDFAST_DATA_DIR),
    logLevel: env.HOLDFAST_LOG_LEVEL,
    metrics: {
      served: env.HOLDFAST_METRICS ?? isLoopback(env.HOLDFAST_HOST),
      workerPort: env.HOLDFAST_WORKER_METRICS_PORT,
    },
    masterKeyFile: env.HOLDFAST_MASTER_KEY_FILE,
    databaseUrl: env.DATABASE_URL,
    temporal: {
      address: env.TEMPORAL_ADDRESS,
      namespace: env.TEMPORAL_NAMESPACE,
      apiKey: env.TEMPORAL_API_KEY,
      tls: env.TEMPORAL_TLS,
      caPath: env.TEMPORAL_TLS_SERVER_CA_CERT_PATH,
      certPath: env.TEMPORAL_TLS_CLIENT_CERT_PATH,
      keyPath: env.TEMPORAL_TLS_CLIENT_KEY_PATH,
      cliPath: env.TEMPORAL_CLI_PATH,
      uiUrl: (env.TEMPORAL_UI_URL ?? `http://127.0.0.1:${env.HOLDFAST_TEMPORAL_UI_PORT}`).replace(/\/+$/, ''),
      port: env.HOLDFAST_TEMPORAL_PORT,
      uiPort: env.HOLDFAST_TEMPORAL_UI_PORT,
      taskQueue: DEFAULT_TASK_QUEUE,
      periodicTaskQueue: `${DEFAULT_TASK_QUEUE}-periodic`,
      cacheDir: resolve(cacheHome, 'holdfast'),
    },
    simulators: {
      hypervisorPort: env.HOLDFAST_HYPERVISOR_SIMULATOR_PORT,
      avamarPort: env.HOLDFAST_AVAMAR_SIMULATOR_PORT,
      veeamPort: env.HOLDFAST_VEEAM_SIMULATOR_PORT,
      backupSeconds: env.HOLDFAST_SIMULATED_BACKUP_SECONDS,
    },
    plugins: {
      avamarConfigPath: env.HOLDFAST_AVAMAR_CONFIG_PATH,
      veeamConfigPath: env.HOLDFAST_VEEAM_CONFIG_PATH,
    },
    limits: {
      stepRetryMs: env.HOLDFAST_STEP_RETRY_LIMIT,
      undoRetryMs: env.HOLDFAST_UNDO_RETRY_LIMIT,
      startMs: env.HOLDFAST_START_LIMIT,
    },
    intervals: {
      reconcileMs: env.HOLDFAST_RECONCILE_INTERVAL,
      watchMs: env.HOLDFAST_WATCH_INTERVAL,
      resultsSyncMs: env.HOLDFAST_RESULTS_SYNC_INTERVAL,
      expiryCheckMs: env.HOLDFAST_EXPIRY_CHECK_INTERVAL,
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}

/** How Temporal is connected to; fits the client's connection and the worker's. */
export interface TemporalConnection {
  readonly address: string;
  readonly apiKey?: string;
  readonly tls?: {
    readonly serverRootCACertificate?: Uint8Array;
    readonly clientCertPair?: { readonly crt: Uint8Array; readonly key: Uint8Array };
  };
}

/**
 * The options of a connection to the configured Temporal, its certificates read from their files.
 * @throws when no address is known or a file cannot be read.
 */
export async function temporalConnection(config: Config['temporal']): Promise<TemporalConnection> {
  const { address, apiKey } = config;
  if (address === undefined) throw new Error('There is no Temporal server: run npm start, or set TEMPORAL_ADDRESS.');
  const secured = config.tls || config.caPath !== undefined || config.certPath !== undefined || apiKey !== undefined;
  if (!secured) return { address };
  const [ca, crt, key] = await Promise.all([config.caPath, config.certPath, config.keyPath].map(fileBytes));
  return {
    address,
    ...(apiKey === undefined ? {} : { apiKey }),
    tls: {
      ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
      ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
    },
  };
}

async function fileBytes(path: string | undefined): Promise<Uint8Array | undefined> {
  return path === undefined ? undefined : new Uint8Array(await readFile(path));
}
