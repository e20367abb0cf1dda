import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { type VeeamSimulatorOptions, startVeeamSimulator } from '../../../simulators/veeam/start.ts';
import { type Call, type Json, basic, request, until } from './simulated-world.ts';

export type XmlAnswer = { status: number; text: string; xml: Json; headers: Headers };

const ALWAYS_LISTS =
  /^(Link|Ref|Job|Repository|BackupServer|ManagedServer|ObjectInJob|VmRestorePoint|BackupJobSession|BackupTaskSession|RestoreSession|HierarchyItem|HierarchyRoot|BackupFile|RestorePoint|Backup|Days|SupportedVersion)$/;
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  ignoreDeclaration: true,
  isArray: (name, path) => ALWAYS_LISTS.test(name) && String(path).includes('.'),
});

/** The root element of an answer: attributes as `@Name`, elements that may be several as arrays. */
export function xmlOf(text: string): Json {
  return Object.values(parser.parse(text) as Record<string, Json>)[0];
}

/** Wraps the content of a body in its root. */
export const xmlBody = (root: string, content: string): string =>
  `<${root} xmlns="http://www.veeam.com/ent/v1.0">${content}</${root}>`;

/** What a related link of an answer leads to, as a path below `/api`. */
export function linked(xml: Json, type: string, rel = 'Related'): string {
  const link = xml.Links.Link.find((one: Json) => one['@Rel'] === rel && one['@Type'] === type);
  if (link === undefined) throw new Error(`No link ${rel} ${type} in ${JSON.stringify(xml)}`);
  const { pathname, search } = new URL(link['@Href']);
  return pathname.replace(/^\/api/, '') + search;
}

