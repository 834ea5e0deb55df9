// Every scenario of `../scenarios.toml`, under its name.

import { CommandError, Failure, PortcullisError, plugin } from "@portcullis/sdk";
import * as env from "@portcullis/sdk/env";
import { execFileSync, signals, spawn, spawnSync } from "@portcullis/sdk/exec";
import * as fs from "@portcullis/sdk/fs";
import { fetchSync } from "@portcullis/sdk/http";
import * as kv from "@portcullis/sdk/kv";
import console from "@portcullis/sdk/log";
import * as prompt from "@portcullis/sdk/prompt";

export const run = plugin(([name, ...args]) => {
  if (!Object.hasOwn(SCENARIOS, name)) {
    throw new Failure(`there is no scenario \`${name}\``);
  }
  return SCENARIOS[name](...args);
});

/** What `work` is refused with, in words. */
function refusal(work) {
  try {
    work();
  } catch (error) {
    if (error instanceof PortcullisError) {
      return error.kind.replace("-", " ");
    }
    throw error;
  }
  return "it was not refused";
}

const SCENARIOS = {
  output: () => execFileSync("printf", ["one\\ntwo\\n"]).replace(/\n$/, ""),
  arguments: () => execFileSync("printf", ["[%s]", "a b", "$x", "", "*"]),
  bytes: () => {
    const bytes = execFileSync("printf", ["\\377\\000"], { encoding: "buffer" });
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  status: () => `status ${spawnSync("false").status}`,
  "must-succeed": () => {
    try {
      return execFileSync("cat", ["missing"]);
    } catch (error) {
      if (!(error instanceof CommandError)) {
        throw error;
      }
      return `${error.kind} ${error.status} ${error.stderr.split("\n")[0]}`;
    }
  },
  signal: () => `signal ${signals[spawnSync("sh", ["-c", "kill -9 $$"]).signal]}`,
  "both-outputs": () => {
    const { stdout, stderr } = spawnSync("sh", ["-c", "echo out; echo err >&2"]);
    return `${stdout.trim()}|${stderr.trim()}`;
  },
  environment: () => execFileSync("printenv", ["GREETING"], { env: { GREETING: "hello" } }).trim(),
  directory: () => execFileSync("pwd", [], { cwd: "sub" }).trim().split("/").at(-1),
  input: () => execFileSync("cat", [], { input: "héllo" }),
  "large-input": () => execFileSync("wc", ["-c"], { input: new Uint8Array(1_048_576) }).trim(),
  deadline: () => {
    try {
      return execFileSync("sh", ["-c", "echo begun; exec sleep 30"], { timeout: 2000 });
    } catch (error) {
      if (error.kind !== "timed-out") {
        throw error;
      }
      return `timed out ${error.stdout.trim()}`;
    }
  },
  denied: () => refusal(() => spawnSync("id")),
  "not-found": () => refusal(() => spawnSync("no-such-program")),
  lines: () => [...spawn("sh", ["-c", "echo one; sleep 0.1; echo two"]).stdout.lines()].join(","),
  conversation: () => {
    const child = spawn("cat");
    const said = ["ping", "pong"].map((word) => {
      child.stdin.write(`${word}\n`);
      return child.stdout.readLine();
    });
    child.stdin.end();
    return [...said, child.wait().status].join(" ");
  },
  kill: () => {
    const child = spawn("sleep", ["30"]);
    child.kill();
    return `signal ${signals[child.wait().signal]}`;
  },
  files: () => {
    fs.writeFileSync("notes.txt", "text");
    const text = fs.readFileSync("notes.txt", "utf8");
    const { size } = fs.statSync("notes.txt");
    fs.renameSync("notes.txt", "kept.txt");
    fs.mkdirSync("made");
    const names = fs.readdirSync(".");
    fs.rmSync("kept.txt");
    fs.rmSync("made");
    return [text, size, ...names].join(" ");
  },
  "file-missing": () => refusal(() => fs.readFileSync("missing.txt")),
  "file-denied": () => refusal(() => fs.readFileSync("/etc/passwd")),
  get: (url) => {
    const response = fetchSync(url);
    return `${response.status} ${response.headers.get("x-kind")} ${response.text()}`;
  },
  post: (url) => fetchSync(url, { method: "POST", headers: { "x-kind": "loud" }, body: "quiet" }).text(),
  "http-denied": () => refusal(() => fetchSync("https://example.com/")),
  variable: () => `${env.get("PARITY")} ${env.get("PATH", "none")}`,
  state: () => {
    kv.set("a", "1");
    kv.set("b", "2");
    const swaps = ["3", "4"].map((value) => (kv.compareAndSwap("a", "1", value) ? "swapped" : "not swapped"));
    const keys = [...kv.keys()].join(",");
    kv.delete("b");
    return [...swaps, keys, kv.getText("a"), kv.getText("b") ?? "none"].join(" ");
  },
  log: () => {
    console.info("it begins");
    return "logged";
  },
  questions: () => {
    const name = prompt.text("name", "What is your name?");
    const sure = prompt.confirm("sure", "Are you sure?") ? "yes" : "no";
    return `${name} ${sure} ${prompt.choose("colour", "Which colour?", ["red", "green", "blue"])}`;
  },
  "plugin-arguments": (...args) => args.join("|"),
  error: () => {
    throw new Failure("it does not work");
  },
  crash: () => {
    throw new Error("it broke");
  },
};
