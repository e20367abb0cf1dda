/**
 * How long a write to another system can still take effect.
 * @module
 */

/** No vendor call lasts longer; what takes longer is polled. Milliseconds. */
export const VENDOR_CALL_LIMIT_MS = 20_000;

/** How long a permission to write holds. Milliseconds. */
export const WRITE_PERMISSION_MS = 5_000;

/** After this time nothing that an attempt was permitted to write can still take effect. Milliseconds. */
export const WRITE_SETTLED_MS = WRITE_PERMISSION_MS + VENDOR_CALL_LIMIT_MS;
