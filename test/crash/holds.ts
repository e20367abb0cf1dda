/**
 * Keeping an operation exactly where it is: a request on the wire, an answer on its way back, a statement in the
 * database that waits. The simulators have a switch for it; the database gets one here, triggers that wait for an
 * advisory lock of ours.
 * @module
 */
import pg from 'pg';
import type { StepName } from '../../domain/operations.ts';

/** Any number that the product locks nothing with. */
const LOCK_CLASS = 7463;

/** The systems that simulators stand for. */
export type External = 'hypervisor' | 'avamar' | 'veeam';

/** A request to a simulator that is kept from being handled, or whose answer is kept back. */
export interface RequestHold {
  readonly system: External;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly when: 'before' | 'after';
}

/**
 * A statement that is kept from ending: the one that begins an attempt of a step or of its undo, that asks for
 * permission to write, that records the end, or the commit of a new operation.
 */
export interface StatementHold {
  readonly system: 'database';
  readonly vmId: string;
  readonly step: StepName | 'REQUEST';
  readonly at: Moment | `undo-${Moment}` | 'commit';
}

/** When in an attempt. */
export type Moment = 'begin' | 'permit' | 'record';

export type Hold = RequestHold | StatementHold;

/** A hold that is armed. */
export interface ArmedHold {
  readonly hold: Hold;
  readonly key: number;
}

const SWITCHES = `
  create schema if not exists crash;
  create table if not exists crash.hold (
    key integer generated always as identity primary key, vm_id uuid not null, step text not null, at text not null
  );
  create or replace function crash.wait(vm uuid, held_step text, moment text) returns void language plpgsql as $$
  declare found integer;
  begin
    select key into found from crash.hold where vm_id = vm and step = held_step and at = moment;
    if found is not null then perform pg_advisory_xact_lock_shared(${LOCK_CLASS}, found); end if;
  end $$;
  create or replace function crash.step_changes() returns trigger language plpgsql as $$
  declare vm uuid := (select vm_id from operation where id = new.operation_id);
  begin
    if new.attempts > old.attempts then perform crash.wait(vm, new.name, 'begin'); end if;
    if new.compensation_attempts > old.compensation_attempts then perform crash.wait(vm, new.name, 'undo-begin'); end if;
    if new.write_permitted_at is distinct from old.write_permitted_at then
      perform crash.wait(vm, new.name, case when new.compensation is null then 'permit' else 'undo-permit' end);
    end if;
    if new.compensation is distinct from old.compensation and new.compensation in ('DONE', 'SKIPPED', 'FAILED') then
      perform crash.wait(vm, new.name, 'undo-record');
    end if;
    if new.state <> old.state and new.state in ('DONE', 'SKIPPED', 'FAILED') then
      perform crash.wait(vm, new.name, 'record');
    end if;
    return new;
  end $$;
  create or replace function crash.operation_commits() returns trigger language plpgsql as $$
  begin
    perform crash.wait(new.vm_id, 'REQUEST', 'commit');
    return null;
  end $$;
  create or replace trigger crash_step before update on step for each row execute function crash.step_changes();
  drop trigger if exists crash_operation on operation;
  create constraint trigger crash_operation after insert on operation deferrable initially deferred
    for each row execute function crash.operation_commits();
`;

/** The holds of one round. */
export class Holds {
  readonly #simulators: Readonly<Record<External, string>>;
  readonly #databaseUrl: string;
  #locks: pg.Client | undefined;
  #armed: ArmedHold[] = [];

  constructor(databaseUrl: string, simulators: Readonly<Record<External, string>>) {
    this.#databaseUrl = databaseUrl;
    this.#simulators = simulators;
  }

