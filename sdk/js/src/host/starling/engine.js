// StarlingMonkey, which comes to what waits for a promise, until the promise of the export is settled.

/** A number as the engine passes one of 64 bits. */
export const u64 = BigInt;

/** Has `turn` called when nothing else is to be done. */
export const whenIdle = (turn) => setTimeout(turn, 0);

/** The engine waits for a promise itself. */
export const settled = null;

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = true;
