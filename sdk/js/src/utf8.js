// UTF-8, as `TextEncoder` and `TextDecoder` have it, which QuickJS has not.
//
// By functions that are built in as far as possible: a loop over bytes takes an interpreter a hundred times as long.

const REPLACEMENT = 0xfffd;
/** Bytes that are made into a string at once: each may be an argument of a call. */
const CHUNK = 8192;

/** The bytes of a text. */
export function encode(text) {
  // Of a text of nothing but bytes, as `unescape` gives it.
  const binary = unescape(encodeURIComponent(text.toWellFormed()));
  return Uint8Array.fromBase64?.(btoa(binary)) ?? Uint8Array.from(binary, (unit) => unit.charCodeAt(0));
}

/** The text of these bytes; what is not UTF-8 becomes U+FFFD, and a mark of the byte order stays. */
export function decode(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const end = boundary(bytes, at + CHUNK);
    text += decodeChunk(bytes.subarray(at, end));
    at = end;
  }
  return text;
}

/** The last place up to `end` at which no sequence is cut in two. */
function boundary(bytes, end) {
  if (end >= bytes.length) {
    return bytes.length;
  }
  // A sequence has at most three bytes that continue it; of more there is none to be cut.
  for (let at = end; at > end - 4; at--) {
    if ((bytes[at] & 0xc0) !== 0x80) {
      return at;
    }
  }
  return end;
}

function decodeChunk(bytes) {
  const binary = bytes.toBase64 ? atob(bytes.toBase64()) : String.fromCharCode.apply(null, bytes);
  try {
    return decodeURIComponent(escape(binary));
  } catch {
    return decodeLenient(bytes);
  }
}

/** Of bytes that are not all UTF-8. */
function decodeLenient(bytes) {
  const points = [];
  for (let at = 0; at < bytes.length;) {
    const [point, length] = bytes[at] < 0x80 ? [bytes[at], 1] : sequence(bytes, at);
    points.push(point);
    at += length;
  }
  return String.fromCodePoint(...points);
}

/** A code point of several bytes, or U+FFFD for as much of one as there is; and how many bytes. */
function sequence(bytes, at) {
  const first = bytes[at];
  if (first < 0xc2 || first > 0xf4) {
    return [REPLACEMENT, 1];
  }
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  // What the second byte may be, so that nothing has two spellings, is a surrogate or beyond Unicode.
  let least = { 0xe0: 0xa0, 0xf0: 0x90 }[first] ?? 0x80;
  let most = { 0xed: 0x9f, 0xf4: 0x8f }[first] ?? 0xbf;
  let point = first & (0x7f >> length);
  for (let next = 1; next < length; next++) {
    const byte = bytes[at + next];
    if (!(byte >= least && byte <= most)) {
      return [REPLACEMENT, next];
    }
    [least, most] = [0x80, 0xbf];
    point = (point << 6) | (byte & 0x3f);
  }
  return [point, length];
}

/** The bytes of text or bytes. */
export const bytesOf = (data) => (typeof data === "string" ? encode(data) : data);
