/**
 * The console of the second backup system: what its own administrator sees, over the REST API of Veeam Backup Enterprise
 * Manager in JSON, and the simulator's clock and pace.
 * @module
 */
import { z } from 'zod';
import type { Call, Server } from './http.ts';

/** The simulator's administrator. */
const USER = 'Administrator';
const PASSWORD = 'veeam-simulator';
const SESSION_HEADER = 'X-RestSvcSessionId';

/** Names of the jobs that Holdfast makes. */
const nameOf = (vmId: string): string => `holdfast-${vmId}`;

const Job = z.object({
  Name: z.string(),
  ScheduleEnabled: z.boolean(),
  NextRun: z.string().optional(),
  JobScheduleOptions: z.object({
    Standart: z.object({ OptionsDaily: z.object({ Enabled: z.boolean(), Kind: z.string(), Time: z.string() }) }),
  }),
  JobInfo: z.object({
    BackupJobInfo: z.object({
      Includes: z.object({ ObjectInJobs: z.array(z.object({ HierarchyObjRef: z.string() })) }),
    }),
  }),
});
const Jobs = z.object({ Entities: z.object({ Jobs: z.object({ Jobs: z.array(Job) }) }) });
const Sessions = z.object({
  Entities: z.object({ BackupJobSessions: z.object({ BackupJobSessions: z.array(z.unknown()) }) }),
});
const Clock = z.object({ now: z.string(), offsetSeconds: z.number() });

/** A job as the backup system holds it. */
export interface ShownJob {
  readonly name: string;
  readonly enabled: boolean;
  /** What the hypervisor calls the machines in it. */
  readonly members: readonly string[];
  /** `Everyday 14:07:00.0000000+01:00` */
  readonly when: string;
  readonly nextRun: Date | null;
}

/** What the administrator of the backup system sees and does. */
export interface VeeamConsole {
  /** Where Holdfast finds it. */
  readonly endpoint: string;
  /** With these Holdfast logs in too. */
  readonly credentials: { readonly user: string; readonly password: string };
  /** The jobs of a VM. */
  jobsOf(vmId: string): Promise<ShownJob[]>;
  /** Whether the restore point of that UID is listed. */
  listsPoint(uid: string): Promise<boolean>;
  /** Whether a job runs. */
  isWorking(): Promise<boolean>;
  /** The backup system's own clock. */
  now(): Promise<Date>;
  /** Turns that clock by so many seconds, back where negative; jobs whose time has come by that begin. */
  turnClock(seconds: number): Promise<void>;
  /** Turns the clock to what it is. */
  putClockRight(): Promise<void>;
  /** How long runs and restores take that begin from now on. */
  runsTake(seconds: number): Promise<void>;
  restoresTake(seconds: number): Promise<void>;
}

/** Opens the console of the Veeam simulator; it logs in when it is first used, and again when that has run out. */
export function veeamConsole(server: Server): VeeamConsole {
  let session: string | undefined;

  const logIn = async (): Promise<string> => {
    const basic = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
    const headers = { accept: 'application/json', authorization: `Basic ${basic}` };
    const answer = await server.send({ method: 'POST', path: '/api/sessionMngr/?v=latest', headers });
    const key = answer.headers.get(SESSION_HEADER);
    if (key === null) throw new Error(`${server.called}: the login answered ${answer.status}`);
    return key;
  };
  const get = async (path: string): Promise<{ status: number; body: unknown }> => {
    for (let logins = 0; ; ) {
      if (session === undefined) {
        session = await logIn();
        logins += 1;
      }
      const headers = { accept: 'application/json', [SESSION_HEADER]: session };
      const answer = await server.send({ method: 'GET', path: `/api${path}`, headers });
      if (answer.status !== 401 || logins > 0) return answer;
      // A clock that was turned forward ends every session.
      session = undefined;
    }
  };
  const ask = async <T extends z.ZodType>(type: string, filter: string, as: T): Promise<z.infer<T>> => {
    const path = `/query?type=${type}&format=Entities&pageSize=1000&filter=${encodeURIComponent(filter)}`;
    const { status, body } = await get(path);
    if (status >= 400) throw new Error(`${server.called}: GET ${path} answered ${status}`);
    return as.parse(body);
  };
  const control = async <T extends z.ZodType>(call: Pick<Call, 'method' | 'json'>, name: string, as: T) => {
    const { status, body } = await server.send({ ...call, path: `/_simulator/${name}` });
    if (status >= 400) throw new Error(`${server.called}: ${call.method} /_simulator/${name} answered ${status}`);
    return as.parse(body);
  };
  const readClock = () => control({ method: 'GET' }, 'clock', Clock);
  const turnClock = async (advanceSeconds: number): Promise<void> => {
    await control({ method: 'POST', json: { advanceSeconds } }, 'clock', Clock);
  };
  const set = async (json: Readonly<Record<string, number>>): Promise<void> => {
    await control({ method: 'POST', json }, 'settings', z.unknown());
  };

  return {
    endpoint: `${server.url}/api/`,
    credentials: { user: USER, password: PASSWORD },
    async jobsOf(vmId) {
      const { Entities } = await ask('Job', `Name=="${nameOf(vmId)}"`, Jobs);
      return Entities.Jobs.Jobs.map(shown);
    },
    async listsPoint(uid) {
      const { status } = await get(`/vmRestorePoints/${uid.slice(uid.lastIndexOf(':') + 1)}`);
      if (status !== 200 && status !== 404) throw new Error(`${server.called}: a restore point answered ${status}`);
      return status === 200;
    },
    async isWorking() {
      const { Entities } = await ask('BackupJobSession', 'State!="Stopped"', Sessions);
      return Entities.BackupJobSessions.BackupJobSessions.length > 0;
    },
    now: async () => new Date((await readClock()).now),
    turnClock,
    async putClockRight() {
      const { offsetSeconds } = await readClock();
      if (offsetSeconds !== 0) await turnClock(-offsetSeconds);
    },
    runsTake: (backupSeconds) => set({ backupSeconds }),
    restoresTake: (restoreSeconds) => set({ restoreSeconds }),
  };
}

function shown({ Name, ScheduleEnabled, NextRun, JobScheduleOptions, JobInfo }: z.infer<typeof Job>): ShownJob {
  const { Kind, Time } = JobScheduleOptions.Standart.OptionsDaily;
  const { ObjectInJobs } = JobInfo.BackupJobInfo.Includes;
  return {
    name: Name,
    enabled: ScheduleEnabled,
    members: ObjectInJobs.map(({ HierarchyObjRef }) => HierarchyObjRef.slice(HierarchyObjRef.indexOf('.') + 1)),
    when: `${Kind} ${Time}`,
    nextRun: NextRun === undefined ? null : new Date(NextRun),
  };
}
