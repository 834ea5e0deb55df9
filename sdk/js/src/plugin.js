// What makes a plugin of a function.

import { settled, takesPayload } from "#host/engine";
import { Failure, PortcullisError } from "./errors.js";
import { turn } from "./reactor.js";
import { traced } from "./trace.js";

/**
 * The export `run` of a plugin: `export const run = plugin(async (args) => …)`. What the function returns, or its promise is
 * resolved with, is what `portcullis run` prints. Whatever else goes on ends with it.
 *
 * `Failure`, and a `PortcullisError` that nobody caught, is the plugin's error, with exit code 1. Anything else that
 * is thrown is a crash with its trace, and so is a rejection that nobody handles.
 */
export function plugin(main) {
  return (args) => {
    try {
      const answer = main(args);
      if (settled) {
        return answered(settled(answer, turn));
      }
      return typeof answer?.then === "function"
        ? answer.then(answered).catch((error) => thrown(error))
        : answered(answer);
    } catch (error) {
      return thrown(error);
    }
  };
}

/** Throws what the host takes for a failure or a crash. */
function thrown(error) {
  if (!(error instanceof Failure || error instanceof PortcullisError)) {
    throw crash(error);
  }
  throw takesPayload ? Object.defineProperty(error, "payload", { value: error.message }) : error;
}

function answered(answer) {
  if (answer !== undefined && typeof answer !== "string") {
    throw new TypeError(`a plugin returns text, and this one returned ${typeof answer}`);
  }
  return (answer ?? "").toWellFormed();
}

/**
 * The same error, which ends the plugin.
 *
 * Of an `Error` the interpreter gives the host the message alone, as if it were the plugin's answer. Of one whose
 * `payload` cannot be read it says that the plugin crashed, with the trace.
 */
function crash(thrown) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const stack = traced(error.stack);
  if (stack !== error.stack) {
    Object.defineProperty(error, "stack", { configurable: true, value: stack });
  }
  Object.defineProperty(error, "payload", {
    configurable: true,
    get() {
      // The interpreter shows the message and not the name.
      error.message = `${error}`;
      throw error;
    },
  });
  return error;
}
