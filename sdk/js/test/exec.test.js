// Commands in the form of `node:child_process`, on a scripted host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CommandError, PortcullisError } from "@portcullis/sdk";
import { execFileSync, signals, spawn, spawnSync } from "@portcullis/sdk/exec";
import { ANY, Host, REST } from "@portcullis/sdk/testing";

/** What `work` throws, which is of a class and a kind. */
function thrown(type, kind, work) {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof type, `${error.stack}`);
    assert.equal(error.kind, kind);
    return error;
  }
  return assert.fail("nothing was thrown");
}

test("a command that ran is no error, whatever its status", () => {
  const host = new Host();
  host.command(["grep", REST], { stdout: new Uint8Array([0xff]), stderr: "none\n", status: 1 });
  host.command(["loop"], { signal: "SIGSEGV" });
  host.run(() => {
    const { status, signal, stdout, stderr } = spawnSync("grep", ["x", "file"], { encoding: "buffer" });
    assert.deepEqual([status, signal, [...stdout], stderr.length], [1, null, [0xff], 5]);
    const loop = spawnSync("loop");
    assert.deepEqual([loop.status, loop.signal, signals[loop.signal]], [null, "SIGSEGV", 11]);
  });
});

test("what is asked reaches the host", () => {
  const host = new Host();
  host.command(["env"]);
  host.run(() => {
    spawnSync("env", [], { cwd: "sub", env: { A: "1" }, inheritEnv: true, timeout: 1500, input: "é" });
    spawnSync("env");
  });
  assert.deepEqual(host.calls, [
    {
      args: ["env"],
      cwd: "sub",
      env: { A: "1" },
      inheritEnv: true,
      timeout: 1500,
      input: new Uint8Array([0xc3, 0xa9]),
    },
    { args: ["env"], cwd: null, env: {}, inheritEnv: false, timeout: null, input: null },
  ]);
  assert.throws(() => spawnSync("ls", "-l"), /never a line for a shell/);
});

test("one that has to succeed says what failed and how", () => {
  const host = new Host();
  host.command(["cat"], { stdout: (input) => input });
  host.command(["git", REST], { stdout: "out", stderr: "fatal: no repository\n", status: 128 });
  host.command(["loop"], { signal: "SIGKILL" });
  host.run(() => {
    assert.equal(execFileSync("cat", [], { input: "héllo" }), "héllo");
    const error = thrown(CommandError, "failed", () => execFileSync("git", ["status", "--short"]));
    assert.equal(error.message, "`git status` ended with status 128: fatal: no repository");
    assert.deepEqual([error.status, error.stdout], [128, "out"]);
    assert.equal(thrown(CommandError, "failed", () => execFileSync("loop")).message, "`loop` was ended by SIGKILL");
  });
});

test("a command whose time is over has what it wrote", () => {
  const host = new Host();
  host.command(["slow"], { stdout: "begun", delay: 5000 });
  host.run(() => {
    assert.equal(spawnSync("slow", [], { timeout: 6000 }).status, 0);
    const error = thrown(CommandError, "timed-out", () => spawnSync("slow", [], { timeout: 300 }));
    assert.deepEqual([error.stdout, error.message], ["begun", "`slow` was stopped: its time was over"]);
  });
});

test("why a command did not run, or was killed", () => {
  const reasons = {
    denied: "cannot run `id`: denied: the operator's policy does not allow it",
    "not-found": "cannot run `id`: not found",
    "timed-out": "cannot run `id`: timed out",
    invalid: "cannot run `id`: invalid request",
    io: "cannot run `id`: the host could not do it",
  };
  for (const [kind, message] of Object.entries(reasons)) {
    const host = new Host();
    host.command(["id", ANY], { error: kind });
    host.run(() => assert.equal(thrown(PortcullisError, kind, () => spawnSync("id", ["-u"])).message, message));
  }
  for (const limit of ["children", "rate", "total-output"]) {
    const host = new Host();
    host.command(["id"], { error: limit });
    host.run(() =>
      assert.doesNotMatch(thrown(PortcullisError, "limit", () => spawn("id")).message, /of the plugin is reached/),
    );
  }
  const host = new Host();
  host.command(["eat"], { killed: "memory" });
  host.run(() => assert.match(thrown(CommandError, "limit", () => spawnSync("eat")).message, /needed more memory/));
});

