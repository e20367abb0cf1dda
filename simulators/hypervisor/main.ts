/** `node simulators/hypervisor/main.ts --port 4010 --state <file> [--host 127.0.0.1]` */
import { parseArgs } from 'node:util';
import { runProgram } from '../kit/program.ts';
import { startHypervisorSimulator } from './start.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '4010' },
    state: { type: 'string' },
  },
});

await runProgram(() =>
  startHypervisorSimulator({
    host: values.host,
    port: Number(values.port),
    ...(values.state === undefined ? {} : { stateFile: values.state }),
  }),
);
