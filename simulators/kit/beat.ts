/** The pulse of a server that looks now and then for what has become due. */
export interface Beat {
  /** Looks now, and resolves when that is done. */
  beat(this: void): Promise<void>;
  /** Looks no more, and resolves when the last look is over. */
  stop(): Promise<void>;
}

/**
 * Calls `advance` every `everyMs`. Looks follow one another: two at once would carry out the same work twice. One that
 * fails is told on stderr, and the next comes all the same.
 */
export function startBeat(advance: () => Promise<void>, everyMs: number): Beat {
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;
  const beat = (): Promise<void> => {
    waiting += 1;
    last = last
      .then(advance)
      .catch((error: unknown) => console.error(error))
      .finally(() => {
        waiting -= 1;
      });
    return last;
  };
  const timer = setInterval(() => {
    if (waiting === 0) void beat();
  }, everyMs);
  return {
    beat,
    stop() {
      clearInterval(timer);
      return last;
    },
  };
}
