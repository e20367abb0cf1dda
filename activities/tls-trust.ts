/**
 * How a connection decides whom it trusts. There is no switch that turns verification off, and none for the process.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import type { Tls } from '../db/columns.ts';

/** A write must be on its way within 5 s of its permission; a connection takes less, or there is none. Milliseconds. */
const CONNECT_LIMIT_MS = 4_000;

/** No connection was made, so nothing was asked. */
export class NotConnected extends Error {
  override readonly name = 'NotConnected';
}

/**
 * Connects, and trusts by the system's authorities, by the given authority alone, or by the fingerprint of the peer's
 * certificate alone (its name and dates then do not matter).
 */
export function trustingConnector(tls: Tls): buildConnector.connector {
  const connect = buildConnector({
    timeout: CONNECT_LIMIT_MS,
    allowH2: false,
    ...(tls.mode === 'ca' ? { ca: tls.pem } : {}),
    // A resumed session shows no certificate that could be compared.
    ...(tls.mode === 'fingerprint' ? { rejectUnauthorized: false, maxCachedSessions: 0 } : {}),
  });
  return (options, callback) =>
    connect(options, (error, socket) => {
      if (error !== null) return callback(new NotConnected(reasonOf(error), { cause: error }), null);
      const found = tls.mode === 'fingerprint' ? fingerprintOf(socket) : undefined;
      if (tls.mode === 'fingerprint' && found !== undefined && found !== bare(tls.sha256)) {
        socket.destroy();
        return callback(
          new NotConnected(`its certificate has the SHA-256 fingerprint ${found}, not the expected one`),
          null,
        );
      }
      return callback(null, socket);
    });
}

const bare = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase();

/** `undefined` without TLS: there is no certificate to compare on a plain connection. */
function fingerprintOf(socket: Socket | TLSSocket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { raw } = socket.getPeerCertificate();
  return raw === undefined ? 'unknown' : createHash('sha256').update(raw).digest('hex');
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof AggregateError) return error.errors.map((one: Error) => one.message).join('; ');
  return error.message === '' ? (code ?? error.name) : error.message;
}
