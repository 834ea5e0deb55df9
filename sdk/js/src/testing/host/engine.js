// Node, on a host that a test plays: whatever is waited for is there.

export const u64 = Number;

export const poll = (pollables) => pollables.map((_, index) => index);

/** Whether a failure is the `payload` of what is thrown, and not its message. */
export const takesPayload = false;
