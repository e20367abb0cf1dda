/**
 * The signals that end `npm start`.
 * @module
 */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** One Ctrl-C arrives twice under npm: from the terminal, and once more from npm itself. */
const ECHO_MS = 500;

/** The first and the second wish to end. */
export interface Signals {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  close(): void;
}

/** Listens until closed; keeps the event loop alive for as long, since nothing else may. */
export function listenForSignals(): Signals {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let firstAt: number | undefined;
  const listener = () => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      first.resolve();
    } else if (now - firstAt > ECHO_MS) {
      second.resolve();
    }
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  const alive = setInterval(() => undefined, 60_000);
  return {
    first: first.promise,
    second: second.promise,
    close() {
      clearInterval(alive);
      for (const signal of SIGNALS) process.off(signal, listener);
    },
  };
}
