// What the host answers instead of what was asked for.

/** The plugin could not do its work: thrown out of it, its message is the plugin's error. */
export class Failure extends Error {
  name = "Failure";
}

/** The host refused, or could not do, what was asked. Thrown out of the plugin it is the plugin's error, as `Failure` is. */
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
  denied: "it was not granted",
  "not-found": "it is not there",
  "timed-out": "its time was over",
  exists: "it is there already",
  "not-empty": "the directory is not empty",
  "not-a-file": "it is no regular file",
  "not-a-directory": "it is no directory",
  "too-large": "it is larger than policy allows",
  full: "there is no room for more",
  limit: "the plugin asked too often, or for too much in all",
  children: "as many commands are running as may run at once",
  rate: "too many commands were started within a minute",
  "total-output": "the plugin's commands have written all they may",
  invalid: "it has no meaning for the host",
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
