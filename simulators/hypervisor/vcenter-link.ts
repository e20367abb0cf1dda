import { z } from 'zod';

const Disk = z.object({ label: z.string(), sizeGiB: z.number(), attached: z.boolean().default(true) });
const Machine = z.object({
  moref: z.string(),
  name: z.string(),
  host: z.string(),
  power: z.enum(['ON', 'OFF']),
  cpu: z.number(),
  memoryMiB: z.number(),
  disks: z.array(Disk),
  instanceUuid: z.string(),
  annotation: z.string().optional(),
});
export type Machine = z.infer<typeof Machine>;

/** The vCenter cannot be reached, or answers what it should not. */
export class VCenterUnavailable extends Error {}
/** The vCenter refuses: 4xx with its `{code, message}`. */
export class VCenterRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type VCenterLink = ReturnType<typeof linkToVCenter>;

/** The few calls that a backup server makes to the vCenter it protects: a client of the hypervisor simulator. */
export function linkToVCenter(url: string) {
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${url}${path}`, {
        method,
        signal: AbortSignal.timeout(10_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      text = await response.text();
    } catch (error) {
      throw new VCenterUnavailable(`The vCenter at ${url} does not answer.`, { cause: error });
    }
    if (response.status >= 500) throw new VCenterUnavailable(`The vCenter at ${url} answers ${response.status}.`);
    if (!response.ok) throw new VCenterRefusal(response.status, text);
    return text === '' ? undefined : JSON.parse(text);
  };
  const reference = (moref: string): string => `/morefs/${encodeURIComponent(moref)}`;

  return {
    about: async () => z.object({ version: z.string(), instanceUuid: z.string() }).parse(await call('GET', '/about')),
    machines: async (): Promise<Machine[]> => z.object({ vms: z.array(Machine) }).parse(await call('GET', '/vms')).vms,
    /** Undefined when the machine is not there. */
    async machine(moref: string): Promise<Machine | undefined> {
      try {
        return Machine.parse(await call('GET', reference(moref)));
      } catch (error) {
        if (error instanceof VCenterRefusal && error.status === 404) return undefined;
        throw error;
      }
    },
    contents: async (moref: string): Promise<Record<string, string>> =>
      z.object({ disks: z.record(z.string(), z.string()) }).parse(await call('GET', `${reference(moref)}/contents`))
        .disks,
    overwrite: (moref: string, body: { disks: Record<string, string>; configuration?: unknown }) =>
      call('PUT', `${reference(moref)}/contents`, body),
    power: (moref: string, state: 'ON' | 'OFF') => call('PUT', `${reference(moref)}/power`, { state }),
    create: async (body: unknown): Promise<Machine> => Machine.parse(await call('POST', '/morefs', body)),
    /** A machine that is powered on is refused; one that is not there is no error. */
    remove: (moref: string) => call('DELETE', reference(moref)),
  };
}
