// What is waited for without holding up the rest of the plugin.

import { whenIdle } from "#host/engine";
import { dispose } from "./dispose.js";

/** What is waited for: a pollable of `wasi:io`, and what goes on when it is ready. */
const waiting = new Set();
let isScheduled = false;
/** `poll` of `wasi:io`, which only what has pollables imports. */
let poll;

/** `ready` for what has pollables: it waits until one is ready. Whoever else can go on does so first. */
export const readyBy = (interfaceOfPoll) => (pollable) => {
  poll = interfaceOfPoll.poll;
  return new Promise((resolve) => {
    waiting.add({ pollable, resolve });
    schedule();
  });
};

function schedule() {
  if (!isScheduled && waiting.size > 0) {
    isScheduled = true;
    whenIdle(turn);
  }
}

/** Nothing else is to be done: waits for the first of all that is waited for, and answers whether anything was. */
export function turn() {
  isScheduled = false;
  const all = [...waiting];
  if (all.length === 0) {
    return false;
  }
  for (const index of poll(all.map(({ pollable }) => pollable))) {
    const { pollable, resolve } = all[index];
    waiting.delete(all[index]);
    dispose(pollable);
    resolve();
  }
  schedule();
  return true;
}
