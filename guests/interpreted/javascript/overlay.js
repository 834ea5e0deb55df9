// A plugin whose first export fails. It is called before `run`, and its type could not carry an error.

export function envOverlay() {
  throw new RangeError("no overlay today");
}

export function run() {
  return "never";
}
