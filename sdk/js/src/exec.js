// Commands, in the form of `node:child_process`.
//
// What differs is what the host does: a command is never a line for a shell, and gets none of the environment unless
// `inheritEnv` and the policy say so. There are the forms that wait and no others: the interpreter runs no promises
// while the plugin does its work.

import command from "#host/command";
import { CommandError, asking } from "./errors.js";
import { signalName } from "./signals.js";
import { Input, Output } from "./streams.js";
import { bytesOf, decode } from "./utf8.js";

export { signals } from "./signals.js";

/**
 * Runs a command and waits for it and for every process it started; a status other than 0 is no error.
 *
 * It throws a `PortcullisError` if the command never ran, and a `CommandError` with what was written until then if
 * the host stopped it: its time was over (`timed-out`), or it wrote or needed more than it may (`limit`).
 */
export function spawnSync(file, args = [], options = {}) {
  const asked = request(file, args, options);
  const shown = shownAs(asked);
  const input = options.input === undefined ? null : bytesOf(options.input);
  const output = asking(`run ${shown}`, () => command.run(asked, input));
  const text = decoder(options);
  const result = {
    ...ended(output.exit),
    stdout: text(output.stdout),
    stderr: text(output.stderr),
    stdoutTruncated: output.stdoutTruncated,
    stderrTruncated: output.stderrTruncated,
    duration: output.duration / 1e6,
  };
  checkExit(output.exit, shown, result);
  return result;
}

/**
 * Runs a command that has to succeed, and returns its standard output. Another status than 0 is a `CommandError`,
 * `failed`.
 */
export function execFileSync(file, args = [], options = {}) {
  const result = spawnSync(file, args, options);
  if (result.status !== 0) {
    const how = result.signal ? `was ended by ${result.signal}` : `ended with status ${result.status}`;
    const said = (typeof result.stderr === "string" ? result.stderr : decode(result.stderr)).trim();
    throw new CommandError(`${shownAs({ program: file, args })} ${how}${said && `: ${said}`}`, "failed", result);
  }
  return result.stdout;
}

/** Starts a command that runs beside the plugin. It ends with the plugin at the latest. */
export function spawn(file, args = [], options = {}) {
  return new Child(file, args, options);
}

const STDIO = { pipe: "pipe", ignore: "null", inherit: "inherit", merged: "merged" };

class Child {
  #child;
  #shown;
  #end;

  constructor(file, args, options) {
    const { stdio = "pipe" } = options;
    const [stdin, stdout, stderr] = (Array.isArray(stdio) ? stdio : [stdio, stdio, stdio]).map((word) => STDIO[word]);
    const asked = request(file, args, options);
    this.#shown = shownAs(asked);
    this.#child = asking(`start ${this.#shown}`, () => command.spawn(asked, { stdin, stdout, stderr }));
    const piped = (stream, make) => stream && make(stream);
    this.stdin = piped(this.#child.stdin(), (stream) => new Input(stream, this.#shown));
    this.stdout = piped(this.#child.stdout(), (stream) => new Output(stream, `standard output of ${this.#shown}`));
    this.stderr = piped(this.#child.stderr(), (stream) => new Output(stream, `standard error of ${this.#shown}`));
  }

  /**
   * Waits until it and every process it started are gone: `{ status, signal }`, and errors as `spawnSync` throws
   * them.
   */
  wait() {
    return this.#ended(this.#end ?? asking(`run ${this.#shown}`, () => this.#child.wait().exit));
  }

  /** As `wait`, if it is over already; `null` while it runs. */
  poll() {
    if (this.#end) {
      return this.#ended(this.#end);
    }
    const outcome = this.#child.tryWait();
    if (outcome === null) {
      return null;
    }
    return this.#ended(
      asking(`run ${this.#shown}`, () => {
        if (outcome.tag === "err") {
          throw Object.assign(new Error(), { payload: outcome.val });
        }
        return outcome.val.exit;
      }),
    );
  }

  /** Kills it and everything it started. */
  kill() {
    this.#child?.kill();
  }

  /** At the end of a `using`: one that still runs is killed. */
  [Symbol.dispose]() {
    this.kill();
    this.stdin?.end();
  }

  #ended(exit) {
    if (!this.#end) {
      this.#end = exit;
      this.#child[Symbol.dispose]?.();
      this.#child = null;
    }
    const result = ended(exit);
    checkExit(exit, this.#shown, result);
    return result;
  }
}

function request(program, args, { cwd = null, env = {}, inheritEnv = false, timeout }) {
  if (!Array.isArray(args)) {
    throw new TypeError(`the arguments of a command are a list, never a line for a shell: ${JSON.stringify(args)}`);
  }
  // Milliseconds as in Node, and nanoseconds in the WIT.
  const nanoseconds = timeout === undefined ? null : Math.max(Math.round(timeout * 1e6), 0);
  return { program, args, cwd, env: Object.entries(env), inheritEnv, timeout: nanoseconds };
}

function decoder({ encoding = "utf8" }) {
  return encoding === "buffer" ? (bytes) => bytes : decode;
}

/** The program with its sub-command, if what follows it is a word, and nothing that may be a secret. */
const shownAs = ({ program, args }) =>
  `\`${[program, ...args.slice(0, 1).filter((word) => /^[a-z][a-z-]*$/.test(word))].join(" ")}\``;

/** `status` and `signal` as Node has them: one of them is `null`. */
function ended({ tag, val }) {
  switch (tag) {
    case "exited":
      return { status: val, signal: null };
    case "signalled":
      return { status: null, signal: signalName(val) };
    default:
      // Stopped by the host, which kills.
      return { status: null, signal: "SIGKILL" };
  }
}

const KILLED_FOR = {
  output: "it wrote far more than is kept",
  "total-output": "the plugin's commands wrote more in all than they may",
  memory: "it needed more memory than it may have",
};

/** Throws what a command's end is, if the host put it there without being asked by the plugin. */
function checkExit({ tag, val }, shown, result) {
  if (tag === "timed-out") {
    throw new CommandError(`${shown} was stopped: its time was over`, "timed-out", result);
  }
  if (tag === "killed" && KILLED_FOR[val]) {
    throw new CommandError(`${shown} was killed: ${KILLED_FOR[val]}`, "limit", result);
  }
}
