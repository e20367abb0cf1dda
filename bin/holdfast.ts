/**
 * The commands. Each one is loaded when it is asked for, so that `doctor` works where the API could not start.
 * @module
 */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { type Config, ConfigError, loadConfig } from '../temporal.config.ts';
import { findDatabase, reasonOf } from './parts/database.ts';
import { StartError } from './parts/part.ts';
import { temporalAddress } from './parts/temporal.ts';

const HELP = `Usage: holdfast <command>

  up        everything on this machine: PostgreSQL, Temporal, simulators, worker and API (npm start)
  demo      plays the main job against a running Holdfast
  doctor    checks whether npm start would work here; with --invariants whether the locks, operations and runs
            of a running Holdfast agree (exit code 1: they do not, 2: it could not be checked)
  reset     deletes the data of npm start; asks first, or give --yes
  api       the API alone
  worker    a worker alone
  migrate   brings the database to the newest schema
  token     create --role <ROLE> [--enterprise <name>] [--name <name>], list, or revoke <id>
  codegen   writes db/schema.ts from the migrations; with --verify only compares it
  help      this page

Settings are environment variables; docs/guides lists them.`;

type Command = (argv: string[], config: Config) => Promise<number | undefined>;

const COMMANDS: Readonly<Record<string, Command>> = {
  async up(argv, config) {
    parseArgs({ args: argv, options: {} });
    const { up } = await import('./up.ts');
    return await up({ config, environment: process.env, output: process.stdout });
  },
  async api(argv, config) {
    parseArgs({ args: argv, options: {} });
    const { runApi } = await import('../api/server.ts');
    await runApi(connected(config), createLogger(config, 'api'));
    return undefined;
  },
  async worker(argv, config) {
    parseArgs({ args: argv, options: {} });
    const { runWorker } = await import('../activities/worker.ts');
    await runWorker(connected(config), createLogger(config, 'worker'));
    return undefined;
  },
  async migrate(argv, config) {
    parseArgs({ args: argv, options: {} });
    const { migrateToLatest } = await import('../db/migrate.ts');
    const { applied } = await migrateToLatest(findDatabase(config));
    console.log(applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}`);
    return 0;
  },
  async demo(argv, config) {
    const { runDemo } = await import('./demo/demo.ts');
    await runDemo(argv, config);
    return undefined;
  },
  async doctor(argv, config) {
    const { values } = parseArgs({ args: argv, options: { invariants: { type: 'boolean', default: false } } });
    if (values.invariants) {
      const { doctorInvariants } = await import('./invariants.ts');
      return await doctorInvariants(config, process.stdout);
    }
    const { doctor } = await import('./doctor.ts');
    return await doctor(config, process.stdout);
  },
  async reset(argv, config) {
    const { values } = parseArgs({ args: argv, options: { yes: { type: 'boolean', short: 'y', default: false } } });
    const { reset } = await import('./reset.ts');
    return await reset(config, { confirmed: values.yes, input: process.stdin, output: process.stdout });
  },
  async token(argv, config) {
    const { runToken } = await import('./token.ts');
    await runToken(argv, connected(config));
    return undefined;
  },
  async codegen(argv) {
    const { values } = parseArgs({ args: argv, options: { verify: { type: 'boolean', default: false } } });
    const { codegen } = await import('./codegen.ts');
    await codegen(values);
    return 0;
  },
};

/** The configuration with the database and Temporal that a running `npm start` offers, where none are set. */
function connected(config: Config): Config {
  return {
    ...config,
    databaseUrl: findDatabase(config),
    temporal: { ...config.temporal, address: temporalAddress(config.temporal) },
  };
}

function createLogger(config: Config, name: string) {
  // The Temporal SDK logs errors as `error`.
  const serializers = { err: pino.stdSerializers.err, error: pino.stdSerializers.err };
  const options = { name, level: config.logLevel, serializers };
  return process.stdout.isTTY ? pino(options, pretty({ sync: true })) : pino(options);
}

/** What a person sees: sentences for what we know, a stack for what we do not. */
function describeFailure(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError) return error.message;
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) return `${error.message} See: holdfast help`;
  return error.name === 'Error' || error instanceof AggregateError ? reasonOf(error) : (error.stack ?? error.message);
}

// Started by another Node of ours (bin/holdfast.mjs): when that one is killed, this one ends in order.
if (process.channel !== undefined) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
}

const [name = 'help', ...argv] = process.argv.slice(2);
const command = COMMANDS[name];
try {
  if (['help', '--help', '-h'].includes(name) || argv.some((word) => word === '--help' || word === '-h')) {
    console.log(HELP);
    process.exit(0);
  }
  if (command === undefined) throw new StartError(`There is no command "${name}". See: holdfast help`);
  const code = await command(argv, loadConfig(process.env));
  if (code !== undefined) process.exit(code);
} catch (error) {
  console.error(describeFailure(error));
  process.exit(1);
}
