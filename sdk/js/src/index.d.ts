/** Why something was refused or not done. */
export type Kind =
  | "denied"
  | "not-found"
  | "timed-out"
  | "exists"
  | "not-empty"
  | "not-a-file"
  | "not-a-directory"
  | "too-large"
  | "full"
  | "limit"
  | "invalid"
  | "nobody"
  | "io"
  /** A command that had to succeed did not. */
  | "failed";

/** The plugin could not do its work: thrown out of it, its message is the plugin's error. */
export class Failure extends Error {}

/**
 * The host refused, or could not do, what was asked. Thrown out of the plugin it is the plugin's error, as `Failure`
 * is.
 */
export class PortcullisError extends Error {
  constructor(message: string, kind: Kind);
  readonly kind: Kind;
}

/** A command that did not come to the end that was expected, with what it wrote until then. */
export class CommandError<Data extends string | Uint8Array = string> extends PortcullisError {
  readonly kind: "failed" | "timed-out" | "limit";
  readonly status: number | null;
  readonly signal: string | null;
  /** The same as `status`, of a command that was begun by `execFile`. */
  readonly code?: number | null;
  /** Of a command that was waited for by `spawnSync` or `execFileSync`, or begun by `execFile`. */
  readonly stdout: Data;
  readonly stderr: Data;
}

/**
 * The export `run` of a plugin: `export const run = plugin(async (args) => …)`. What the function returns, or its promise is
 * resolved with, is what `portcullis run` prints. Whatever else goes on ends with it.
 *
 * `Failure`, and a `PortcullisError` that nobody caught, is the plugin's error, with exit code 1. Anything else that
 * is thrown is a crash with its trace, and so are a rejection that nobody handles and a promise that nothing settles any more.
 */
export function plugin(main: (args: string[]) => string | void): (args: string[]) => string;
export function plugin(main: (args: string[]) => Promise<string | void>): (args: string[]) => Promise<string>;

/** UTF-8, as `TextEncoder` and `TextDecoder` have it, which the interpreter has not. */
export namespace utf8 {
  function encode(text: string): Uint8Array;
  /** What is not UTF-8 becomes U+FFFD, and a mark of the byte order stays. */
  function decode(bytes: Uint8Array): string;
  /** The bytes of text or bytes. */
  function bytesOf(data: string | Uint8Array): Uint8Array;
}
