// What the host answers instead of what was asked for.

/** The plugin could not do its work: thrown out of it, its message is the plugin's error. */
export class Failure extends Error {
  name = "Failure";
}

/**
 * The host refused, or could not do, what was asked. Thrown out of the plugin it is the plugin's error, as `Failure`
 * is.
 */
export class PortcullisError extends Error {
  name = "PortcullisError";

  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** A command that did not come to the end that was expected, with what it wrote until then. */
export class CommandError extends PortcullisError {
  name = "CommandError";

  constructor(message, kind, result) {
    super(message, kind);
    Object.assign(this, result);
  }
}

const REASONS = {
  denied: "denied: the operator's policy does not allow it",
  "not-found": "not found",
  "timed-out": "timed out",
  exists: "already exists",
  "not-empty": "directory not empty",
  "not-a-file": "not a regular file",
  "not-a-directory": "not a directory",
  "too-large": "too large",
  full: "no room left",
  limit: "a limit of the plugin is reached",
  children: "as many commands are running as may run at once",
  rate: "too many commands were started within a minute",
  "total-output": "the plugin's commands have written all they may",
  invalid: "invalid request",
  nobody: "nobody answered, and there is no default",
  io: "the host could not do it",
};

/** The error for what an interface of the host answered when it was asked to do something. */
export function refused(asked, answer) {
  const kind = answer.tag ?? answer;
  return new PortcullisError(`cannot ${asked}: ${REASONS[answer.val ?? kind] ?? kind}`, kind);
}

/** What the host answers; whatever it refuses is thrown as an error that says what was asked. */
export function asking(asked, ask) {
  try {
    return ask();
  } catch (error) {
    throw error.payload === undefined ? error : refused(asked, error.payload);
  }
}
