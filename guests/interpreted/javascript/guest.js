// A plugin that fails in every way a JavaScript program can.

function deeper(more) {
  return more === 0 ? undefined.property : deeper(more - 1);
}

export function run([mode, text]) {
  switch (mode) {
    case "throw":
      throw text;
    case "error":
      throw new RangeError(text);
    case "mistake":
      return deeper(3);
    case "payload":
      try {
        return deeper(3);
      } catch (error) {
        error.payload = `${error}\n${error.stack}`;
        throw error;
      }
    case "type":
      return 42;
    case "promise":
      return Promise.reject(new Error("later"));
    case "recursion":
      return run([mode]) + 1;
    default:
      return "fine";
  }
}
