// Keys and values that the plugin keeps from one run to the next. What a call says was done is on disk.

import kv from "#host/kv";
import { asking } from "./errors.js";
import { bytesOf, decode } from "./utf8.js";

/** Keys that the host gives at most at once. */
const PAGE = 1000;

/** The value of a key as bytes, if it has one. */
export function get(key) {
  return asking(`get the key \`${key}\``, () => kv.get(key)) ?? undefined;
}

/** The value of a key as text, if it has one. */
export function getText(key) {
  const value = get(key);
  return value && decode(value);
}

/** Gives a key a value, whatever it had. */
export function set(key, value) {
  asking(`set the key \`${key}\``, () => kv.set(key, bytesOf(value)));
}

/** Takes a key and its value away, and says whether it was there. */
function remove(key) {
  return asking(`delete the key \`${key}\``, () => kv.delete(key));
}
export { remove as delete };

/** Keys that begin with a prefix, in the order of their bytes. */
export function* keys(prefix = "") {
  for (let after = null; ;) {
    const page = asking(`list the keys that begin with \`${prefix}\``, () => kv.list(prefix, after, PAGE));
    yield* page.keys;
    if (!page.more) {
      return;
    }
    after = page.keys.at(-1);
  }
}

/** Gives a key a value if it has the expected one, or none where `undefined` is expected. Says whether it did. */
export function compareAndSwap(key, expected, value) {
  const known = expected === undefined ? null : bytesOf(expected);
  return asking(`swap the key \`${key}\``, () => kv.compareAndSwap(key, known, bytesOf(value)));
}
