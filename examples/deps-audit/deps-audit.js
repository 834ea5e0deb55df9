// A plugin that reports what is wrong with the installed dependencies of an npm project.
//
// It runs one command, `npm ls`, always with the same arguments, so that a policy can list them word for word.

import process from "portcullis:cli/process@0.1.0";
import { findings } from "./findings.js";
import { hasProblems, render } from "./report.js";
import { Complaint, traced } from "./traced.js";
import { decode } from "./utf8.js";

const USAGE = "usage: deps-audit [DIRECTORY]";
// Everything that is installed, with what each package says of itself.
const LS = ["ls", "--all", "--json", "--long"];

/** Reports on the project directory, or on the directory in the only argument. */
export const run = traced((args) => {
  if (args.length > 1 || args[0]?.startsWith("-")) {
    throw new Complaint(USAGE);
  }
  const found = findings(listing(args[0] ?? null));
  const text = render(found);
  if (hasProblems(found)) {
    // The error of `run`: the host prints it to standard error and exits with code 1.
    throw new Complaint(text);
  }
  return text;
});

/** What `npm ls` prints, as data. */
function listing(directory) {
  const result = ls(directory);
  const output = decode(result.stdout);
  // npm ends with 1 when it has problems to report, and reports them all the same.
  if (result.status > 1 || output.trim() === "") {
    throw new Complaint(`\`npm ls\` failed with status ${result.status}: ${complaint(result)}`);
  }
  const tree = parse(output, result);
  // Without a tree there is only an error: a `package.json` that cannot be read, for one.
  if (tree.error && tree.error.code !== "ELSPROBLEMS") {
    throw new Complaint(`\`npm ls\` failed: ${tree.error.summary}`);
  }
  return tree;
}

function ls(directory) {
  try {
    return process.exec({ program: "npm", args: LS, cwd: directory, env: [], inheritEnv: false, stdin: null });
  } catch (refusal) {
    // The host did not run it; which rule said so is for the operator to know, not for a plugin.
    throw new Complaint(`cannot run \`npm ls\`: ${refusal.payload}`);
  }
}

function parse(output, result) {
  try {
    return JSON.parse(output);
  } catch (error) {
    throw new Complaint(`cannot read what \`npm ls\` printed: ${error.message}; ${complaint(result)}`);
  }
}

function complaint(result) {
  return decode(result.stderr).trim() || "it said nothing";
}
