/**
 * The console of the backup system: what its own administrator sees and does, over its own REST API (Avamar 19.x), and
 * the simulator's fault switches.
 * @module
 */
import { DateTime } from 'luxon';
import { z } from 'zod';
import type { Call, Server } from './http.ts';

/** The simulator's administrator. */
const USER = 'MCUser';
const PASSWORD = 'avamar-simulator';
/** The OAuth client of this console; Avamar wants every program that logs in to be one. */
const CONSOLE = { clientId: 'demo-console', clientSecret: 'demo-console' };

/** The number of the plug-in that copies backups. */
const REPLICATE = 1008;

/** Names of everything that Holdfast makes for a VM begin so. */
const namesOf = (vmId: string): string => `holdfast-${vmId}-`;

/** The words of the refusal that the demo asks the simulator for; by them its faults are found again. */
export const REFUSAL = 'The maximum number of policies of this domain is reached.';

const Client = z.object({ id: z.string(), name: z.string() });
const Group = z.object({ id: z.string(), name: z.string(), scheduleId: z.string(), memberCount: z.number() });
const Schedule = z.object({
  id: z.string(),
  recurrenceEnum: z.string(),
  startTime: z.string(),
  timeZoneId: z.string(),
  weeklyData: z.object({ daysOfWeek: z.array(z.string()) }).optional(),
  nextRunTime: z.string().optional(),
});
const Backup = z.object({ labelNumber: z.string(), name: z.string() });
const Faults = z.object({ faults: z.array(z.object({ id: z.number(), action: z.unknown() })) });

/** A backup schedule as the backup system holds it. */
export interface ShownSchedule {
  readonly group: string;
  readonly members: number;
  /** `Weekly 23:30 Europe/Madrid on Monday, Thursday` */
  readonly when: string;
  /** `2026-11-23 22:30`, in the schedule's own zone; `never` where it only runs when it is told to. */
  readonly nextRun: string;
}

/** What the administrator of the backup system sees and does. */
export interface AvamarConsole {
  /** Where Holdfast finds it. */
  readonly endpoint: string;
  /** With these Holdfast logs in too. */
  readonly credentials: { readonly user: string; readonly password: string };
  /** The schedules of a VM. */
  schedulesOf(vmId: string): Promise<ShownSchedule[]>;
  /** Gives a backup of a VM another expiry. @returns whether it was found among the VM's clients. */
  expireBackup(vmName: string, backup: { name: string; labelNumber: string }, at: Date): Promise<boolean>;
  /** Makes the next new policy group be refused, once. */
  refuseNextSchedule(): Promise<void>;
  /** How long backups, and their copying, take that begin from now on. */
  backupsTake(seconds: number): Promise<void>;
  /** Registers a second server to copy backups to, where there is none. @returns its name. */
  copiesTo(name: string, host: string): Promise<{ readonly name: string; readonly made: 'made' | 'was there' }>;
  /** Removes the faults that this demo, or one before it, asked for. */
  removeFaults(): Promise<void>;
}

