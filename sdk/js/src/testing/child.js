// A scripted command that runs beside the plugin. Its time passes when the plugin waits for it, at once.

const closed = () => Object.assign(new Error("closed"), { payload: { tag: "closed" } });

export class Child {
  constructor(stdio, answer, stdout, stderr, exit, delay) {
    const merged = stdio.stderr === "merged";
    this.stdio = stdio;
    this.answer = answer;
    this.buffers = { stdout: merged ? [...stdout, ...stderr] : [...stdout], stderr: [...stderr] };
    this.exit = exit;
    // One that answers to what it reads runs until it has read everything.
    this.reads = answer !== null && stdio.stdin === "pipe";
    this.runs = this.reads || delay > 0;
  }

  stdin() {
    return this.stdio.stdin === "pipe" ? new Reading(this) : null;
  }

  stdout() {
    return this.stdio.stdout === "pipe" ? new Written(this, this.buffers.stdout) : null;
  }

  stderr() {
    return this.stdio.stderr === "pipe" ? new Written(this, this.buffers.stderr) : null;
  }

  /** It comes to its end, unless it still reads. */
  passTime() {
    if (this.reads) {
      throw new Error("the plugin waits for a command that waits for the plugin: its `stdin` was not ended");
    }
    this.runs = false;
  }

  wait() {
    if (this.runs) {
      this.passTime();
    }
    return { exit: this.exit, stdoutTruncated: false, stderrTruncated: false, duration: 0 };
  }

  tryWait() {
    return this.runs ? null : { tag: "ok", val: this.wait() };
  }

  /** Who waits for it has it come to its end. */
  subscribe() {
    if (this.runs) {
      this.passTime();
    }
    return {};
  }

  kill() {
    if (this.runs) {
      this.runs = this.reads = false;
      this.exit = { tag: "killed", val: "asked" };
    }
  }
}

/** What the child writes. */
class Written {
  constructor(child, buffer) {
    this.child = child;
    this.buffer = buffer;
  }

  /** Nothing, while the child has written nothing and runs. */
  read(length) {
    return this.buffer.length === 0 && this.child.runs ? new Uint8Array() : this.blockingRead(length);
  }

  /** Who waits for more has the child come to its end, unless it waits for the plugin. */
  subscribe() {
    if (this.buffer.length === 0 && this.child.runs && !this.child.reads) {
      this.child.passTime();
    }
    return {};
  }

  blockingRead(length) {
    if (this.buffer.length === 0 && this.child.runs) {
      this.child.passTime();
    }
    if (this.buffer.length === 0) {
      throw closed();
    }
    return Uint8Array.from(this.buffer.splice(0, length));
  }
}

/** What the child reads. */
class Reading {
  constructor(child) {
    this.child = child;
  }

  checkWrite() {
    return 4096;
  }

  write(bytes) {
    this.blockingWriteAndFlush(bytes);
  }

  flush() {}

  blockingWriteAndFlush(bytes) {
    if (!this.child.runs && this.child.answer) {
      throw closed();
    }
    if (this.child.answer) {
      this.child.buffers.stdout.push(...this.child.answer(bytes));
    }
  }

  [Symbol.dispose]() {
    if (this.child.reads) {
      this.child.reads = this.child.runs = false;
    }
  }
}
