/**
 * `node simulators/veeam/main.ts --port 4030 --state <file> --vcenter http://127.0.0.1:4010 [--host 127.0.0.1]
 * [--backup-seconds 12] [--restore-seconds 12] [--password veeam-simulator] [--time-zone UTC]
 * [--advertised-host http://veeam-em:9399] [--tls-key <file> --tls-cert <file>]`
 */
import { parseArgs } from 'node:util';
import { certificateFrom, runProgram } from '../kit/program.ts';
import { startVeeamSimulator } from './start.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '4030' },
    state: { type: 'string' },
    vcenter: { type: 'string', default: 'http://127.0.0.1:4010' },
    'backup-seconds': { type: 'string', default: '12' },
    'restore-seconds': { type: 'string' },
    password: { type: 'string' },
    'time-zone': { type: 'string', default: 'UTC' },
    'advertised-host': { type: 'string' },
    'tls-key': { type: 'string' },
    'tls-cert': { type: 'string' },
  },
});

const { password } = values;
const backupSeconds = Number(values['backup-seconds']);
await runProgram(() =>
  startVeeamSimulator({
    host: values.host,
    port: Number(values.port),
    vcenterUrl: values.vcenter,
    settings: {
      backupSeconds,
      restoreSeconds: values['restore-seconds'] === undefined ? backupSeconds : Number(values['restore-seconds']),
      timeZone: values['time-zone'],
      advertisedHost: values['advertised-host'] ?? null,
    },
    ...(password === undefined
      ? {}
      : { accounts: [{ user: 'Administrator', password, role: 'Portal Administrator' as const }] }),
    ...(values.state === undefined ? {} : { stateFile: values.state }),
    ...certificateFrom(values['tls-key'], values['tls-cert']),
  }),
);
