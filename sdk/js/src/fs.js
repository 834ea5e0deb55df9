// Files and directories of the host, as far as they were granted: whole files and single names, in the form of
// `node:fs`.
//
// A path is absolute, or relative to the project directory, or begins with the name that the operator gave a directory.

import fs from "#host/fs";
import { asking } from "./errors.js";
import { bytesOf, decode } from "./utf8.js";

/** The whole content of a regular file: bytes, or text with the encoding `utf8`. */
export function readFileSync(path, encoding) {
  const bytes = asking(`read \`${path}\``, () => fs.read(path));
  return (encoding?.encoding ?? encoding) ? decode(bytes) : bytes;
}

/** Puts a file with this content in place: all of it, or nothing is changed. */
export function writeFileSync(path, data) {
  asking(`write \`${path}\``, () => fs.write(path, bytesOf(data)));
}

/** The names in a directory, sorted; with `withFileTypes` each with what has it, where a link is not followed. */
export function readdirSync(path = ".", { withFileTypes = false } = {}) {
  const entries = asking(`list \`${path}\``, () => fs.entries(path));
  return entries.map(({ name, kind }) => (withFileTypes ? { name, ...kinds(kind) } : name));
}

/** What something is; links are followed. */
export function statSync(path) {
  const { kind, size, modified } = asking(`look at \`${path}\``, () => fs.stat(path));
  return { size, mtimeMs: modified / 1e6, ...kinds(kind) };
}

/** Makes a directory in one that is there. */
export function mkdirSync(path) {
  asking(`make the directory \`${path}\``, () => fs.makeDirectory(path));
}

/** Removes a file, a link itself, or an empty directory. */
export function rmSync(path) {
  asking(`remove \`${path}\``, () => fs.remove(path));
}

/** Gives a file or directory another name, in place of what has it. */
export function renameSync(from, to) {
  asking(`rename \`${from}\` to \`${to}\``, () => fs.rename(from, to));
}

const kinds = (kind) => ({
  isFile: () => kind === "file",
  isDirectory: () => kind === "directory",
  isSymbolicLink: () => kind === "link",
});
