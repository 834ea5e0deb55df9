// What makes a plugin of a function.

import { takesPayload } from "#host/engine";
import { Failure, PortcullisError } from "./errors.js";
import { runsPromises } from "./reactor.js";

/**
 * The export `run` of a plugin: `export const run = plugin((args) => …)`. What the function returns is what
 * `portcullis run` prints.
 *
 * `Failure`, and a `PortcullisError` that nobody caught, is the plugin's error, with exit code 1. Anything else that
 * is thrown is a crash with its trace. Where the engine runs promises, the function may be `async`.
 */
export function plugin(main) {
  return (args) => {
    try {
      const answer = main(args);
      return typeof answer?.then === "function" && runsPromises()
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
  if (typeof answer?.then === "function") {
    throw new TypeError(
      "a plugin returns text, and this one a promise, which nobody would wait for: its function may not be async, unless it is built with componentize-js",
    );
  }
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
