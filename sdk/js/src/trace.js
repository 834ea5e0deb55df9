// Traces in the lines that the author wrote, of a plugin that was made one module.

/** Where `portcullis build` writes, at the end of that module, which of its places is from which line of which file. */
const PLACES = Symbol.for("portcullis.places");

/**
 * A trace of the engine's with the places in the plugin's own files, and without what the package and the engine do between them.
 * One that has none of the plugin's is left as it is.
 */
export function traced(stack) {
  if (!globalThis[PLACES] || typeof stack !== "string") {
    return stack;
  }
  const { files, places } = globalThis[PLACES];
  const own = stack.split("\n").flatMap((frame) => {
    const [, name, ...at] = /^ *at (.*) \(.*:(\d+):(\d+)\)$/.exec(frame) ?? [];
    const [line, column] = at.map(Number);
    const [, , file, origin, known] = places.findLast(([l, c]) => l < line || (l === line && c <= column)) ?? [];
    return file === undefined ? [] : [`    at ${name === "<anonymous>" ? known ?? name : name} (/${files[file]}:${origin})`];
  });
  return own.length > 0 ? `${own.join("\n")}\n` : stack;
}
