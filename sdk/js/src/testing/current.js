// The host of the test that runs, and interfaces that ask it.

const hosts = [];

/** What `work` does on a host. */
export function on(host, work) {
  hosts.push(host);
  const leave = () => {
    hosts.splice(hosts.lastIndexOf(host), 1);
  };
  let done;
  try {
    done = work();
  } catch (error) {
    leave();
    throw error;
  }
  // Of what goes on the host is there until its end.
  if (typeof done?.then === "function") {
    return done.then(
      (value) => {
        leave();
        return value;
      },
      (error) => {
        leave();
        throw error;
      },
    );
  }
  leave();
  return done;
}

/** An interface of the host under its name in the WIT, with functions in the names of JavaScript. */
export function forwarded(name) {
  const ask = (method, args) => {
    if (hosts.length === 0) {
      throw new Error("there is no host here: `new Host().run(() => …)` of `@portcullis/sdk/testing` plays one");
    }
    return hosts.at(-1).interfaces[name][method](...args);
  };
  return new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...args) =>
          ask(method, args),
    },
  );
}