/** Opens the console of the Avamar simulator; it logs in when it is first used. */
export function avamarConsole(server: Server): AvamarConsole {
  let login: Promise<string> | undefined;

  const ask = async <T extends z.ZodType>(call: Call, as: T): Promise<z.infer<T>> => {
    const { status, body } = await server.send(call);
    if (status >= 400) throw new Error(`${server.called}: ${call.method} ${call.path} answered ${status}`);
    return as.parse(body);
  };
  const logIn = async (): Promise<string> => {
    const basic = (name: string, secret: string) => `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
    // 400 says that an earlier demo has registered the console.
    await server.send({
      method: 'POST',
      path: '/api/v1/oauth2/clients',
      headers: { authorization: basic(USER, PASSWORD) },
      json: {
        ...CONSOLE,
        clientName: CONSOLE.clientId,
        authorizedGrantTypes: ['password'],
        scopes: ['read', 'write'],
        autoApproveScopes: ['all'],
        redirectUris: ['https://localhost/'],
      },
    });
    const call: Call = {
      method: 'POST',
      path: '/api/oauth/token',
      headers: { authorization: basic(CONSOLE.clientId, CONSOLE.clientSecret) },
      form: { grant_type: 'password', username: USER, password: PASSWORD, scope: 'write' },
    };
    return (await ask(call, z.object({ access_token: z.string() }))).access_token;
  };
  const asAdministrator = async <T extends z.ZodType>(method: Call['method'], path: string, as: T, json?: unknown) => {
    login ??= logIn();
    const headers = { authorization: `Bearer ${await login}` };
    return await ask({ method, path: `/api/v1${path}`, headers, ...(json === undefined ? {} : { json }) }, as);
  };
  const listed = async <T extends z.ZodType>(path: string, item: T): Promise<z.infer<T>[]> =>
    (await asAdministrator('GET', path, z.object({ content: z.array(item) }))).content;
  const named = (begin: string) => `recursive=true&size=1000&filter=${encodeURIComponent(`name==${begin}*`)}`;

  return {
    endpoint: server.url,
    credentials: { user: USER, password: PASSWORD },
    async schedulesOf(vmId) {
      const groups = await listed(`/groups?${named(namesOf(vmId))}`, Group);
      return await Promise.all(
        groups.map(async (group) => {
          const schedule = await asAdministrator('GET', `/schedules/${group.scheduleId}`, Schedule);
          return {
            group: group.name,
            members: group.memberCount,
            when: recurrence(schedule),
            nextRun: nextRun(schedule),
          };
        }),
      );
    },
    async expireBackup(vmName, backup, at) {
      // A VM that was deployed several times has several clients; the name of a backup is unique among them.
      for (const client of await listed(`/clients?${named(vmName)}`, Client)) {
        const backups = await listed(`/clients/${client.id}/backups?size=1000`, Backup);
        if (!backups.some(({ name, labelNumber }) => name === backup.name && labelNumber === backup.labelNumber))
          continue;
        const path = `/clients/${client.id}/backups/${backup.labelNumber}/update-expiration?expiration=${at.getTime()}`;
        await asAdministrator('PUT', path, z.unknown());
        return true;
      }
      return false;
    },
    async refuseNextSchedule() {
      const body = { code: 400, exception: 'InvalidInputException', message: REFUSAL, details: null, event: null };
      const fault = {
        method: 'POST',
        path: '^/api/v1/groups/backup-groups$',
        when: 'before',
        times: 1,
        action: { status: 400, body },
      };
      await ask({ method: 'POST', path: '/_simulator/faults', json: fault }, z.unknown());
    },
    async backupsTake(seconds) {
      const json = { backupSeconds: seconds, replicationSeconds: seconds };
      await ask({ method: 'POST', path: '/_simulator/settings', json }, z.unknown());
    },
    async copiesTo(name, host) {
      const [known] = await asAdministrator(
        'GET',
        '/replication/destinations',
        z.array(z.object({ name: z.string() })),
      );
      if (known !== undefined) return { name: known.name, made: 'was there' };
      const flag = { flagId: 'dstaddr', name: 'dstaddr', pluginNumber: REPLICATE, command: 'REPL_CONFIG' };
      const configFlags = [{ ...flag, type: 'string', value: host }];
      const json = { name, encryption: 'HIGH', pluginNumber: REPLICATE, configFlags };
      await asAdministrator('POST', '/replication/destinations', z.unknown(), json);
      return { name, made: 'made' };
    },
    async removeFaults() {
      const { faults } = await ask({ method: 'GET', path: '/_simulator/faults' }, Faults);
      for (const { id, action } of faults) {
        if (!JSON.stringify(action).includes(REFUSAL)) continue;
        await ask({ method: 'DELETE', path: `/_simulator/faults/${id}` }, z.unknown());
      }
    },
  };
}

function recurrence({ recurrenceEnum, startTime, timeZoneId, weeklyData }: z.infer<typeof Schedule>): string {
  const days = weeklyData === undefined ? '' : ` on ${weeklyData.daysOfWeek.join(', ')}`;
  return `${recurrenceEnum} ${startTime} ${timeZoneId}${days}`;
}

function nextRun({ nextRunTime, timeZoneId }: z.infer<typeof Schedule>): string {
  if (nextRunTime === undefined) return 'never';
  return DateTime.fromISO(nextRunTime, { zone: timeZoneId }).toFormat('yyyy-MM-dd HH:mm');
}
