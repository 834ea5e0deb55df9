/** Asks for a line of text. `id` names the question, so that it can be answered beforehand. */
export function text(id: string, message: string, byDefault?: string): string;
/** Asks for yes or no. */
export function confirm(id: string, message: string, byDefault?: boolean): boolean;
/** Asks for one of the options. */
export function choose(id: string, message: string, options: readonly string[], byDefault?: string): string;
/** Asks for some of the options; they are in the order in which they were chosen. */
export function chooseSome(
  id: string,
  message: string,
  options: readonly string[],
  defaults?: readonly string[],
): string[];
