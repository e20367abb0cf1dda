/**
 * Making the data folder of an embedded cluster.
 * @module
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Account, findPrograms, postgresAccount, type Programs } from './embedded-programs.ts';
import { isAlive, openLog, spawnGuarded } from './guarded-process.ts';

/** Where a cluster lives and how much it may forget. */
export interface EmbeddedPostgresOptions {
  /** The cluster's own folder, `.data/pg`; made when missing. */
  readonly dataDir: string;
  /** `false`: nothing is synced to disk, for tests. */
  readonly durable: boolean;
  /** The port that it must have; absent: the one it had last time, or a free one. */
  readonly port?: number;
  /** PostgreSQL's log; absent: `<dataDir>.log`. */
  readonly logFile?: string;
}

/** The superuser of every embedded cluster. */
export const USER = 'holdfast';

/** A cluster's place, secrets and programs; nothing runs yet. */
export interface Cluster {
  readonly dataDir: string;
  readonly durable: boolean;
  readonly fixedPort: number | undefined;
  readonly password: string;
  readonly logFile: string;
  readonly account: Account | undefined;
  readonly programs: Programs;
}

/** @throws Error when there are no programs for this platform, or when the password of existing data is lost. */
export function openCluster(options: EmbeddedPostgresOptions): Cluster {
  const dataDir = resolve(options.dataDir);
  fs.mkdirSync(dirname(dataDir), { recursive: true });
  const account = postgresAccount(dataDir);
  return {
    dataDir,
    durable: options.durable,
    fixedPort: options.port,
    password: readPassword(dataDir),
    logFile: options.logFile ?? `${dataDir}.log`,
    account,
    programs: findPrograms(account),
  };
}

/** The password is written before the cluster is made with it, so that two processes that start at once agree on it. */
function readPassword(dataDir: string): string {
  const file = `${dataDir}.password`;
  if (!fs.existsSync(file) && fs.existsSync(join(dataDir, 'PG_VERSION'))) {
    throw new Error(
      `${file} is missing, and without the password the data in ${dataDir} cannot be read. ` +
        'Put the file back, or start over with: npm run reset',
    );
  }
  try {
    fs.writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return fs.readFileSync(file, 'utf8');
}

/**
 * How the programs name the cluster's folder. As root it is entered before root's rights are given up and then named by
 * where the process stands: the unprivileged account could not walk down to a folder under `/root`.
 */
export function standIn(folder: string, account: Account | undefined): { readonly cwd: string; readonly name: string } {
  if (account === undefined) return { cwd: folder, name: folder };
  if (process.platform === 'linux') return { cwd: folder, name: '/proc/self/cwd' };
  return { cwd: '/', name: folder };
}

/** Makes the cluster's data folder. @throws Error with what `initdb` said. */
export async function initialise(cluster: Cluster): Promise<void> {
  const parent = dirname(cluster.dataDir);
  const prefix = `${basename(cluster.dataDir)}.init-`;
  for (const left of fs.readdirSync(parent).filter((name) => name.startsWith(prefix))) {
    if (!isAlive(Number(left.slice(prefix.length)))) fs.rmSync(join(parent, left), { recursive: true, force: true });
  }
  // Made aside and renamed when it is whole: a start that is interrupted leaves no half a cluster.
  const workshop = join(parent, prefix + process.pid);
  const data = join(workshop, 'data');
  fs.mkdirSync(data, { recursive: true, mode: 0o700 });
  fs.writeFileSync(join(workshop, 'password'), cluster.password, { mode: 0o600 });
  if (cluster.account !== undefined) {
    const { uid, gid } = cluster.account;
    for (const path of [workshop, data, join(workshop, 'password')]) fs.chownSync(path, uid, gid);
  }
  const { cwd, name } = standIn(data, cluster.account);
  const log = startLog(cluster);
  const initdb = spawnGuarded({
    command: cluster.programs.initdb,
    args: [
      '--pgdata',
      name,
      '--username',
      USER,
      '--auth=scram-sha-256',
      `--pwfile=${name}/../password`,
      '--encoding=UTF8',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--locale=C',
      '--no-instructions',
      ...(cluster.durable ? [] : ['--no-sync']),
    ],
    cwd,
    ...cluster.account,
    output: log.descriptor,
    stopSignal: 'SIGTERM',
    graceSeconds: 5,
  });
  const ending = await initdb.wait();
  const said = log.end();
  if (ending === 'exit code 0') {
    moveIntoPlace(data, cluster);
    fs.rmSync(workshop, { recursive: true, force: true });
    return;
  }
  fs.rmSync(workshop, { recursive: true, force: true });
  throw new Error(
    `The embedded PostgreSQL could not make its data folder ${cluster.dataDir} (${ending}). ` +
      `Set DATABASE_URL to use another PostgreSQL. It said:\n${said}`,
  );
}

function moveIntoPlace(data: string, cluster: Cluster): void {
  try {
    fs.renameSync(data, cluster.dataDir);
  } catch (error) {
    const faster = fs.existsSync(join(cluster.dataDir, 'PG_VERSION'));
    if (!faster) throw error;
  }
  if (!cluster.durable) return;
  const parent = fs.openSync(dirname(cluster.dataDir), 'r');
  fs.fsyncSync(parent);
  fs.closeSync(parent);
}

/** Opens the log; `end` closes it and answers its last lines since then. */
export function startLog(cluster: Cluster): { readonly descriptor: number; end(): string } {
  const descriptor = openLog(cluster.logFile);
  const from = fs.fstatSync(descriptor).size;
  return {
    descriptor,
    end() {
      fs.closeSync(descriptor);
      return fs.readFileSync(cluster.logFile).subarray(from).toString('utf8').trim().split('\n').slice(-15).join('\n');
    },
  };
}
