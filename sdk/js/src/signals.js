// Signals by their names, as Linux numbers them.

const NAMES =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
  "CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/** Numbers by name: `signals.SIGKILL` is 9. */
export const signals = Object.fromEntries(NAMES.split(" ").map((name, index) => [`SIG${name}`, index + 1]));

const names = new Map(Object.entries(signals).map(([name, number]) => [number, name]));

/** The name of a number; one of real time has none of its own. */
export const signalName = (number) => names.get(number) ?? `SIG${number}`;
