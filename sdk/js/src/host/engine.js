// QuickJS, which runs no promises of its own while an export is in progress: these are ours, and run by the plugin.

import { Promise as Own, enqueue, runJobs, throwUnhandled } from "./promise.js";

const EngineOwn = globalThis.Promise;
globalThis.Promise = Own;
// What else of the engine's leaves work to its jobs.
globalThis.queueMicrotask = (work) => void enqueue(() => work());
Array.fromAsync = async function fromAsync(items, map = (item) => item) {
  const isIterable = items[Symbol.asyncIterator] ?? items[Symbol.iterator];
  const all = new this();
  for await (const item of isIterable ? items : Array.from(items)) {
    all.push(await map(item, all.length));
  }
  return all;
};

/** A number as the engine passes one of 64 bits. */
export const u64 = Number;

/** Has `turn` called when nothing else is to be done: by `settled`. */
export const whenIdle = () => {};

/**
 * What a plugin's answer is once it is there; `turn` waits for what it may be waiting for, and answers whether there was
 * anything. What a promise was rejected with that nobody handles is thrown.
 */
export function settled(answer, turn) {
  if (answer instanceof EngineOwn) {
    throw new TypeError(
      "this plugin is `async`, and was not made for an engine that comes to no promises: `portcullis build` does that",
    );
  }
  let outcome = null;
  Own.resolve(answer).then(
    (value) => (outcome = () => value),
    (error) => {
      outcome = () => {
        throw error;
      };
    },
  );
  for (;;) {
    runJobs();
    throwUnhandled();
    if (outcome) {
      return outcome();
    }
    if (!turn()) {
      throw new Error("the plugin waits for a promise that nothing settles any more");
    }
  }
}

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = false;
