// Requests over HTTP, to hosts that were granted, in the form of `fetch`. Redirects are not followed, and any status
// is a response.

import http from "#host/http";
import { asking } from "./errors.js";
import { bytesOf, decode } from "./utf8.js";

/** Headers of a response, by their names in any case; of those with one name, the values with commas between. */
class Headers {
  #values = new Map();

  constructor(pairs) {
    for (const [name, value] of pairs) {
      const key = name.toLowerCase();
      this.#values.set(key, this.#values.has(key) ? `${this.#values.get(key)}, ${value}` : value);
    }
  }

  get(name) {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name) {
    return this.#values.has(name.toLowerCase());
  }

  [Symbol.iterator]() {
    return this.#values.entries();
  }
}

/** What a server answered; its body is there already. */
class Response {
  #body;

  constructor({ status, headers, body, truncated }) {
    this.status = status;
    this.ok = status >= 200 && status < 300;
    this.headers = new Headers(headers);
    this.truncated = truncated;
    this.#body = body;
  }

  bytes() {
    return this.#body;
  }

  text() {
    return decode(this.#body);
  }

  json() {
    return JSON.parse(this.text());
  }
}

/** Sends a request and waits for the whole response. */
export function fetchSync(url, { method = "GET", headers = {}, body = "" } = {}) {
  const request = {
    method: method.toUpperCase(),
    url,
    headers: Array.isArray(headers) ? headers : Object.entries(headers),
    body: bytesOf(body),
  };
  // Without its query, which may have a secret in it.
  const shown = url.split("?", 1)[0];
  return new Response(asking(`${request.method} \`${shown}\``, () => http.send(request)));
}
