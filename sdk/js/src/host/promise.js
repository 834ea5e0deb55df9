// Promises for QuickJS, whose own jobs nobody runs while an export of a component is in progress.
//
// What is built with it has its asynchronous functions lowered to generators, so that no promise of the engine's own is
// needed, and this one in the place of `Promise`. Jobs come in the order of the language's specification.

/** Jobs that are to be run, in their order. Those from when the plugin was built are run with its first work. */
let jobs = [];
/** Promises that were rejected before anything was there to handle it. */
const unhandled = new Set();

export const enqueue = (job) => jobs.push(job);

/** Runs jobs, and those that come of them, until there are none. */
export function runJobs() {
  // A list of its own each time, since taking from the front of one moves all that follows.
  while (jobs.length > 0) {
    const now = jobs;
    jobs = [];
    for (const job of now) {
      job();
    }
  }
}

/** Throws what a promise was rejected with that nobody handles. */
export function throwUnhandled() {
  for (const promise of unhandled) {
    unhandled.clear();
    throw PlainPromise.reasonOf(promise);
  }
}

/** The two functions that settle a promise; the first call of either counts. */
function settling(fulfil, reject, self) {
  let isCalled = false;
  const once = (work) => (value) => {
    if (!isCalled) {
      isCalled = true;
      work(value);
    }
  };
  const resolve = once((value) => {
    if (value === self()) {
      return reject(new TypeError("a promise cannot be resolved with itself"));
    }
    if ((typeof value !== "object" || value === null) && typeof value !== "function") {
      return fulfil(value);
    }
    let then;
    try {
      then = value.then;
    } catch (error) {
      return reject(error);
    }
    if (typeof then !== "function") {
      return fulfil(value);
    }
    enqueue(() => {
      const [resolve, rejectOnce] = settling(fulfil, reject, self);
      try {
        then.call(value, resolve, rejectOnce);
      } catch (error) {
        rejectOnce(error);
      }
    });
  });
  return [resolve, once(reject)];
}

class PlainPromise {
  #state = "pending";
  #value;
  /** What waits for it; `null` once it is settled. */
  #reactions = [];
  #isHandled = false;

  constructor(executor) {
    if (typeof executor !== "function") {
      throw new TypeError("a promise is made of a function");
    }
    const settle = (state) => (value) => this.#settle(state, value);
    const [resolve, reject] = settling(settle("fulfilled"), settle("rejected"), () => this);
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  #settle(state, value) {
    const reactions = this.#reactions;
    [this.#state, this.#value, this.#reactions] = [state, value, null];
    if (state === "rejected" && !this.#isHandled) {
      unhandled.add(this);
    }
    for (const react of reactions) {
      enqueue(react);
    }
  }

  then(onFulfilled, onRejected) {
    const { promise, resolve, reject } = capability(speciesOf(this));
    const react = () => {
      const handler = this.#state === "fulfilled" ? onFulfilled : onRejected;
      if (typeof handler !== "function") {
        return (this.#state === "fulfilled" ? resolve : reject)(this.#value);
      }
      let answer;
      try {
        answer = handler(this.#value);
      } catch (error) {
        return reject(error);
      }
      resolve(answer);
    };
    if (this.#reactions) {
      this.#reactions.push(react);
    } else {
      unhandled.delete(this);
      enqueue(react);
    }
    this.#isHandled = true;
    return promise;
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(onFinally) {
    if (typeof onFinally !== "function") {
      return this.then(onFinally, onFinally);
    }
    const Own = speciesOf(this);
    return this.then(
      (value) => Own.resolve(onFinally()).then(() => value),
      (error) =>
        Own.resolve(onFinally()).then(() => {
          throw error;
        }),
    );
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  static get [Symbol.species]() {
    return this;
  }

  static resolve(value) {
    if (value instanceof PlainPromise && value.constructor === this) {
      return value;
    }
    const { promise, resolve } = capability(this);
    resolve(value);
    return promise;
  }

  static reject(error) {
    const { promise, reject } = capability(this);
    reject(error);
    return promise;
  }

  static withResolvers() {
    return capability(this);
  }

  static try(work, ...args) {
    return new this((resolve) => resolve(work(...args)));
  }

  static all(all) {
    return combined(this, all, (set, _, reject) => [set, reject]);
  }

  static allSettled(all) {
    return combined(this, all, (set) => [
      (value) => set({ status: "fulfilled", value }),
      (reason) => set({ status: "rejected", reason }),
    ]);
  }

  static any(all) {
    const none = (errors, _, reject) => reject(new AggregateError(errors, "All promises were rejected"));
    return combined(this, all, (set, resolve) => [resolve, set], none);
  }

  static race(all) {
    return combined(this, all, (_, resolve, reject) => [resolve, reject], () => {});
  }

  static reasonOf(promise) {
    return promise.#value;
  }
}

const speciesOf = (promise) => promise.constructor?.[Symbol.species] ?? PlainPromise;

function capability(Own) {
  let functions;
  const promise = new Own((resolve, reject) => {
    functions = { resolve, reject };
  });
  return { promise, ...functions };
}

/**
 * One promise of many. `each` has what is done with the outcome of one of them, of which `set` has the value in its place; once
 * all places have theirs, it is `done`.
 */
function combined(Own, all, each, done = (values, resolve) => resolve(values)) {
  const { promise, resolve, reject } = capability(Own);
  try {
    const values = [];
    let missing = 1;
    const arrived = () => {
      missing -= 1;
      if (missing === 0) {
        done(values, resolve, reject);
      }
    };
    let index = 0;
    for (const one of all) {
      const place = index++;
      let isSet = false;
      values[place] = undefined;
      missing += 1;
      const set = (value) => {
        if (!isSet) {
          isSet = true;
          values[place] = value;
          arrived();
        }
      };
      Own.resolve(one).then(...each(set, resolve, reject));
    }
    arrived();
  } catch (error) {
    reject(error);
  }
  return promise;
}

Object.defineProperty(PlainPromise, "name", { value: "Promise" });
export { PlainPromise as Promise };