/** A vCenter and a Veeam server that is fast, with one machine `web-1` on the first, and a caller who is logged in. */
export async function startVeeamWorld(options: Partial<VeeamSimulatorOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'veeam-'));
  const hypervisor = await startHypervisorSimulator({ stateFile: join(folder, 'hypervisor') });
  const vcenter: Call = (method, path, body) => request(method, hypervisor.url + path, body);
  const { settings, ...rest } = options;
  const start = () =>
    startVeeamSimulator({
      vcenterUrl: hypervisor.url,
      stateFile: join(folder, 'veeam'),
      settings: {
        backupSeconds: 0.2,
        restoreSeconds: 0.2,
        taskSeconds: 0,
        collectSeconds: 0,
        includeSeconds: 0,
        lookupSeconds: 0,
        pointReadySeconds: 0,
        ...settings,
      },
      ...rest,
    });
  const deploy = async (id: string, name: string, annotation?: string): Promise<string> => {
    const hardware = { name, cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 10 }] };
    await vcenter('PUT', `/allocations/${id}`, hardware);
    return (await vcenter('PUT', `/vms/${id}`, { ...hardware, ...(annotation === undefined ? {} : { annotation }) }))
      .body.moref;
  };
  const moref = await deploy('a1', 'web-1', 'mark of web-1');
  let veeam = await start();

  const http = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${veeam.url}/api${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isXml = response.headers.get('content-type')?.includes('xml') === true;
    return { status: response.status, text, xml: isXml ? xmlOf(text) : undefined, headers: response.headers };
  };
  const logIn = async (user = 'Administrator', version = 'latest'): Promise<Record<string, string>> => {
    const answer = await http('POST', `/sessionMngr/?v=${version}`, undefined, {
      authorization: basic(user, 'veeam-simulator'),
    });
    return { 'X-RestSvcSessionId': answer.headers.get('x-restsvcsessionid') ?? '' };
  };
  let session = await logIn();
  const api = (method: string, path: string, body?: string): Promise<XmlAnswer> => http(method, path, body, session);
  const control: Call = (method, path, body) => request(method, `${veeam.url}/_simulator${path}`, body);

  /** Does a write and answers its finished task. */
  const done = async (method: string, path: string, body?: string): Promise<Json> => {
    const accepted = await api(method, path, body);
    if (accepted.status !== 202) throw new Error(`${method} ${path}: ${accepted.status} ${accepted.text}`);
    const { xml } = await until(
      () => api('GET', `/tasks/${accepted.xml.TaskId}`),
      (answer) => answer.xml.State === 'Finished',
    );
    return xml;
  };
  const ok = async (method: string, path: string, body?: string): Promise<Json> => {
    const task = await done(method, path, body);
    if (task.Result['@Success'] !== 'true') throw new Error(task.Result.Message);
    return task;
  };
  const jobId = async (name: string): Promise<string> => {
    const { xml } = await api('GET', `/query?type=Job&filter=${encodeURIComponent(`Name=="${name}"`)}`);
    return xml.Refs.Ref[0]['@UID'].replace('urn:veeam:Job:', '');
  };
  const refOf = async (name: string): Promise<string> => {
    const roots = await api('GET', '/hierarchyRoots');
    const host = roots.xml.Ref.find((one: Json) => one['@Name'] === 'vcenter.simulated')['@UID'];
    const { xml } = await api('GET', `/lookup?host=${host}&name=${name}&type=Vm`);
    return xml.HierarchyItem[0].ObjectRef;
  };
  const include = async (job: string, name: string): Promise<Json> =>
    ok(
      'POST',
      `/jobs/${job}/includes`,
      xmlBody(
        'CreateObjectInJobSpec',
        `<HierarchyObjRef>${await refOf(name)}</HierarchyObjRef><HierarchyObjName>${name}</HierarchyObjName>`,
      ),
    );
  const repository = async (): Promise<string> => (await api('GET', '/repositories')).xml.Ref[0]['@UID'];
  const cloneBody = async (name: string): Promise<string> =>
    xmlBody(
      'JobCloneSpec',
      `<BackupJobCloneInfo><JobName>${name}</JobName><FolderName>${name}</FolderName><RepositoryUid>${await repository()}</RepositoryUid><Description>ours</Description></BackupJobCloneInfo>`,
    );
  const edit = (job: string, content: string) => ok('PUT', `/jobs/${job}?action=edit`, xmlBody('Job', content));
  /** A job of its own for one machine, as a client makes it: clone, include, drop the template's machine. */
  const makeJob = async (name: string, vmName = 'web-1'): Promise<string> => {
    const task = await ok('POST', `/jobs/${await jobId('GOLD')}?action=clone`, await cloneBody(name));
    const job = linked(task, 'Job').replace(/^\/jobs\/|\?.*$/g, '');
    const before = (await api('GET', `/jobs/${job}/includes`)).xml.ObjectInJob;
    await include(job, vmName);
    for (const one of before) await ok('DELETE', `/jobs/${job}/includes/${one.ObjectInJobId}`);
    return job;
  };
  const entities = async (type: string, query = ''): Promise<Json[]> => {
    const { xml } = await api('GET', `/query?type=${type}&format=Entities${query}`);
    return Object.values(xml.Entities as Record<string, Json>)[0][type] ?? [];
  };
  /** Starts the job and answers its session when it has stopped. */
  const run = async (job: string): Promise<Json> => {
    const task = await ok('POST', `/jobs/${job}?action=start`);
    return ended(linked(task, 'BackupJobSession'));
  };
  const ended = async (path: string): Promise<Json> =>
    (
      await until(
        () => api('GET', path),
        ({ xml }) => xml.State === 'Stopped',
      )
    ).xml;
  /** Moves the server's clock forward; what became due has begun when this returns. The session outlives it. */
  const pass = async (seconds: number): Promise<void> => {
    await control('POST', '/clock', { advanceSeconds: seconds });
    session = await logIn();
  };
  const write = (id: string, content: string) => vcenter('PUT', `/vms/${id}/disks/system/content`, { content });
  return {
    http,
    api,
    vcenter,
    control,
    logIn,
    deploy,
    done,
    ok,
    jobId,
    refOf,
    include,
    cloneBody,
    edit,
    makeJob,
    entities,
    run,
    ended,
    pass,
    write,
    moref,
    url: () => veeam.url,
    hypervisorUrl: hypervisor.url,
    async logInAgain(): Promise<void> {
      session = await logIn();
    },
    async restartVeeam(): Promise<void> {
      await veeam.close();
      veeam = await start();
      session = await logIn();
    },
    async close(): Promise<void> {
      await veeam.close();
      await hypervisor.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type VeeamWorld = Awaited<ReturnType<typeof startVeeamWorld>>;