  /** Puts the switches into the database; once for each system. */
  static async install(databaseUrl: string): Promise<void> {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query(SWITCHES);
    } finally {
      await client.end();
    }
  }

  async arm(hold: Hold): Promise<ArmedHold> {
    const key = hold.system === 'database' ? await this.#armStatement(hold) : await this.#armRequest(hold);
    const armed = { hold, key };
    this.#armed.push(armed);
    return armed;
  }

  #armRequest({ system, ...fault }: RequestHold): Promise<number> {
    return armSwitch(this.#simulators[system], { ...fault, action: { hold: true } });
  }

  async #armStatement({ vmId, step, at }: StatementHold): Promise<number> {
    if (this.#locks === undefined) {
      this.#locks = new pg.Client({ connectionString: this.#databaseUrl });
      // A database that was killed holds nothing any more.
      this.#locks.on('error', () => undefined);
      await this.#locks.connect();
    }
    // The lock first: once the row is there nobody gets past it.
    const { rows } = await this.#locks.query<{ key: number }>(
      `with made as (insert into crash.hold (vm_id, step, at) values ($1, $2, $3) returning key)
       select key, pg_advisory_lock(${LOCK_CLASS}, key) from made`,
      [vmId, step, at],
    );
    return rows[0]?.key ?? -1;
  }

  /** Which of the armed holds hold something now. */
  async holding(): Promise<ReadonlySet<ArmedHold>> {
    const [hypervisor, avamar, veeam, statements] = await Promise.all([
      this.#heldRequests('hypervisor'),
      this.#heldRequests('avamar'),
      this.#heldRequests('veeam'),
      this.#heldStatements(),
    ]);
    const keys = { hypervisor, avamar, veeam, database: statements };
    return new Set(this.#armed.filter(({ hold, key }) => keys[hold.system].has(key)));
  }

  async #heldRequests(system: External): Promise<Set<number>> {
    const answer = await fetch(`${this.#simulators[system]}/_simulator/faults`);
    const { faults } = (await answer.json()) as { faults: { id: number; holding: number }[] };
    return new Set(faults.filter(({ holding }) => holding > 0).map(({ id }) => id));
  }

  async #heldStatements(): Promise<Set<number>> {
    if (this.#locks === undefined) return new Set();
    const { rows } = await this.#locks.query<{ key: number }>(
      `select objid::integer as key from pg_locks where locktype = 'advisory' and classid = ${LOCK_CLASS} and not granted`,
    );
    return new Set(rows.map(({ key }) => key));
  }

  /** Lets go. What waited in the database goes on even when the one who asked is dead by now: a commit is a commit. */
  async release(): Promise<void> {
    for (const { hold, key } of this.#armed) {
      if (hold.system === 'database') continue;
      await fetch(`${this.#simulators[hold.system]}/_simulator/faults/${key}`, { method: 'DELETE' });
    }
    await this.#locks?.query('delete from crash.hold').catch(() => undefined);
    await this.#locks?.end().catch(() => undefined);
    this.#locks = undefined;
    this.#armed = [];
  }

  /** Ends the connections whose statements these hold: what they were about to write is never written. */
  async abandonStatements(held: readonly ArmedHold[]): Promise<void> {
    await this.#locks?.query(
      `select pg_terminate_backend(pid) from pg_locks
       where locktype = 'advisory' and classid = ${LOCK_CLASS} and not granted and objid::integer = any($1)`,
      [held.flatMap(({ hold, key }) => (hold.system === 'database' ? [key] : []))],
    );
  }
}

/** Has the other system refuse that request once, in the words of its protocol. */
export async function refuse(
  simulators: Readonly<Record<External, string>>,
  { system, ...request }: Omit<RequestHold, 'when'>,
): Promise<void> {
  const message = 'refused for a trial';
  const bodies = {
    hypervisor: { code: 'REFUSED', message },
    avamar: { code: 22_234, message },
    veeam: `<Error xmlns="http://www.veeam.com/ent/v1.0" Message="${message}" StatusCode="422" />`,
  };
  const headers = system === 'veeam' ? { headers: { 'content-type': 'application/xml' } } : {};
  const action = { status: 422, body: bodies[system], ...headers };
  await armSwitch(simulators[system], { ...request, when: 'before', times: 1, action });
}

/** Arms a fault switch of a simulator and answers its id. */
async function armSwitch(url: string, fault: object): Promise<number> {
  const answer = await fetch(`${url}/_simulator/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fault),
  });
  if (answer.status !== 201) throw new Error(`a switch was refused: ${await answer.text()}`);
  return ((await answer.json()) as { id: number }).id;
}
