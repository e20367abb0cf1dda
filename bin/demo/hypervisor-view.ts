/**
 * What stands in the simulated hypervisor, and what is written on the disks: the part of a guest in the story.
 * @module
 */
import { z } from 'zod';
import type { Call, Server } from './http.ts';

const Machine = z.object({
  id: z.string().nullable(),
  name: z.string(),
  moref: z.string(),
  power: z.string(),
  annotation: z.string().optional(),
});
export type Machine = z.infer<typeof Machine>;

/** The hypervisor, as somebody who sits in front of it sees it. */
export interface HypervisorView {
  readonly url: string;
  /** Every machine that is this VM, was it, or is called like it, whoever made it. */
  machinesOf(vm: { readonly id: string; readonly name: string }): Promise<Machine[]>;
  readDisk(vmId: string, label: string): Promise<string>;
  writeDisk(vmId: string, label: string, content: string): Promise<void>;
}

/** The view of the hypervisor simulator. */
export function hypervisorView(server: Server): HypervisorView {
  const ask = async <T extends z.ZodType>(call: Call, as: T): Promise<z.infer<T>> => {
    const { status, body } = await server.send(call);
    if (status >= 400) throw new Error(`${server.called}: ${call.method} ${call.path} answered ${status}`);
    return as.parse(body);
  };
  const contentOf = (vmId: string, label: string) => `/vms/${vmId}/disks/${encodeURIComponent(label)}/content`;
  const Content = z.object({ content: z.string() });

  return {
    url: server.url,
    async machinesOf(vm) {
      const { vms } = await ask({ method: 'GET', path: '/vms' }, z.object({ vms: z.array(Machine) }));
      // A restore gives a machine whose name is taken a suffix after an underscore, which no name of ours has.
      const isCalledLike = (name: string) => name === vm.name || name.startsWith(`${vm.name}_`);
      return vms.filter(
        (one) => one.id === vm.id || isCalledLike(one.name) || one.annotation?.includes(vm.id) === true,
      );
    },
    async readDisk(vmId, label) {
      return (await ask({ method: 'GET', path: contentOf(vmId, label) }, Content)).content;
    },
    async writeDisk(vmId, label, content) {
      await ask({ method: 'PUT', path: contentOf(vmId, label), json: { content } }, Content);
    },
  };
}
