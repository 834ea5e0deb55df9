// Lines in the operator's log, by a `console`, which QuickJS has not.

import log from "#host/log";

const write =
  (level) =>
  (...words) =>
    log.write(level, words.map(shown).join(" "));

export const error = write("error");
export const warn = write("warn");
export const info = write("info");
export const debug = write("debug");
export const trace = write("trace");

/** The same under the name that programs know. */
export const console = { error, warn, info, log: info, debug, trace };
export default console;

function shown(word) {
  if (typeof word === "string") {
    return word;
  }
  return word instanceof Error ? String(word) : (JSON.stringify(word) ?? String(word));
}
