/** A refusal in the vendor's `Error` document. Statuses and shape are recorded; the wording of most messages is ours. */
export class EmError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 405 | 500 | 501 | 503;
  constructor(status: EmError['status'], message: string) {
    super(message);
    this.status = status;
  }
}

export const notFound = (what: string, id: string): EmError => new EmError(404, `There is no ${what} with id [${id}].`);
