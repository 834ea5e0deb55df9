// StarlingMonkey, which comes to what waits for a promise, until the promise of the export is settled.

export { poll } from "wasi:io/poll@0.2.0";

/** A number as the engine passes one of 64 bits. */
export const u64 = BigInt;

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = true;
