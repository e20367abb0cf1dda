/**
 * Waiting for the end of an operation's session: by notices, and now and then by looking.
 * @module
 */
import { condition, defineSignal, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { SESSION_CHANGED, type SessionView } from './contract.ts';
import { control } from './control.ts';
import { NEEDS_ATTENTION } from './search-attributes.ts';

const sessionChanged = defineSignal(SESSION_CHANGED);

/** A session's end comes as a notice; without one the row is read again after this time. */
const REREAD = '1 hour';

/** Listens for notices about the session of an operation. Made before the run's first await, so that none is missed. */
export class SessionWatch {
  readonly #operationId: string;
  #notices = 0;

  constructor(operationId: string) {
    this.#operationId = operationId;
    setHandler(sessionChanged, () => {
      this.#notices += 1;
    });
  }

  /** The session once it has ended. While nobody can say what became of it, a person's attention is asked for. */
  async end(): Promise<SessionView> {
    let attention = false;
    for (;;) {
      this.#notices = 0;
      const session = await control.lookAtSession(this.#operationId);
      const unknown = session.state === 'UNKNOWN';
      if (unknown !== attention) upsertSearchAttributes([{ key: NEEDS_ATTENTION, value: unknown }]);
      attention = unknown;
      if (session.ended) return session;
      await condition(() => this.#notices > 0, REREAD, { summary: 'the backup system works' });
    }
  }
}
