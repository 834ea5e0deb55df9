// Plugins for Portcullis. What needs a capability is in a module of its name: `@portcullis/sdk/exec`, `fs`, `http`
// and so on.

export { CommandError, Failure, PortcullisError } from "./errors.js";
export { plugin } from "./plugin.js";
export * as utf8 from "./utf8.js";
