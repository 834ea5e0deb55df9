/** The value of a key, if it has one. */
export function get(key: string): Uint8Array | undefined;
export function getText(key: string): string | undefined;
/** Gives a key a value, whatever it had. */
export function set(key: string, value: string | Uint8Array): void;
/** Takes a key and its value away, and says whether it was there. */
declare function remove(key: string): boolean;
export { remove as delete };
/** Keys that begin with a prefix, in the order of their bytes. */
export function keys(prefix?: string): IterableIterator<string>;
/** Gives a key a value if it has the expected one, or none where `undefined` is expected. Says whether it did. */
export function compareAndSwap(
  key: string,
  expected: string | Uint8Array | undefined,
  value: string | Uint8Array,
): boolean;
