/**
 * Looks at what a failed write has done.
 * @throws the write's own error when the look fails too: what became of the write is as unknown as it was, and the
 * look's error would say that nothing was done.
 */
export async function lookAfter<T>(writeError: unknown, look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch {
    throw writeError;
  }
}
