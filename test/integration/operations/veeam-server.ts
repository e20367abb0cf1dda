/**
 * A Veeam server of a test: simulated, beside the hypervisor that it backs up, and what its administrator sees and does.
 * @module
 */
import type { Settings } from '../../../simulators/veeam/settings.ts';
import { startVeeamSimulator } from '../../../simulators/veeam/start.ts';
import type { SeenJob } from '../plugins/veeam-world.ts';

export const VEEAM_ADMINISTRATOR = { user: 'Administrator', password: 'veeam-simulator' };

/** Nothing takes longer than it must, unless a test wants it so. */
const QUICK: Partial<Settings> = {
  backupSeconds: 1,
  restoreSeconds: 1,
  taskSeconds: 0.05,
  collectSeconds: 0.02,
  includeSeconds: 0.05,
  lookupSeconds: 0,
  pointReadySeconds: 0,
};

/** Starts one; its templates are the jobs GOLD and SILVER. */
export async function startVeeamServer(vcenterUrl: string, settings: Partial<Settings> = {}) {
  const server = await startVeeamSimulator({ vcenterUrl, settings: { ...QUICK, ...settings } });
  const control = async (path: string, body?: unknown, method = 'POST'): Promise<any> => {
    const response = await fetch(`${server.url}/_simulator${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  /** The VM's jobs: those of its name, however they came into being. */
  const jobsOf = async (vmId: string): Promise<SeenJob[]> => {
    const { jobs } = (await control('/jobs', undefined, 'GET')) as { jobs: SeenJob[] };
    return jobs.filter(({ name }) => name.includes(vmId));
  };
  return {
    url: server.url,
    jobsOf,
    changeSettings: (change: Partial<Settings>) => control('/settings', change),
    outcome: (outcome: unknown) => control('/outcomes', outcome),
    /** The server's clock. */
    async now(): Promise<Date> {
      return new Date(((await control('/clock', undefined, 'GET')) as { now: string }).now);
    },
    /** Moves that clock; runs that became due by it have begun. */
    advance: (advanceSeconds: number) => control('/clock', { advanceSeconds }),
    /** Runs the VM's job now. */
    async run(vmId: string): Promise<void> {
      const [job] = await jobsOf(vmId);
      if (job === undefined) throw new Error(`there is no job of ${vmId}`);
      await control(`/jobs/${job.id}/start`);
    },
    removeJob: (id: string) => control(`/jobs/${id}`, undefined, 'DELETE'),
    removePoint: (uid: string) => control(`/points/${guid(uid)}`, undefined, 'DELETE'),
    /** A restore that somebody begins at the console. */
    async restoreAtConsole(pointUid: string): Promise<void> {
      const { user, password } = VEEAM_ADMINISTRATOR;
      const login = await fetch(`${server.url}/api/sessionMngr/?v=latest`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
      });
      const session = login.headers.get('x-restsvcsessionid') ?? '';
      const answer = await fetch(`${server.url}/api/vmRestorePoints/${guid(pointUid)}?action=restore`, {
        method: 'POST',
        headers: { 'x-restsvcsessionid': session },
      });
      if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
    },
    /** How many calls of a kind came: `PUT /api/jobs/:id`. */
    async calls(kind: string): Promise<number> {
      const { counts } = (await control('/requests', undefined, 'GET')) as { counts: Record<string, number> };
      return counts[kind] ?? 0;
    },
    close: () => server.close(),
  };
}

const guid = (uid: string): string => uid.slice(uid.lastIndexOf(':') + 1);
