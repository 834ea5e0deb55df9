// Every piece of JavaScript in `docs/javascript.md`, run in its order on a scripted host.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";

import { utf8 } from "@portcullis/sdk";
import { Host } from "@portcullis/sdk/testing";

const BOOK = new URL("../../../docs/javascript.md", import.meta.url);
/** What `portcullis new` begins with. */
const NEW = new URL("../../../crates/portcullis-cli/src/kit/new/javascript/plugin.js", import.meta.url);
const skip = existsSync(BOOK) ? false : "the book is not beside the package";
const pieces = skip ? [] : [...readFileSync(BOOK, "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map(([, piece]) => piece);

// Within the package, so that its modules are found by its name.
const directory = mkdtempSync(new URL("book-", import.meta.url).pathname);
after(() => rmSync(directory, { recursive: true }));

function load(name, text) {
  writeFileSync(`${directory}/${name}`, text);
  return import(`${directory}/${name}`);
}

/** A piece without its imports. */
const body = (piece) => piece.replace(/^import .*\n/gm, "");
const imports = (piece) => piece.match(/^import .*$/gm)?.join("\n") ?? "";

test("commands, files and everything else", { skip }, async () => {
  const host = new Host({
    files: { "notes/a.txt": "abc", "settings.toml": "x = 1" },
    variables: { LANG: "eo" },
    answers: { remove: true },
  });
  host.command(["ls", "-l"], { stdout: "total 0\n" });
  host.command(["sha256sum"], { stdout: (input) => input.toReversed() });
  host.command(["grep", "-q", "word", "notes.txt"], { status: 1, stderr: "none" });
  host.command(["sh", "-c", "kill $$"], { signal: "SIGTERM" });
  host.command(["tail", "-f", "app.log"], { stdout: "fine\nan error\n", delay: 60_000 });
  host.command(["bc", "-l"], { stdout: (input) => `${eval(utf8.decode(input))}\n` });
  host.respond("GET", "https://api.example.com/status", { body: '{"status": "up"}' });
  const [, , commands, children, everything, errors] = pieces;
  const work = [commands, children, everything, errors];
  const names = "listing, digest, status, stderr, number, answer, language, settings";
  const module = await load(
    "work.js",
    `${[commands, everything, "import { Failure, PortcullisError } from '@portcullis/sdk';"].map(imports).join("\n")}
     import { readFileSync } from "@portcullis/sdk/fs";
     export const work = () => { ${work.map(body).join("\n")} return { ${names} }; };`,
  );
  const was = host.run(module.work);
  assert.deepEqual([was.listing, [...was.digest], was.status, was.stderr], ["total 0\n", [2, 1], 1, "none"]);
  assert.deepEqual([was.number, was.answer, was.language, was.settings], [15, "42", "eo", "x = 1"]);
  assert.deepEqual(host.logged, [["info", "a.txt has 3 bytes"]]);
  assert.deepEqual([utf8.decode(host.kv.get("status")), host.files.has("report.txt")], ["up", false]);
});

test("promises", { skip }, async () => {
  const host = new Host();
  host.command(["git", "branch", "--show-current"], { stdout: "main\n" });
  host.command(["git", "log", "--oneline", "-n", "5"], { stdout: "1 a\n", delay: 100 });
  host.command(["make", "-s"], { stdout: "fine\nan error\n", delay: 60_000 });
  const { report } = await load("promises.js", pieces[1]);
  assert.equal(await host.run(() => report([])), "main\n1 a\n");
});

test("the first plugin passes its tests", { skip }, async (context) => {
  const tests = pieces.at(-1);
  assert.equal(pieces[0], readFileSync(NEW, "utf8"));
  await load("plugin.js", pieces[0]);
  // Its tests are told to be within this one.
  await load(
    "plugin.test.js",
    tests.replace(
      'import { test } from "node:test";',
      "const tests = [];\nconst test = (...args) => tests.push(args);",
    ) + "export { tests };",
  );
  const { tests: found } = await import(`${directory}/plugin.test.js`);
  assert.equal(found.length, 2);
  for (const [name, work] of found) {
    await context.test(name, work);
  }
});