test("what may be a secret is not said", () => {
  const host = new Host();
  for (const [file, ...args] of [
    ["mysql", "-psecret"],
    ["curl", "https://me:secret@a.example"],
    ["git", "push", "secret"],
  ]) {
    host.command([file, ...args], { error: "denied" });
    host.run(() =>
      assert.doesNotMatch(thrown(PortcullisError, "denied", () => spawnSync(file, args)).message, /secret/),
    );
  }
});

test("what was not scripted fails the test", () => {
  const host = new Host();
  host.command(["git", "status"]);
  host.run(() => assert.throws(() => spawnSync("git", ["push"]), /no command was scripted for \["git","push"\]/));
  assert.throws(() => spawnSync("git", ["status"]), /there is no host here/);
});

test("lines and chunks as they come", () => {
  const host = new Host();
  host.command(["seq", "3"], { stdout: "1\n2\n\n3", status: 4 });
  host.run(() => {
    const child = spawn("seq", ["3"]);
    assert.deepEqual([...child.stdout.lines()], ["1", "2", "", "3"]);
    assert.deepEqual(child.wait(), { status: 4, signal: null });
    const chunks = spawn("seq", ["3"]).stdout;
    assert.equal(chunks.readLine(), "1");
    assert.deepEqual(
      [...chunks].map((chunk) => chunk.length),
      [4],
    );
    assert.equal(spawn("seq", ["3"]).stdout.text(), "1\n2\n\n3");
  });
});

test("a conversation", () => {
  const host = new Host();
  host.command(["cat"], { stdout: (input) => input });
  host.run(() => {
    const child = spawn("cat");
    for (const word of ["ping", "pöng"]) {
      child.stdin.write(`${word}\n`);
      assert.equal(child.stdout.readLine(), word);
    }
    assert.equal(child.poll(), null);
    assert.throws(() => child.wait(), /was not ended/);
    child.stdin.end("last");
    assert.equal(child.stdout.text(), "last");
    assert.deepEqual(child.poll(), { status: 0, signal: null });
    assert.throws(() => child.stdin.write("late"), /write after end/);
  });
});

test("one that is killed ends by that signal, and its time is the host's to keep", () => {
  const host = new Host();
  host.command(["sleep", "30"], { delay: 30_000 });
  host.run(() => {
    const child = spawn("sleep", ["30"]);
    assert.equal(child.poll(), null);
    child.kill();
    assert.deepEqual([child.wait(), child.wait()], Array(2).fill({ status: null, signal: "SIGKILL" }));
    child.kill();
    thrown(CommandError, "timed-out", () => spawn("sleep", ["30"], { timeout: 1000 }).wait());
  });
});

test("one that is disposed of is killed", () => {
  const host = new Host();
  host.command(["sleep", "30"], { delay: 30_000 });
  host.run(() => {
    const child = spawn("sleep", ["30"]);
    child[Symbol.dispose]();
    assert.deepEqual(child.poll(), { status: null, signal: "SIGKILL" });
    child[Symbol.dispose]();
  });
});

test("where outputs go", () => {
  const host = new Host();
  host.command(["both"], { stdout: "out", stderr: "err" });
  host.run(() => {
    const merged = spawn("both", [], { stdio: ["ignore", "pipe", "merged"] });
    assert.deepEqual([merged.stdout.text(), merged.stderr, merged.stdin], ["outerr", null, null]);
    assert.equal(spawn("both", [], { stdio: "ignore" }).stdout, null);
  });
});
