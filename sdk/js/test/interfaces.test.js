// Files, requests, variables, state, log and questions, on a scripted host; and what leaves a plugin.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Failure, PortcullisError, plugin, utf8 } from "@portcullis/sdk";
import * as env from "@portcullis/sdk/env";
import * as fs from "@portcullis/sdk/fs";
import { fetchSync } from "@portcullis/sdk/http";
import * as kv from "@portcullis/sdk/kv";
import console from "@portcullis/sdk/log";
import * as prompt from "@portcullis/sdk/prompt";
import { Host } from "@portcullis/sdk/testing";

const refused = (kind, message) => (error) =>
  error instanceof PortcullisError && error.kind === kind && (assert.equal(error.message, message), true);

test("files and directories", () => {
  const host = new Host({ files: { "./sub/a.txt": "é", "b.bin": new Uint8Array([0xff]) } });
  host.run(() => {
    assert.equal(fs.readFileSync("sub/a.txt", "utf8"), "é");
    assert.deepEqual([...fs.readFileSync("b.bin")], [0xff]);
    const entries = fs.readdirSync(".", { withFileTypes: true });
    assert.deepEqual(
      entries.map((entry) => [entry.name, entry.isFile(), entry.isDirectory(), entry.isSymbolicLink()]),
      [
        ["b.bin", true, false, false],
        ["sub", false, true, false],
      ],
    );
    assert.equal(fs.statSync("sub/a.txt").size, 2);
    fs.writeFileSync("b.bin", "new");
    fs.renameSync("b.bin", "c.txt");
    fs.mkdirSync("made");
    fs.renameSync("sub", "moved");
    assert.deepEqual(fs.readdirSync(), ["c.txt", "made", "moved"]);
    fs.rmSync("made");
    assert.deepEqual([...host.files.keys()], ["c.txt", "moved/a.txt"]);
  });
});

test("what is refused is of a kind and says what was asked", () => {
  const host = new Host({ files: { "sub/a.txt": "" } });
  host.refuse("fs", "denied", "/etc/passwd");
  const cases = {
    denied: [
      "cannot read `/etc/passwd`: denied: the operator's policy does not allow it",
      () => fs.readFileSync("/etc/passwd"),
    ],
    "not-found": ["cannot read `b`: not found", () => fs.readFileSync("b")],
    exists: ["cannot make the directory `sub`: already exists", () => fs.mkdirSync("sub")],
    "not-a-directory": ["cannot list `sub/a.txt`: not a directory", () => fs.readdirSync("sub/a.txt")],
    "not-a-file": ["cannot read `sub`: not a regular file", () => fs.readFileSync("sub")],
    "not-empty": ["cannot remove `sub`: directory not empty", () => fs.rmSync("sub")],
  };
  host.run(() => {
    for (const [kind, [message, work]] of Object.entries(cases)) {
      assert.throws(work, refused(kind, message));
    }
  });
});

test("requests", () => {
  const host = new Host();
  host.respond("GET", "https://a.example/", { headers: { "X-Kind": "plain" }, body: '{"a": 1}' });
  host.respond("POST", "https://a.example/", { status: 404, body: ({ body }) => utf8.decode(body).toUpperCase() });
  host.refuse("http", "denied", "https://b.example/?token=secret");
  host.run(() => {
    const response = fetchSync("https://a.example/", { headers: { accept: "*/*" } });
    assert.deepEqual([response.status, response.ok, response.json()], [200, true, { a: 1 }]);
    assert.deepEqual(
      [response.headers.get("x-kind"), response.headers.get("y"), response.headers.has("X-KIND")],
      ["plain", null, true],
    );
    assert.deepEqual(host.requests[0].headers, [["accept", "*/*"]]);
    const missing = fetchSync("https://a.example/", { method: "post", body: "quiet" });
    assert.deepEqual([missing.status, missing.ok, missing.text()], [404, false, "QUIET"]);
    const message = "cannot GET `https://b.example/`: denied: the operator's policy does not allow it";
    assert.throws(() => fetchSync("https://b.example/?token=secret"), refused("denied", message));
    assert.throws(() => fetchSync("https://c.example/"), /no response was scripted/);
  });
});

test("variables", () => {
  const host = new Host({ variables: { A: "1" } });
  host.run(() => {
    assert.deepEqual([env.get("A"), env.get("B"), env.get("B", "2")], ["1", undefined, "2"]);
    host.refuse("env", "limit");
    assert.throws(() => env.get("A"), { kind: "limit" });
  });
});

