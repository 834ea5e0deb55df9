// Giving resources back.

/** The name of the method. Where the engine has none yet, its tools use this one. */
export const DISPOSE = Symbol.dispose ?? Symbol.for("dispose");

export const dispose = (resource) => resource[DISPOSE]?.();
