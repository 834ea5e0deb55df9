// Node, on a host that a test plays.

export const u64 = Number;

/** Has `turn` called when nothing else is to be done. */
export const whenIdle = (turn) => setTimeout(turn, 0);

/** The engine waits for a promise itself. */
export const settled = null;

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = false;
