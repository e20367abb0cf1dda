/**
 * `node simulators/avamar/main.ts --port 4020 --state <file> --vcenter http://127.0.0.1:4010 [--host 127.0.0.1]
 * [--backup-seconds 12] [--restore-seconds 12] [--replication-seconds 12] [--user MCUser] [--password avamar-simulator] [--time-zone UTC]
 * [--tls-key <file> --tls-cert <file>]`
 */
import { parseArgs } from 'node:util';
import { certificateFrom, runProgram } from '../kit/program.ts';
import { startAvamarSimulator } from './start.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '4020' },
    state: { type: 'string' },
    vcenter: { type: 'string', default: 'http://127.0.0.1:4010' },
    'backup-seconds': { type: 'string', default: '12' },
    'restore-seconds': { type: 'string' },
    'replication-seconds': { type: 'string' },
    user: { type: 'string', default: 'MCUser' },
    password: { type: 'string', default: 'avamar-simulator' },
    'time-zone': { type: 'string', default: 'UTC' },
    'tls-key': { type: 'string' },
    'tls-cert': { type: 'string' },
  },
});

const backupSeconds = Number(values['backup-seconds']);
const secondsOf = (given: string | undefined): number => (given === undefined ? backupSeconds : Number(given));
await runProgram(() =>
  startAvamarSimulator({
    host: values.host,
    port: Number(values.port),
    vcenterUrl: values.vcenter,
    backupSeconds,
    restoreSeconds: secondsOf(values['restore-seconds']),
    replicationSeconds: secondsOf(values['replication-seconds']),
    user: values.user,
    password: values.password,
    timeZoneId: values['time-zone'],
    ...(values.state === undefined ? {} : { stateFile: values.state }),
    ...certificateFrom(values['tls-key'], values['tls-cert']),
  }),
);
