/**
 * Sealing of credentials: AES-256-GCM under a key of their own for each text, and that key under the master key. A
 * sealed text is bound to its row: moved to another row, or changed by one bit, it does not open.
 * @module
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Seals and opens texts. */
export interface Sealing {
  /** @param place what the text belongs to; opening it needs the same. */
  seal(text: string, place: string): string;
  /** @throws SealError when the text was sealed for another place, by another key, or was changed. */
  open(sealed: string, place: string): string;
}

/** A sealed text that does not open, or a key that cannot be used. The message holds no secret. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

/** The user and password of a backup manager. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Reads the master keys: one key a line, 32 bytes in base64. The first seals, all of them open, so a new key is put
 * first and the old one is kept until everything has been sealed again.
 * @param where `masterKeyFile`: the file, which must be there. Without it `<dataDir>/master.key` is used, and made with
 * mode 0600 when it is missing: for development.
 * @throws SealError when the file is missing or holds no key.
 */
export function openSealing(where: { readonly masterKeyFile: string | undefined; readonly dataDir: string }): Sealing {
  const file = where.masterKeyFile ?? join(where.dataDir, 'master.key');
  if (where.masterKeyFile === undefined) makeKeyFile(file);
  return sealingWith(readKeys(file), file);
}

function readKeys(file: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SealError(`The master key file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
  if (keys.length === 0 || keys.some((key) => key.length !== KEY_BYTES)) {
    throw new SealError(
      `The master key file ${file} must hold 32 bytes in base64 on each line: openssl rand -base64 32`,
    );
  }
  return keys;
}

/** Two processes may start at once: the file appears whole, and the first one wins. */
function makeKeyFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    // Only when there is none: a key that is replaced is a key that is lost.
    readFileSync(file);
    return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function sealingWith(keys: readonly Buffer[], file: string): Sealing {
  const ring = new Map(keys.map((key) => [keyId(key), key]));
  const active = keys[0] as Buffer;
  return {
    seal(text, place) {
      const own = randomBytes(KEY_BYTES);
      const wrapped = encrypt(active, own, `key of ${place}`);
      const sealed = encrypt(own, Buffer.from(text, 'utf8'), place);
      return ['v1', keyId(active), wrapped.toString('base64url'), sealed.toString('base64url')].join('.');
    },
    open(sealed, place) {
      const [version, id, wrapped, content] = sealed.split('.');
      if (version !== 'v1' || id === undefined || wrapped === undefined || content === undefined) {
        throw new SealError('The sealed text is not in a form that this version of Holdfast knows.');
      }
      const key = ring.get(id);
      if (key === undefined) throw new SealError(`The text was sealed with key ${id}, which is not in ${file}.`);
      try {
        const own = decrypt(key, Buffer.from(wrapped, 'base64url'), `key of ${place}`);
        return decrypt(own, Buffer.from(content, 'base64url'), place).toString('utf8');
      } catch {
        throw new SealError(`The sealed text of ${place} does not open: it was changed, or sealed for another place.`);
      }
    },
  };
}

function keyId(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

function encrypt(key: Buffer, text: Buffer, place: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(place));
  const content = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), content]);
}

function decrypt(key: Buffer, sealed: Buffer, place: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(place));
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
}

function placeOf(managerId: string): string {
  return `backup_manager/${managerId}`;
}

/** Seals the credentials of a backup manager for its row. */
export function sealCredentials(sealing: Sealing, managerId: string, { user, password }: Credentials): string {
  return sealing.seal(JSON.stringify({ user, password }), placeOf(managerId));
}

/** Opens the credentials of a backup manager, just before they are used. @throws SealError when they do not open. */
export function openCredentials(sealing: Sealing, managerId: string, sealed: string): Credentials {
  return JSON.parse(sealing.open(sealed, placeOf(managerId))) as Credentials;
}