test("state", () => {
  const host = new Host();
  host.run(() => {
    kv.set("a", "1");
    assert.deepEqual([kv.getText("a"), kv.get("b"), kv.getText("b")], ["1", undefined, undefined]);
    assert.deepEqual([kv.compareAndSwap("a", "1", "2"), kv.compareAndSwap("a", "1", "3")], [true, false]);
    assert.deepEqual([kv.compareAndSwap("c", undefined, "4"), kv.compareAndSwap("c", undefined, "5")], [true, false]);
    assert.deepEqual([kv.delete("a"), kv.delete("a")], [true, false]);
    const many = Array.from({ length: 2500 }, (_, number) => `k${String(number).padStart(4, "0")}`);
    many.forEach((key) => kv.set(key, key));
    assert.deepEqual([...kv.keys("k")], many);
    host.refuse("kv", "full");
    assert.throws(() => kv.set("a", "1"), refused("full", "cannot set the key `a`: no room left"));
  });
});

test("log", () => {
  const host = new Host();
  host.run(() => {
    console.error("a", 1, { b: 2 });
    console.warn(new RangeError("c"));
    console.log(undefined);
    console.debug("d");
    console.trace("e");
  });
  const lines = ['a 1 {"b":2}', "RangeError: c", "undefined", "d", "e"];
  assert.deepEqual(
    host.logged,
    ["error", "warn", "info", "debug", "trace"].map((level, index) => [level, lines[index]]),
  );
});

test("questions", () => {
  const host = new Host({ answers: { name: "Ada", sure: true, colour: "green", some: ["b", "a"] } });
  host.run(() => {
    assert.equal(prompt.text("name", "?"), "Ada");
    assert.equal(prompt.confirm("sure", "?"), true);
    assert.equal(prompt.choose("colour", "?", ["red", "green"]), "green");
    assert.deepEqual(prompt.chooseSome("some", "?", ["a", "b", "c"]), ["b", "a"]);
    host.answers.clear();
    assert.equal(prompt.text("name", "?", "Bo"), "Bo");
    assert.equal(prompt.confirm("sure", "?"), false);
    assert.equal(prompt.choose("colour", "?", ["red", "green"], "red"), "red");
    assert.deepEqual(prompt.chooseSome("some", "?", ["a", "b"], ["b"]), ["b"]);
    const message = "cannot ask `name`: nobody answered, and there is no default";
    assert.throws(() => prompt.text("name", "?"), refused("nobody", message));
    assert.throws(() => prompt.choose("colour", "?", ["red"], "blue"), { kind: "invalid" });
  });
});

test("what leaves a plugin is text or a failure", () => {
  assert.equal(plugin(([word]) => `${word}!`)(["hi"]), "hi!");
  assert.equal(plugin(() => {})([]), "");
  const failure = new Failure("no");
  assert.throws(
    () =>
      plugin(() => {
        throw failure;
      })([]),
    (error) => error === failure && !("payload" in error),
  );
  assert.throws(() => plugin(() => 42)([]), /returned number/);
});

test("a mistake is the same error, and ends the plugin where it is read", () => {
  const mistake = new RangeError("too far");
  assert.throws(
    () =>
      plugin(() => {
        throw mistake;
      })([]),
    (error) => error === mistake,
  );
  assert.throws(
    () => mistake.payload,
    (error) => error === mistake && error.message === "RangeError: too far",
  );
});

test("UTF-8 is what the encoders of the platform say", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const encoder = new TextEncoder();
  // A generator of numbers that are the same every time.
  let state = 1;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  const starts = [
    0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xbb, 0xf0, 0x90, 0xf4, 0x8f, 0xf5,
    0xff,
  ];
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random(8) }, () => starts[random(starts.length)]);
    assert.equal(utf8.decode(bytes), decoder.decode(bytes), `${bytes}`);
    const text = String.fromCharCode(
      ...Array.from({ length: random(6) }, () => [0x41, 0xe9, 0x20ac, 0xd83d, 0xde00, 0xdc00][random(6)]),
    );
    assert.deepEqual(utf8.encode(text), encoder.encode(text), JSON.stringify(text));
  }
  // Longer than what is decoded at once.
  for (let round = 0; round < 50; round++) {
    const bytes = Uint8Array.from({ length: 20_000 }, () => starts[random(starts.length)]);
    assert.equal(utf8.decode(bytes), decoder.decode(bytes));
    const text = "é€😀".repeat(7000).slice(round);
    assert.equal(utf8.decode(encoder.encode(text)), text.toWellFormed());
  }
  const long = "é€😀a".repeat(5000);
  assert.equal(utf8.decode(utf8.encode(long)), long);
});
