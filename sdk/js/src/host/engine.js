// QuickJS, which runs no promises while an export is in progress.

/** A number as the engine passes one of 64 bits. */
export const u64 = Number;

/** Nothing waits for more than one thing at a time. */
export const poll = null;

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = false;
