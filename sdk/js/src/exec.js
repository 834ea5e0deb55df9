// Commands, in the form of `node:child_process`.
//
// What differs is what the host does: a command is never a line for a shell, and gets none of the environment unless
// `inheritEnv` and the policy say so.

import command from "#host/command";
import { u64 } from "#host/engine";
import { DISPOSE, dispose } from "./dispose.js";
import { CommandError, asking } from "./errors.js";
import { ready } from "./ready.js";
import { signalName } from "./signals.js";
import { Input, Output, joined } from "./streams.js";
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
    duration: Number(output.duration) / 1e6,
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
  checkStatus(file, args, result);
  return result.stdout;
}

/** Throws for a command that had to succeed and did not. */
function checkStatus(file, args, result) {
  if (result.status !== 0) {
    const how = result.signal ? `was ended by ${result.signal}` : `ended with status ${result.status}`;
    const said = (typeof result.stderr === "string" ? result.stderr : decode(result.stderr)).trim();
    throw new CommandError(`${shownAs({ program: file, args })} ${how}${said && `: ${said}`}`, "failed", result);
  }
}

/** What is kept of each output, as of a command that is waited for. */
const KEPT = 10 * 1024 * 1024;

/**
 * Runs a command that has to succeed, beside whatever else the plugin does: a promise of `{ stdout, stderr }`, in the
 * form of `util.promisify(execFile)`. It is rejected as `execFileSync` throws; of a command that was begun the error
 * has `code`, `signal`, `stdout` and `stderr`.
 */
export async function execFile(file, args = [], options = {}) {
  const { input, ...rest } = options;
  const child = spawn(file, args, { ...rest, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  const text = decoder(options);
  const [stdout, stderr] = await Promise.all([
    kept(child.stdout),
    kept(child.stderr),
    input === undefined ? null : child.stdin.feed(input),
  ]);
  const result = {
    status: null,
    signal: null,
    stdout: text(stdout.bytes),
    stderr: text(stderr.bytes),
    stdoutTruncated: stdout.truncated,
    stderrTruncated: stderr.truncated,
  };
  try {
    Object.assign(result, await child.finished());
    checkStatus(file, args, result);
  } catch (error) {
    if (error instanceof CommandError) {
      const { status = null, signal = null } = error;
      throw Object.assign(error, { code: status, signal, stdout: result.stdout, stderr: result.stderr });
    }
    throw error;
  }
  const { status: _, signal: __, ...output } = result;
  return output;
}

/** All that a command writes, as far as it is kept. */
async function kept(output) {
  const parts = [];
  let [length, truncated] = [0, false];
  for await (const chunk of output) {
    const room = KEPT - length;
    truncated ||= chunk.length > room;
    parts.push(chunk.subarray(0, room));
    length = Math.min(length + chunk.length, KEPT);
  }
  return { bytes: joined(parts), truncated };
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

  /** As `wait`, while the rest of the plugin goes on: a promise. */
  async finished() {
    for (let exit; ; await ready(this.#child.subscribe())) {
      if ((exit = this.poll()) !== null) {
        return exit;
      }
    }
  }

  /** As `wait`, if it is over already; `null` while it runs. */
  poll() {
    if (this.#end) {
      return this.#ended(this.#end);
    }
    const outcome = this.#child.tryWait();
    if (outcome == null) {
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
  [DISPOSE]() {
    this.kill();
    this.stdin?.end();
  }

  #ended(exit) {
    if (!this.#end) {
      this.#end = exit;
      dispose(this.#child);
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
  const nanoseconds = timeout === undefined ? null : u64(Math.max(Math.round(timeout * 1e6), 0));
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
