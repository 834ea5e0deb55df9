interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface Dirent extends Kinds {
  name: string;
}

export interface Stats extends Kinds {
  size: number;
  mtimeMs: number;
}

/** The whole content of a regular file: bytes, or text with the encoding `utf8`. */
export function readFileSync(path: string): Uint8Array;
export function readFileSync(path: string, encoding: "utf8" | { encoding: "utf8" }): string;
/** Puts a file with this content in place: all of it, or nothing is changed. */
export function writeFileSync(path: string, data: string | Uint8Array): void;
/** The names in a directory, sorted; with `withFileTypes` each with what has it, where a link is not followed. */
export function readdirSync(path?: string, options?: { withFileTypes?: false }): string[];
export function readdirSync(path: string, options: { withFileTypes: true }): Dirent[];
/** What something is; links are followed. */
export function statSync(path: string): Stats;
/** Makes a directory in one that is there. */
export function mkdirSync(path: string): void;
/** Removes a file, a link itself, or an empty directory. */
export function rmSync(path: string): void;
/** Gives a file or directory another name, in place of what has it. */
export function renameSync(from: string, to: string): void;
