// Commands that run beside the plugin, held and let go of as a language with a garbage collector does.

import command from "portcullis:cli/command@0.1.0";

const READ = 65536;
const PIPES = { stdin: "pipe", stdout: "pipe", stderr: "pipe" };

/** Starts a command; where too many are still running, when one of them has ended. */
function spawn(program, ...args) {
  for (;;) {
    try {
      return command.spawn({ program, args, cwd: null, env: [], inheritEnv: false, timeout: null }, PIPES);
    } catch (error) {
      if (error.payload?.tag !== "limit" || error.payload.val !== "children") {
        throw JSON.stringify(error.payload);
      }
    }
  }
}

function readToEnd(stream) {
  const chunks = [];
  for (;;) {
    try {
      chunks.push(stream.blockingRead(READ));
    } catch (error) {
      if (error.payload?.tag !== "closed") {
        throw JSON.stringify(error.payload);
      }
      return chunks;
    }
  }
}

/** Reads standard output to its end before the first byte of standard error. */
function oneAfterTheOther(script) {
  const child = spawn("sh", "-c", script);
  const [stdout, stderr] = [child.stdout(), child.stderr()];
  const lengths = [stdout, stderr].map((stream) => readToEnd(stream).reduce((sum, chunk) => sum + chunk.length, 0));
  return `${JSON.stringify(lengths)} ${JSON.stringify(child.wait().exit)}`;
}

function* permutations(items) {
  if (items.length === 0) {
    yield [];
  }
  for (const [index, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(index, 1))) {
      yield [item, ...rest];
    }
  }
}

/** Lets go of a child and of what belongs to it in every order there is. */
function everyOrder() {
  let count = 0;
  for (const order of permutations([0, 1, 2, 3, 4])) {
    const child = spawn("cat");
    const stdout = child.stdout();
    const held = [child, child.stdin(), stdout, stdout.subscribe(), child.subscribe()];
    for (const index of order) {
      held[index][Symbol.dispose]();
    }
    count += 1;
  }
  return String(count);
}

/** Loses children in cycles that only the collector finds. */
function garbage(number) {
  for (let lost = 0; lost < number; lost++) {
    lose();
    // Memory is not short, so that the interpreter would not collect by itself.
    collect();
  }
  return String(number);
}

function lose() {
  const child = spawn("sleep", "100");
  const cycle = { child, stdout: child.stdout() };
  cycle.itself = cycle;
}

const collect = () => globalThis.__cqjs.runGc();

function outputOutlivesChild() {
  const child = spawn("echo", "still here");
  const stdout = child.stdout();
  child.wait();
  child[Symbol.dispose]();
  return String.fromCharCode(...readToEnd(stdout).flatMap((chunk) => [...chunk])).trim();
}

export function run([mode, argument]) {
  switch (mode) {
    case "one-after-the-other":
      return oneAfterTheOther(argument);
    case "every-order":
      return everyOrder();
    case "garbage":
      return garbage(Number(argument));
    case "output-outlives-child":
      return outputOutlivesChild();
    default:
      throw `unknown mode ${mode}`;
  }
}
