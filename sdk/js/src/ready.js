// Waiting for commands and their streams. The interface is in a world that has commands, and in no other.

import poll from "#host/poll";
import { readyBy } from "./reactor.js";

/** Waits until a pollable is ready, which is disposed of then. Whoever else can go on does so first. */
export const ready = readyBy(poll);
