// A host that answers by a script, so that a plugin is tested by plain JavaScript.
//
//     const host = new Host();
//     host.command(["git", "status", "--short"], { stdout: " M app.js\n" });
//     assert.equal(host.run(() => run([])), " M app.js\n");
//
// What was not scripted is what it is on a host that granted everything: a file that is missing, a variable that is
// not set, a question nobody answers. A command or request that was not scripted fails the test.

import { bytesOf } from "../utf8.js";
import { signals } from "../signals.js";
import { Child } from "./child.js";
import { on } from "./current.js";
import { files } from "./files.js";

/** Stands for any one argument of a command. */
export const ANY = Symbol("any argument");
/** Stands for all further arguments of a command. */
export const REST = Symbol("all further arguments");

const LIMITS = ["children", "rate", "total-output"];

/** Throws what an interface refuses with, as the interpreter throws it. */
function refuse(payload) {
  throw Object.assign(new Error(JSON.stringify(payload)), { payload });
}

export class Host {
  #scripts = [];
  #responses = new Map();
  #refusals = new Map();
  /** Commands, requests, and lines of the log as `[level, message]`, that the plugin had. */
  calls = [];
  requests = [];
  logged = [];

  constructor({ files = {}, variables = {}, kv = {}, answers = {} } = {}) {
    /** Contents by path; directories are those of the files, and `directories`. */
    this.files = new Map(Object.entries(files).map(([path, content]) => [path, bytesOf(content)]));
    this.directories = new Set();
    this.variables = new Map(Object.entries(variables));
    this.kv = new Map(Object.entries(kv).map(([key, value]) => [key, bytesOf(value)]));
    /** Answers by the ids of questions: text, `true` or `false`, an option or a list of them. */
    this.answers = new Map(Object.entries(answers));
    this.interfaces = this.#interfaces();
  }

  /** What `work` does on this host. */
  run(work) {
    return on(this, work);
  }

  /**
   * Scripts a command; of several for one the last counts. `stdout` may be a function of the bytes that it is given
   * to read; `delay` is in milliseconds, which pass at once; `error` is the kind of error for which it never runs,
   * such as `denied`; `killed` the host's reason to end it, such as `memory`.
   */
  command(args, { stdout = "", stderr = "", status = 0, signal, delay = 0, error, killed } = {}) {
    this.#scripts.unshift({ pattern: args, stdout, stderr, status, signal, delay, error, killed });
  }

  /** Scripts the response to a request; `body` may be a function of the request. */
  respond(method, url, { status = 200, headers = {}, body = "", truncated = false } = {}) {
    this.#responses.set(`${method} ${url}`, (request) => ({
      status,
      headers: Object.entries(headers),
      body: bytesOf(typeof body === "function" ? body(request) : body),
      truncated,
    }));
  }

  /** Has an interface refuse with a kind of error: all calls, or those about one path, URL, key or id. */
  refuse(name, kind, what) {
    this.#refusals.set(what === undefined ? name : `${name} ${what}`, kind);
  }

  #check(name, what) {
    const kind = this.#refusals.get(`${name} ${what}`) ?? this.#refusals.get(name);
    if (kind) {
      refuse(kind);
    }
  }

  #script(request, input) {
    const args = [request.program, ...request.args];
    const { cwd, env, inheritEnv, timeout } = request;
    this.calls.push({ args, cwd, env: Object.fromEntries(env), inheritEnv, timeout: timeout && timeout / 1e6, input });
    const script = this.#scripts.find(({ pattern }) => matches(pattern, args));
    if (!script) {
      throw new Error(`no command was scripted for ${JSON.stringify(args)}: \`command\` does`);
    }
    if (script.error) {
      refuse(LIMITS.includes(script.error) ? { tag: "limit", val: script.error } : { tag: script.error });
    }
    return script;
  }

  #answer(id, byDefault, answered) {
    this.#check("prompt", id);
    if (this.answers.has(id)) {
      return answered(this.answers.get(id));
    }
    return byDefault ?? refuse("nobody");
  }

  #interfaces() {
    const { kv } = this;
    const check = (name, what) => this.#check(name, what);
    const place = (options) => (option) => options.indexOf(option);
    return {
      command: {
        run: (request, input) => {
          const script = this.#script(request, input);
          return {
            exit: exit(script, request.timeout),
            stdout: output(script, input ?? new Uint8Array()),
            stderr: bytesOf(script.stderr),
            stdoutTruncated: false,
            stderrTruncated: false,
            duration: script.delay * 1e6,
          };
        },
        spawn: (request, stdio) => {
          const script = this.#script(request, null);
          const answers = typeof script.stdout === "function";
          const answer = answers ? (input) => output(script, input) : null;
          const stdout = answers ? [] : bytesOf(script.stdout);
          return new Child(stdio, answer, stdout, bytesOf(script.stderr), exit(script, request.timeout), script.delay);
        },
      },
      env: {
        get: (name) => {
          check("env", name);
          return this.variables.get(name) ?? null;
        },
      },
      fs: files(this, check, refuse),
      http: {
        send: (request) => {
          this.requests.push(request);
          check("http", request.url);
          const respond = this.#responses.get(`${request.method} ${request.url}`);
          if (!respond) {
            throw new Error(`no response was scripted for ${request.method} ${request.url}: \`respond\` does`);
          }
          return respond(request);
        },
      },
      kv: {
        get: (key) => {
          check("kv", key);
          return kv.get(key) ?? null;
        },
        set: (key, value) => {
          check("kv", key);
          kv.set(key, value);
        },
        delete: (key) => {
          check("kv", key);
          return kv.delete(key);
        },
        list: (prefix, after, limit) => {
          check("kv", prefix);
          const later = [...kv.keys()]
            .filter((key) => key.startsWith(prefix) && (after === null || key > after))
            .sort();
          return { keys: later.slice(0, limit), more: later.length > limit };
        },
        compareAndSwap: (key, expected, value) => {
          check("kv", key);
          const is = kv.get(key) ?? null;
          if (is === null || expected === null ? is !== expected : `${is}` !== `${expected}`) {
            return false;
          }
          kv.set(key, value);
          return true;
        },
      },
      log: { write: (level, message) => this.logged.push([level, message]) },
      prompt: {
        text: (id, _, byDefault) => this.#answer(id, byDefault, String),
        confirm: (id, _, byDefault) => this.#answer(id, byDefault, Boolean),
        choose: (id, _, options, byDefault) => this.#answer(id, byDefault, place(options)),
        chooseSome: (id, _, options, defaults) => this.#answer(id, defaults, (chosen) => chosen.map(place(options))),
      },
    };
  }
}

function matches(pattern, args) {
  const rest = pattern.at(-1) === REST;
  const fixed = rest ? pattern.slice(0, -1) : pattern;
  const fits = rest ? args.length >= fixed.length : args.length === fixed.length;
  return fits && fixed.every((part, index) => part === ANY || part === args[index]);
}

const output = ({ stdout }, input) => bytesOf(typeof stdout === "function" ? stdout(input) : stdout);

/** How a command ends within a time. */
function exit({ delay, killed, signal, status }, timeout) {
  if (timeout !== null && delay * 1e6 > timeout) {
    return { tag: "timed-out" };
  }
  if (killed) {
    return { tag: "killed", val: killed };
  }
  return signal ? { tag: "signalled", val: signals[signal] } : { tag: "exited", val: status };
}
