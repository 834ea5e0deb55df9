type Write = (...words: unknown[]) => void;

export const error: Write;
export const warn: Write;
export const info: Write;
export const debug: Write;
export const trace: Write;

/** The same under the name that programs know; `log` is `info`. */
export const console: Readonly<Record<"error" | "warn" | "info" | "log" | "debug" | "trace", Write>>;
export default console;
