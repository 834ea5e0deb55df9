// Questions to the person who runs the plugin.
//
// `id` names a question, so that it can be answered beforehand (`--answer ID=VALUE`). Where nobody answers, the
// default is the answer; without one it is an error of the kind `nobody`.

import prompt from "#host/prompt";
import { PortcullisError, asking } from "./errors.js";

/** Asks for a line of text. */
export function text(id, message, byDefault) {
  return asking(`ask \`${id}\``, () => prompt.text(id, message, byDefault ?? null));
}

/** Asks for yes or no. */
export function confirm(id, message, byDefault = false) {
  return asking(`ask \`${id}\``, () => prompt.confirm(id, message, byDefault));
}

/** Asks for one of the options. */
export function choose(id, message, options, byDefault) {
  const at = byDefault === undefined ? null : place(id, options, byDefault);
  return options[asking(`ask \`${id}\``, () => prompt.choose(id, message, options, at))];
}

/** Asks for some of the options; they are in the order in which they were chosen. */
export function chooseSome(id, message, options, defaults = []) {
  const at = defaults.map((option) => place(id, options, option));
  return Array.from(
    asking(`ask \`${id}\``, () => prompt.chooseSome(id, message, options, at)),
    (chosen) => options[chosen],
  );
}

function place(id, options, option) {
  const at = options.indexOf(option);
  if (at < 0) {
    throw new PortcullisError(`cannot ask \`${id}\`: the default \`${option}\` is none of the options`, "invalid");
  }
  return at;
}
