// UTF-8, as `TextEncoder` and `TextDecoder` have it, which QuickJS has not.

const REPLACEMENT = 0xfffd;
/** Code units that are made into a string at once: each is an argument of a call. */
const CHUNK = 4096;

/** The bytes of a text. */
export function encode(text) {
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    let point = text.codePointAt(at);
    if (point < 0x80) {
      bytes[length++] = point;
      continue;
    }
    if (point > 0xffff) {
      at++;
    } else if (point >= 0xd800 && point <= 0xdfff) {
      point = REPLACEMENT;
    }
    const more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    bytes[length++] = [0, 0xc0, 0xe0, 0xf0][more] | (point >> (6 * more));
    for (let left = more - 1; left >= 0; left--) {
      bytes[length++] = 0x80 | ((point >> (6 * left)) & 0x3f);
    }
  }
  return bytes.slice(0, length);
}

/** The text of these bytes; what is not UTF-8 becomes U+FFFD, and a mark of the byte order stays. */
export function decode(bytes) {
  let text = "";
  let units = [];
  for (let at = 0; at < bytes.length;) {
    let point = bytes[at];
    let length = 1;
    if (point >= 0x80) {
      [point, length] = sequence(bytes, at);
    }
    at += length;
    if (point > 0xffff) {
      units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
    } else {
      units.push(point);
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
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
