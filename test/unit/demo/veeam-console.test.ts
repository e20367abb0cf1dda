import { expect, test } from 'vitest';
import type { Answer, Call, Server } from '../../../bin/demo/http.ts';
import { veeamConsole } from '../../../bin/demo/veeam-console.ts';

const VM = '0198c5d2-7a11-7000-8000-000000000001';
const JOB = {
  Name: `holdfast-${VM}`,
  ScheduleEnabled: true,
  NextRun: '2026-11-24T13:07:00.000000Z',
  JobScheduleOptions: {
    Standart: { OptionsDaily: { Enabled: true, Kind: 'Everyday', Time: '14:07:00.0000000+01:00', TimeOffsetUtc: 1 } },
  },
  JobInfo: {
    BackupJobInfo: {
      Includes: {
        ObjectInJobs: [
          { HierarchyObjRef: 'urn:VMware:Vm:0d5b3c8e-21f1-4f5c-9e55-2f6d3f1f0a11.vm-104', Name: 'ledger' },
        ],
      },
    },
  },
};
const jobs = (...found: object[]) => ({ Entities: { Jobs: { Jobs: found }, Backups: null } });

/** A server that answers by the first entry that fits the request; each login opens another session. */
function serverWith(answers: Record<string, (call: Call) => { status: number; body?: unknown }>) {
  const calls: Call[] = [];
  let logins = 0;
  const server: Server = {
    called: 'The Veeam simulator',
    url: 'http://veeam',
    send: async (call): Promise<Answer> => {
      calls.push(call);
      if (call.path.startsWith('/api/sessionMngr/')) {
        logins += 1;
        return { status: 201, headers: new Headers({ 'X-RestSvcSessionId': `session-${logins}` }), body: {} };
      }
      const found = Object.entries(answers).find(([path]) => call.path.startsWith(path));
      const { status, body = null } = found?.[1](call) ?? { status: 404 };
      return { status, headers: new Headers(), body };
    },
  };
  return { console: veeamConsole(server), calls, logins: () => logins };
}

const sessionOf = (call: Call): string | undefined => call.headers?.['X-RestSvcSessionId'];

test('a job is shown with its machines as the hypervisor calls them', async () => {
  const { console, calls } = serverWith({ '/api/query': () => ({ status: 200, body: jobs(JOB) }) });
  expect(await console.jobsOf(VM)).toEqual([
    {
      name: JOB.Name,
      enabled: true,
      members: ['vm-104'],
      when: 'Everyday 14:07:00.0000000+01:00',
      nextRun: new Date('2026-11-24T13:07:00Z'),
    },
  ]);
  expect(decodeURIComponent(calls.at(-1)?.path ?? '')).toContain(`filter=Name=="holdfast-${VM}"`);
});

test('a session that has run out is opened again, once', async () => {
  let valid = 'session-1';
  const { console, calls, logins } = serverWith({
    '/api/query': (call) => (sessionOf(call) === valid ? { status: 200, body: jobs() } : { status: 401, body: {} }),
  });
  await console.jobsOf(VM);
  valid = 'session-2';
  expect(await console.jobsOf(VM)).toEqual([]);
  const asked = calls.filter(({ path }) => path.startsWith('/api/query')).map(sessionOf);
  expect(asked).toEqual(['session-1', 'session-1', 'session-2']);
  expect(logins()).toBe(2);
});

test('a server that refuses every session is not asked for ever', async () => {
  const { console, logins } = serverWith({ '/api/query': () => ({ status: 401, body: {} }) });
  await expect(console.jobsOf(VM)).rejects.toThrow(/^The Veeam simulator: GET \/query\?type=Job.* answered 401$/);
  expect(logins()).toBe(1);
});

test('the clock is put right by what it is wrong, and left alone when it is right', async () => {
  let offsetSeconds = -86_340;
  const { console, calls } = serverWith({
    '/_simulator/clock': ({ method, json }) => {
      if (method === 'POST') offsetSeconds += (json as { advanceSeconds: number }).advanceSeconds;
      return { status: 200, body: { now: '2026-11-24T13:00:00.000Z', offsetSeconds } };
    },
  });
  await console.putClockRight();
  await console.putClockRight();
  expect(offsetSeconds).toBe(0);
  expect(calls.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET']);
});
