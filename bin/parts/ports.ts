/**
 * The ports that `npm start` needs, looked at before anything is started.
 * @module
 */
import { isPortFree } from '../../db/embedded.ts';
import type { Config } from '../../temporal.config.ts';

/** A port and the variable that changes it. */
export interface NeededPort {
  readonly port: number;
  readonly host: string;
  /** `the API` */
  readonly purpose: string;
  /** `PORT` */
  readonly variable: string;
}

/** The ports that the parts of this configuration listen on; the embedded PostgreSQL picks a free one by itself. */
export function neededPorts(config: Config): NeededPort[] {
  const local = '127.0.0.1';
  const temporal: NeededPort[] = [
    { port: config.temporal.port, host: local, purpose: 'the Temporal server', variable: 'HOLDFAST_TEMPORAL_PORT' },
    { port: config.temporal.uiPort, host: local, purpose: 'the Temporal UI', variable: 'HOLDFAST_TEMPORAL_UI_PORT' },
  ];
  return [
    { port: config.api.port, host: config.api.host, purpose: 'the API', variable: 'PORT' },
    ...(config.temporal.address === undefined ? temporal : []),
    {
      port: config.simulators.hypervisorPort,
      host: local,
      purpose: 'the hypervisor simulator',
      variable: 'HOLDFAST_HYPERVISOR_SIMULATOR_PORT',
    },
    {
      port: config.simulators.avamarPort,
      host: local,
      purpose: 'the Avamar simulator',
      variable: 'HOLDFAST_AVAMAR_SIMULATOR_PORT',
    },
    {
      port: config.simulators.veeamPort,
      host: local,
      purpose: 'the Veeam simulator',
      variable: 'HOLDFAST_VEEAM_SIMULATOR_PORT',
    },
  ];
}

/** The ports that cannot be had: by variable, a sentence that names the variable to change. */
export async function portProblems(ports: readonly NeededPort[]): Promise<Map<string, string>> {
  const problems = new Map<string, string>();
  for (const [index, { port, host, purpose, variable }] of ports.entries()) {
    const twin = ports.slice(0, index).find((earlier) => earlier.port === port);
    if (twin !== undefined) {
      const both = `Port ${port} is meant for ${twin.purpose} and for ${purpose}`;
      problems.set(variable, `${both}: set ${variable} to another one.`);
    } else if (!(await isPortFree(port, host))) {
      const taken = `Port ${port}, for ${purpose}, is in use by another program`;
      problems.set(variable, `${taken}: set ${variable} to a free port.`);
    }
  }
  return problems;
}
