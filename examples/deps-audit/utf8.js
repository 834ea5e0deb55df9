// QuickJS has no `TextDecoder`.

const REPLACEMENT = 0xfffd;
/** Code points that are made into a string at once: each is an argument of a call. */
const CHUNK = 4096;

/** The text of these bytes; what is not UTF-8 becomes U+FFFD. */
export function decode(bytes) {
  let text = "";
  let points = [];
  for (let at = 0; at < bytes.length; ) {
    const [point, length] = bytes[at] < 0x80 ? [bytes[at], 1] : sequence(bytes, at);
    points.push(point);
    at += length;
    if (points.length === CHUNK) {
      text += String.fromCodePoint(...points);
      points = [];
    }
  }
  return text + String.fromCodePoint(...points);
}

/** A code point of several bytes, and how many. */
function sequence(bytes, at) {
  const first = bytes[at];
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const smallest = [0, 0, 0x80, 0x800, 0x10000][length];
  let point = first & (0x7f >> length);
  for (let next = at + 1; next < at + length; next++) {
    if ((bytes[next] & 0xc0) !== 0x80) {
      return [REPLACEMENT, 1];
    }
    point = (point << 6) | (bytes[next] & 0x3f);
  }
  const isSurrogate = point >= 0xd800 && point <= 0xdfff;
  const isWrong = first < 0xc2 || first > 0xf4 || point < smallest || point > 0x10ffff || isSurrogate;
  return isWrong ? [REPLACEMENT, 1] : [point, length];
}
