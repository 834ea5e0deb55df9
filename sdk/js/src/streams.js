// Streams of a command that runs beside the plugin.

import { u64 } from "#host/engine";
import { dispose } from "./dispose.js";
import { PortcullisError } from "./errors.js";
import { ready } from "./ready.js";
import { bytesOf, decode } from "./utf8.js";

/** What the host gives at most for one read. */
const READ = 65536;
/** What one blocking write of `wasi:io` may have. */
const WRITE = 4096;
const NEWLINE = 0x0a;

/** What a command writes. What was read in one way is not read again in another. */
export class Output {
  #stream;
  #name;
  /** What was read and not given yet. */
  #rest = new Uint8Array();
  #ended = false;

  constructor(stream, name) {
    this.#stream = stream;
    this.#name = name;
  }

  /** Bytes as they come, each time as many as there are. */
  *[Symbol.iterator]() {
    for (let chunk; (chunk = this.#take() ?? this.#read());) {
      yield chunk;
    }
  }

  /** The same, while the rest of the plugin goes on: `for await`. */
  async *[Symbol.asyncIterator]() {
    for (let chunk; (chunk = this.#take() ?? (await this.#next()));) {
      yield chunk;
    }
  }

  /** Lines as they come, without the ends of lines: with `for`, or `for await` while the rest of the plugin goes on. */
  lines() {
    const waiting = this.#waitingLines();
    waiting[Symbol.asyncIterator] = () => this.#lines();
    return waiting;
  }

  *#waitingLines() {
    for (let line; (line = this.readLine()) !== null;) {
      yield line;
    }
  }

  async *#lines() {
    let parts = [];
    for await (const chunk of this) {
      let rest = chunk;
      for (let end; (end = rest.indexOf(NEWLINE)) >= 0; parts = []) {
        const line = joined([...parts, rest.subarray(0, end)]);
        // What comes after it is there for whoever reads on.
        this.#rest = rest = rest.subarray(end + 1);
        yield decode(line);
        rest = this.#take() ?? new Uint8Array();
      }
      if (rest.length > 0) {
        parts.push(rest);
      }
    }
    if (parts.length > 0) {
      yield decode(joined(parts));
    }
  }

  /** The next line without its end, once all of it is there; `null` after the last. */
  readLine() {
    const parts = [];
    for (let chunk; (chunk = this.#take() ?? this.#read());) {
      const end = chunk.indexOf(NEWLINE);
      if (end >= 0) {
        this.#rest = chunk.subarray(end + 1);
        parts.push(chunk.subarray(0, end));
        return decode(joined(parts));
      }
      parts.push(chunk);
    }
    return parts.length > 0 ? decode(joined(parts)) : null;
  }

  /** All that is still to come, as bytes. */
  bytes() {
    return joined([...this]);
  }

  /** All that is still to come, as text. */
  text() {
    return decode(this.bytes());
  }

  #take() {
    const rest = this.#rest;
    this.#rest = new Uint8Array();
    return rest.length > 0 ? rest : null;
  }

  #read() {
    while (!this.#ended) {
      try {
        const chunk = this.#stream.blockingRead(u64(READ));
        if (chunk.length > 0) {
          return chunk;
        }
      } catch (error) {
        this.#end(error);
      }
    }
    return null;
  }

  async #next() {
    while (!this.#ended) {
      try {
        const chunk = this.#stream.read(u64(READ));
        if (chunk.length > 0) {
          return chunk;
        }
        await ready(this.#stream.subscribe());
      } catch (error) {
        this.#end(error);
      }
    }
    return null;
  }

  #end(error) {
    this.#ended = true;
    dispose(this.#stream);
    if (error.payload === undefined) {
      throw error;
    }
    if (error.payload.tag !== "closed") {
      const why = "something of it was lost, since nobody read it in time";
      throw new PortcullisError(`cannot read the ${this.#name}: ${why}`, "io");
    }
  }
}

/** What a command reads. Everything is written when `write` returns. */
export class Input {
  #stream;
  #name;

  constructor(stream, name) {
    this.#stream = stream;
    this.#name = name;
  }

  /** Writes text or bytes. */
  write(data) {
    if (!this.#stream) {
      throw new Error("write after end");
    }
    const bytes = bytesOf(data);
    for (let at = 0; at < bytes.length; at += WRITE) {
      try {
        this.#stream.blockingWriteAndFlush(bytes.slice(at, at + WRITE));
      } catch (error) {
        if (error.payload === undefined) {
          throw error;
        }
        throw new PortcullisError(`${this.#name} does not read its input any more`, "io");
      }
    }
  }

  /** Writes everything and ends it, while the rest of the plugin goes on. What a command does not read is not written. */
  async feed(data) {
    const bytes = bytesOf(data);
    try {
      for (let at = 0; at < bytes.length;) {
        const room = Number(this.#stream.checkWrite());
        if (room === 0) {
          await ready(this.#stream.subscribe());
          continue;
        }
        this.#stream.write(bytes.slice(at, at + room));
        at += room;
      }
      this.#stream.flush();
    } catch (error) {
      if (error.payload === undefined) {
        throw error;
      }
    }
    this.end();
  }

  /** Writes the last, if there is any, and is the command's end of file. */
  end(data) {
    if (data !== undefined) {
      this.write(data);
    }
    if (this.#stream) {
      dispose(this.#stream);
    }
    this.#stream = null;
  }
}

export function joined(parts) {
  if (parts.length === 1) {
    return parts[0];
  }
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
