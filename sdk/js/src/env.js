// The environment that Portcullis was started with, as far as it was granted.

import env from "#host/env";
import { asking } from "./errors.js";

/** The value of a variable. What was not granted and what is not set look alike: `fallback` is the answer. */
export function get(name, fallback) {
  return asking(`ask for the variable \`${name}\``, () => env.get(name)) ?? fallback;
}
