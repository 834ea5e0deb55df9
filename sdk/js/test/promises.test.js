// Commands with promises and asynchronous iterators, on a scripted host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CommandError, Failure, PortcullisError, plugin } from "@portcullis/sdk";
import { execFile, spawn } from "@portcullis/sdk/exec";
import { Host, REST } from "@portcullis/sdk/testing";

test("a command that succeeds resolves with what it wrote", async () => {
  const host = new Host();
  host.command(["git", REST], { stdout: "on main\n", stderr: "a hint\n", delay: 100 });
  host.command(["wc", "-c"], { stdout: (input) => `${input.length}\n` });
  const [git, wc] = await host.run(() =>
    Promise.all([execFile("git", ["status"]), execFile("wc", ["-c"], { input: "x".repeat(10000) })]),
  );
  assert.deepEqual(git, { stdout: "on main\n", stderr: "a hint\n", stdoutTruncated: false, stderrTruncated: false });
  assert.match(wc.stdout, /^\d+/);
  assert.deepEqual(host.calls.map(({ args }) => args[0]), ["git", "wc"]);
});

test("one that does not rejects with code, signal and what it wrote", async () => {
  const host = new Host();
  host.command(["git", REST], { stdout: "out", stderr: "fatal: none\n", status: 128 });
  host.command(["loop"], { signal: "SIGKILL" });
  host.command(["id"], { error: "denied" });
  await host.run(async () => {
    const error = await execFile("git", ["status"]).catch((error) => error);
    assert.ok(error instanceof CommandError, `${error.stack}`);
    assert.deepEqual(
      [error.kind, error.code, error.signal, error.stdout, error.stderr],
      ["failed", 128, null, "out", "fatal: none\n"],
    );
    const loop = await execFile("loop").catch((error) => error);
    assert.deepEqual([loop.code, loop.signal], [null, "SIGKILL"]);
    const denied = await execFile("id").catch((error) => error);
    assert.ok(denied instanceof PortcullisError && !(denied instanceof CommandError));
    assert.equal(denied.kind, "denied");
  });
});

test("output is read as it comes", async () => {
  const host = new Host();
  host.command(["tail", REST], { stdout: "one\ntwo\n\nlast", delay: 10 });
  await host.run(async () => {
    const lines = [];
    const child = spawn("tail", ["-f", "log"]);
    for await (const line of child.stdout.lines()) {
      lines.push(line);
    }
    assert.deepEqual(lines, ["one", "two", "", "last"]);
    assert.deepEqual(await child.finished(), { status: 0, signal: null });

    let length = 0;
    for await (const bytes of spawn("tail", ["log"]).stdout) {
      length += bytes.length;
    }
    assert.equal(length, 13);

    // Whoever stops in between reads on there.
    const again = spawn("tail", ["log"]).stdout;
    for await (const line of again.lines()) {
      assert.equal(line, "one");
      break;
    }
    assert.equal(again.readLine(), "two");
    assert.equal(again.text(), "\nlast");
  });
});

test("a plugin may be async, and fails and crashes as any other", async () => {
  const host = new Host();
  host.command(["git", REST], { stdout: "3" });
  const run = (main) => host.run(() => plugin(main)([]));
  assert.equal(await run(async () => (await execFile("git", ["x"])).stdout), "3");
  assert.equal(await run(async () => {}), "");
  await assert.rejects(run(async () => { throw new Failure("no"); }), { message: "no" });
  const crash = await run(async () => null.x).catch((error) => error);
  assert.throws(() => crash.payload, /TypeError/);
  await assert.rejects(run(async () => 1), /returned number|text/);
});
