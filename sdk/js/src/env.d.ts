/** The value of a variable. What was not granted and what is not set look alike: `fallback` is the answer. */
export function get(name: string): string | undefined;
export function get(name: string, fallback: string): string;
