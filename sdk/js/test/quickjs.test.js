// The promises that a plugin on QuickJS has, and what runs them.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as own from "../src/host/promise.js";

// The module puts what it has in the place of what the engine has.
const { Promise: EngineOwn, queueMicrotask } = globalThis;
const { fromAsync } = Array;
const { settled } = await import("../src/host/engine.js");
Object.assign(globalThis, { Promise: EngineOwn, queueMicrotask });
Object.assign(Array, { fromAsync });

const nothing = () => false;

/** What a program says that takes promises, in the order in which it says it. */
async function order(program, Promise, drain) {
  const said = [];
  program(Promise, (word) => said.push(word));
  await drain();
  return said;
}

const PROGRAMS = {
  "jobs of promises, and of what is like one": (Promise, say) => {
    const thenable = { then: (resolve) => (say("then"), resolve("like one")) };
    Promise.resolve(thenable).then(say);
    Promise.resolve(1).then(say).then(() => say("after"));
    new Promise((resolve) => resolve(Promise.resolve("inner"))).then(say);
    Promise.reject(new Error("rejected")).catch(({ message }) => say(message));
    Promise.resolve("kept").finally(() => say("finally")).then(say);
    Promise.reject("kept").finally(() => Promise.reject("replaced")).catch(say);
    say("first");
  },
  "many at once": (Promise, say) => {
    const all = () => [Promise.resolve(1), 2, { then: (resolve) => resolve(3) }];
    const wrong = () => [Promise.reject(new Error("one")), Promise.reject(new Error("two"))];
    Promise.all(all()).then((values) => say(values.join()));
    Promise.all([...all(), ...wrong()]).catch(({ message }) => say(message));
    Promise.all([]).then(({ length }) => say(`all ${length}`));
    Promise.all(3).catch(({ name }) => say(name));
    Promise.allSettled([...all(), ...wrong()]).then((all) => say(all.map((one) => one.value ?? one.reason.message).join()));
    Promise.any([...wrong(), ...all()]).then(say);
    Promise.any(wrong()).catch((error) => say(`${error.name} ${error.errors.map(({ message }) => message)}`));
    Promise.race([new Promise(() => {}), ...all()]).then(say);
  },
  "what makes one": (Promise, say) => {
    const { promise, resolve } = Promise.withResolvers();
    promise.then(say);
    resolve("resolved");
    resolve("again");
    assert.equal(Promise.resolve(promise), promise);
    assert.equal(`${promise}`, "[object Promise]");
    assert.throws(() => new Promise(), TypeError);
    const cyclic = new Promise((resolve) => EngineOwn.resolve().then(() => resolve(cyclic)));
    cyclic.catch(({ name }) => say(name));
    class Sub extends Promise {}
    say(String(Sub.resolve(1).then() instanceof Sub));
  },
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`in the order of the engine's own: ${name}`, async () => {
    EngineOwn.withResolvers ??= function () {
      let functions;
      const promise = new this((resolve, reject) => (functions = { resolve, reject }));
      return { promise, ...functions };
    };
    const turn = () => new EngineOwn((resolve) => setTimeout(resolve, 0));
    const expected = await order(program, EngineOwn, turn);
    const drain = async () => {
      own.runJobs();
      await turn();
      own.runJobs();
    };
    assert.deepEqual(await order(program, own.Promise, drain), expected);
    assert.ok(expected.length > 2);
    own.throwUnhandled();
  });
}

test("an answer is there once its promise is settled, with what it waits for", () => {
  assert.equal(settled("at once", nothing), "at once");
  const waits = [];
  const later = new own.Promise((resolve) => waits.push(resolve)).then((value) => `${value} later`);
  assert.equal(settled(later, () => waits.pop()?.("not") ?? true), "not later");
  assert.throws(() => settled(own.Promise.reject(new Error("no")), nothing), { message: "no" });
  assert.equal(settled(own.Promise.try(() => "tried"), nothing), "tried");
});

test("a promise that nothing settles is told, and so is one of an engine that comes to none", () => {
  assert.throws(() => settled(new own.Promise(() => {}), nothing), /nothing settles any more/);
  assert.throws(() => settled(EngineOwn.resolve(), nothing), /`portcullis build` does that/);
});

test("a rejection that nobody handles is thrown, and one that is handled before all is done is not", () => {
  const wrong = () => own.Promise.reject(new Error("nobody's"));
  const late = () => {
    const promise = wrong();
    return own.Promise.resolve().then(() => own.Promise.resolve()).then(() => promise.catch(() => "handled"));
  };
  assert.equal(settled(late(), nothing), "handled");
  wrong();
  assert.throws(() => settled(own.Promise.resolve("done"), nothing), { message: "nobody's" });
  assert.equal(settled("and that was all", nothing), "and that was all");
});
