import type { Kind } from "../index.js";

type Data = string | Uint8Array;

/** Stands for any one argument of a command. */
export const ANY: unique symbol;
/** Stands for all further arguments of a command. */
export const REST: unique symbol;

export interface Script {
  /** What it writes, or a function of the bytes that it is given to read. */
  stdout?: Data | ((input: Uint8Array) => Data);
  stderr?: Data;
  status?: number;
  signal?: string;
  /** Milliseconds, which pass at once. */
  delay?: number;
  /** The kind of error for which it never runs. */
  error?: Kind | "children" | "rate" | "total-output";
  /** The host's reason to end it. */
  killed?: "output" | "total-output" | "memory";
}

/** A command that the plugin ran or started. */
export interface Call {
  args: string[];
  cwd: string | null;
  env: Record<string, string>;
  inheritEnv: boolean;
  timeout: number | null;
  input: Uint8Array | null;
}

export interface Request {
  method: string;
  url: string;
  headers: [name: string, value: string][];
  body: Uint8Array;
}

/** A host that answers by a script. What was not scripted of commands and requests fails the test. */
export class Host {
  constructor(has?: {
    files?: Record<string, Data>;
    variables?: Record<string, string>;
    kv?: Record<string, Data>;
    answers?: Record<string, string | boolean | string[]>;
  });
  readonly files: Map<string, Uint8Array>;
  readonly directories: Set<string>;
  readonly variables: Map<string, string>;
  readonly kv: Map<string, Uint8Array>;
  readonly answers: Map<string, string | boolean | string[]>;
  readonly calls: Call[];
  readonly requests: Request[];
  readonly logged: [level: string, message: string][];
  /** What `work` does on this host. */
  run<Result>(work: () => Result): Result;
  /** Scripts a command; of several for one the last counts. */
  command(args: readonly (string | typeof ANY | typeof REST)[], script?: Script): void;
  /** Scripts the response to a request. */
  respond(
    method: string,
    url: string,
    response?: {
      status?: number;
      headers?: Record<string, string>;
      body?: Data | ((request: Request) => Data);
      truncated?: boolean;
    },
  ): void;
  /** Has an interface refuse with a kind of error: all calls, or those about one path, URL, key or id. */
  refuse(name: "env" | "fs" | "http" | "kv" | "prompt", kind: Kind, what?: string): void;
}
