// What is waited for without holding up the rest of the plugin.

import { poll } from "#host/engine";
import { dispose } from "./dispose.js";

/** What is waited for: a pollable of `wasi:io`, and what goes on when it is ready. */
const waiting = new Set();
let isScheduled = false;

/** Whether the engine comes to what waits for a promise. */
export const runsPromises = () => poll !== null;

/**
 * Throws where nobody would come to what waits for a promise.
 */
export function checkPromises(what) {
  if (!runsPromises()) {
    throw new TypeError(
      `${what}: QuickJS runs no promises while a plugin does its work; there are forms that wait, and a plugin built with componentize-js has promises`,
    );
  }
}

/** Waits until a pollable is ready, and gives it back. Whoever else can go on does so first. */
export function ready(pollable) {
  return new Promise((resolve) => {
    waiting.add({ pollable, resolve });
    schedule();
  });
}

function schedule() {
  if (!isScheduled && waiting.size > 0) {
    isScheduled = true;
    setTimeout(turn, 0);
  }
}

/** Nothing else is to be done: waits for the first of all that is waited for. */
function turn() {
  isScheduled = false;
  const all = [...waiting];
  for (const index of poll(all.map(({ pollable }) => pollable))) {
    const { pollable, resolve } = all[index];
    waiting.delete(all[index]);
    dispose(pollable);
    resolve();
  }
  schedule();
}
