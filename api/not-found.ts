import { HoldfastError } from '../domain/errors.ts';

/** What is not there, and what belongs to another enterprise: the answer is the same. */
export function notFound(what: string, id: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `There is no ${what} ${id}, or this token may not see it.`);
}
