export interface Options {
  /** The working directory; the project directory if it is not said. */
  cwd?: string;
  /** Variables to set or replace. */
  env?: Record<string, string>;
  /** Whether the host's environment is included, as far as policy lets it through. */
  inheritEnv?: boolean;
  /** Milliseconds. */
  timeout?: number;
}

export interface SyncOptions extends Options {
  /** All that the command reads. */
  input?: string | Uint8Array;
  encoding?: "utf8";
}

export interface BufferOptions extends Omit<SyncOptions, "encoding"> {
  encoding: "buffer";
}

/** How a command ended; one of the two is `null`. */
export interface Exit {
  status: number | null;
  /** Such as `SIGKILL`; `signals` has its number. */
  signal: string | null;
}

export interface Result<Data extends string | Uint8Array = string> extends Exit {
  stdout: Data;
  stderr: Data;
  /** Whether it wrote more than policy keeps of a stream, 10 MiB unless it says otherwise. */
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
  /** Milliseconds from its start to the end of the last process that it started. */
  duration: number;
}

/**
 * Runs a command and waits for it and for every process it started; a status other than 0 is no error.
 *
 * It throws a `PortcullisError` if the command never ran, and a `CommandError` with what was written until then if
 * the host stopped it: its time was over (`timed-out`), or it wrote or needed more than it may (`limit`).
 */
export function spawnSync(file: string, args: readonly string[], options: BufferOptions): Result<Uint8Array>;
export function spawnSync(file: string, args?: readonly string[], options?: SyncOptions): Result;

/**
 * Runs a command that has to succeed, and returns its standard output. Another status than 0 is a `CommandError`,
 * `failed`.
 */
export function execFileSync(file: string, args: readonly string[], options: BufferOptions): Uint8Array;
export function execFileSync(file: string, args?: readonly string[], options?: SyncOptions): string;

/** What a command wrote that succeeded. */
export interface Written<Data extends string | Uint8Array = string> {
  stdout: Data;
  stderr: Data;
  /** Whether it wrote more than 10 MiB of it. */
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
}

/**
 * Runs a command that has to succeed, beside whatever else the plugin does, in the form of `util.promisify(execFile)`.
 * It is rejected as `execFileSync` throws; of a command that was begun the error has `code`, `signal`, `stdout` and
 * `stderr`.
 */
export function execFile(file: string, args: readonly string[], options: BufferOptions): Promise<Written<Uint8Array>>;
export function execFile(file: string, args?: readonly string[], options?: SyncOptions): Promise<Written>;

type Sink = "pipe" | "ignore" | "inherit";

export interface SpawnOptions extends Options {
  /** Of input, output and error, or the same of all; `pipe` if it is not said. `inherit` has to be granted. */
  stdio?: "pipe" | "ignore" | [stdin: "pipe" | "ignore", stdout: Sink, stderr: Sink | "merged"];
}

/** Starts a command that runs beside the plugin. It ends with the plugin at the latest. */
export function spawn(file: string, args?: readonly string[], options?: Options & { stdio?: "pipe" }): PipedChild;
export function spawn(file: string, args: readonly string[], options: SpawnOptions): Child;

interface Child {
  readonly stdin: Input | null;
  readonly stdout: Output | null;
  readonly stderr: Output | null;
  /** Waits until it and every process it started are gone. Throws as `spawnSync` does. */
  wait(): Exit;
  /** As `wait`, while the rest of the plugin goes on. */
  finished(): Promise<Exit>;
  /** As `wait`, if it is over already; `null` while it runs. */
  poll(): Exit | null;
  /** Kills it and everything it started. */
  kill(): void;
}

interface PipedChild extends Child {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
}

/**
 * What a command writes, with `for`, or with `for await` while the rest of the plugin goes on. What was read in one way is
 * not read again in another.
 */
interface Output extends Iterable<Uint8Array>, AsyncIterable<Uint8Array> {
  /** Lines as they come, without their ends. */
  lines(): IterableIterator<string> & AsyncIterable<string>;
  /** The next line without its end, once all of it is there; `null` after the last. */
  readLine(): string | null;
  /** All that is still to come. */
  bytes(): Uint8Array;
  text(): string;
}

/** What a command reads. Everything is written when `write` returns. */
interface Input {
  write(data: string | Uint8Array): void;
  /** Writes everything and ends it, while the rest of the plugin goes on. */
  feed(data: string | Uint8Array): Promise<void>;
  /** Writes the last, if there is any, and is the command's end of file. */
  end(data?: string | Uint8Array): void;
}

/** Numbers of signals by name. */
export const signals: Readonly<Record<string, number>>;
export type { Child, Input, Output, PipedChild };
