/**
 * A program that was written by somebody else: it knows the vendor's reference alone, follows links, and reads what it
 * needs with the simplest means. It does not know that it speaks to a simulator.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type VeeamWorld, startVeeamWorld } from './veeam-simulated-world.ts';

const USER = 'Administrator';
const PASSWORD = 'veeam-simulator';

let world: VeeamWorld;
beforeAll(async () => {
  world = await startVeeamWorld({ settings: { backupSeconds: 0.5, taskSeconds: 0.2, collectSeconds: 0.1 } });
  await world.makeJob('Webserver Backup');
});
afterAll(() => world.close());

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Speaks XML, and finds attributes with regular expressions. */
async function runByXml(api: string, jobName: string): Promise<string> {
  const call = async (method: string, url: string, headers: Record<string, string>) => {
    const response = await fetch(url, { method, headers: { Accept: 'application/xml', ...headers } });
    return { response, body: await response.text() };
  };
  const hrefs = (body: string, needed: RegExp): string[] =>
    [...body.matchAll(/<(?:Link|Ref)\b[^>]*>/g)]
      .filter(([tag]) => needed.test(tag))
      .map(([tag]) => (/Href="([^"]*)"/.exec(tag)?.[1] ?? '').replaceAll('&amp;', '&'));

  const welcome = await call('GET', api, {});
  const [logonUrl = ''] = hrefs(welcome.body, /Type="LogonSession" |Rel="Create"/);
  const logon = await call('POST', logonUrl, { Authorization: `Basic ${btoa(`${USER}:${PASSWORD}`)}` });
  if (logon.response.status !== 201) throw new Error(`login: ${logon.response.status}`);
  const session = { 'X-RestSvcSessionId': logon.response.headers.get('X-RestSvcSessionId') ?? '' };

  const [jobsUrl = ''] = hrefs(logon.body, /Type="JobReferenceList"/);
  const jobs = await call('GET', jobsUrl, session);
  const [jobUrl = ''] = hrefs(jobs.body, new RegExp(`Type="Job".*Name="${jobName}"`));
  const job = await call('GET', jobUrl, session);
  const [startUrl = ''] = hrefs(job.body, /Rel="Start"/);
  const started = await call('POST', startUrl, session);
  if (started.response.status !== 202) throw new Error(`start: ${started.response.status} ${started.body}`);

  const taskUrl = /<Task\b[^>]*Href="([^"]*)"/.exec(started.body)?.[1] ?? '';
  let task = started.body;
  while (!task.includes('<State>Finished</State>')) {
    await pause();
    task = (await call('GET', taskUrl, session)).body;
  }
  if (!task.includes('Success="true"')) throw new Error(task);
  const [sessionUrl = ''] = hrefs(task, /Type="BackupJobSession"/);
  await call('DELETE', taskUrl, session);
  for (;;) {
    const { body } = await call('GET', sessionUrl, session);
    if (body.includes('<State>Stopped</State>')) {
      const [logoffUrl = ''] = hrefs(logon.body, /Rel="Delete"/);
      await call('DELETE', logoffUrl, session);
      return /<Result>(\w+)<\/Result>/.exec(body)?.[1] ?? '';
    }
    await pause();
  }
}

type Lower = Record<string, any>;

/** Speaks JSON, and lowers the case of all keys because it differs between releases. */
async function reportByJson(api: string): Promise<{ job: string; vm: string; result: string }[]> {
  const lowered = (value: any): any => {
    if (Array.isArray(value)) return value.map(lowered);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inside]) => [key.toLowerCase(), lowered(inside)]));
  };
  const headers: Record<string, string> = { Accept: 'application/json' };
  const call = async (method: string, path: string): Promise<Lower> => {
    const response = await fetch(api + path, { method, headers });
    headers['X-RestSvcSessionId'] ??= response.headers.get('X-RestSvcSessionId') ?? '';
    return lowered(JSON.parse((await response.text()).replace(/^\uFEFF/, '')));
  };
  headers['Authorization'] = `Basic ${btoa(`${USER}:${PASSWORD}`)}`;
  await call('POST', '/sessionMngr/?v=latest');
  delete headers['Authorization'];
  const found = await call(
    'GET',
    '/query?type=BackupJobSession&format=entities&sortDesc=CreationTime&pageSize=10&page=1',
  );
  const report = [];
  for (const session of found['entities'].backupjobsessions.backupjobsessions) {
    const filter = encodeURIComponent(`JobSessionUid=="${session.uid}"`);
    const tasks = await call('GET', `/query?type=BackupTaskSession&format=entities&filter=${filter}`);
    for (const task of tasks['entities'].backuptasksessions.backuptasksessions) {
      report.push({ job: session.jobname, vm: task.vmdisplayname, result: task.result });
    }
  }
  return report;
}

test('a program that speaks XML runs a job by following links', async () => {
  expect(await runByXml(`${world.url()}/api/`, 'Webserver Backup')).toBe('Success');
});

test.each(['pascal', 'camel'])(
  'a program that speaks JSON reports about the runs: keys in %s case',
  async (jsonCase) => {
    await world.control('POST', '/settings', { jsonCase, jsonBom: jsonCase === 'camel' });
    expect(await reportByJson(`${world.url()}/api`)).toContainEqual({
      job: 'Webserver Backup',
      vm: 'web-1',
      result: 'Success',
    });
  },
);
