/**
 * Prompts cleaned as exporter/runtime/inputs/cleaning.py cleans them: the steps of ftfy 6 (Robyn Speer, Apache-2.0) and
 * of Python's html.unescape. Tables and patterns are theirs, written into the bundle when it was built.
 */

const UNDEFINED_1252 = /[\x81\x8d\x8f\x90\x9d]/;

export class Cleaner {
  /** `tables`: the parsed file beside the bundle's tokenizer. */
  constructor(tables) {
    this.tables = tables;
    this.bad = new RegExp(tables.bad, "u");
    this.utf8 = new RegExp(tables.utf8, "gu");
    this.alteredUtf8 = new RegExp(tables.altered_utf8, "g");
    this.lossyUtf8 = new RegExp(tables.lossy_utf8, "g");
    this.aGraveWord = new RegExp(tables.a_grave_word, "g");
    this.spaces = new RegExp(`[${tables.spaces}]+`, "gu");
    this.removed = new Set(tables.removed);
    this.noNumbers = new Set(tables.no_numbers);
    this.encodings = tables.encodings.map(([name, decoded]) => {
      const letters = [...decoded];
      return { name, letters, bytes: new Map(letters.map((letter, byte) => [letter, String.fromCharCode(byte)])) };
    });
    this.windows1252 = this.encodings.find(({ name }) => name === "sloppy-windows-1252").letters;
  }

  /** The prompt that the tokenizer gets. */
  clean(prompt) {
    const unescaped = this.unescape(this.unescape(this.fixText(prompt)));
    return unescaped.replace(this.spaces, " ").replace(/^ | $/g, "");
  }

  fixText(text) {
    let escaped = true;
    return text
      .split(/(?<=\n)/)
      .map((segment) => {
        escaped &&= !segment.includes("<");
        return this.fixSegment(segment, escaped);
      })
      .join("");
  }

  fixSegment(text, escaped) {
    for (;;) {
      const before = text;
      if (escaped) text = text.replace(/&#?[0-9A-Za-z]{1,24};/g, (found) => this.entity(found));
      text = this.fixC1(this.fixEncoding(text));
      text = [...text].map((letter) => this.tables.replaced[letter] ?? letter).join("");
      text = text.replace(/[\u201c-\u201f]/g, '"').replace(/[\u02bc\u2018-\u201b]/g, "'");
      text = text.replace(/\r\n|[\r\u2028\u2029\u0085]/g, "\n");
      text = text.replace(/\x1b\[[\p{Nd};]*[a-zA-Z]/gu, "");
      text = [...text].filter((letter) => !this.removed.has(letter)).join("").normalize("NFC");
      if (text === before) return text;
    }
  }

  entity(found) {
    if (Object.hasOwn(this.tables.entities, found)) return this.tables.entities[found];
    if (!found.startsWith("&#")) return found;
    const unescaped = this.unescape(found);
    return unescaped.includes(";") ? found : unescaped;
  }

  fixEncoding(text) {
    for (;;) {
      const fixed = this.fixEncodingOnce(text);
      if (fixed === text) return text;
      text = fixed;
    }
  }

  fixEncodingOnce(text) {
    if (/^[\x00-\x7f]*$/.test(text) || !this.bad.test(text)) return text;
    const possible = [];
    for (const { name, bytes } of this.encodings) {
      const encoded = encode(text, bytes);
      if (encoded === undefined) continue;
      possible.push(name);
      const fixed = decodeUtf8(this.mended(encoded, name));
      if (fixed !== undefined) return fixed;
    }
    const inPlace = text.replace(this.utf8, (found) =>
      found.length < text.length && this.bad.test(found) ? this.fixEncoding(found) : found,
    );
    if (inPlace !== text) return inPlace;
    if (possible.includes("latin-1") && !UNDEFINED_1252.test(text)) {
      const fixed = [...text].map((letter) => this.asWindows1252(letter)).join("");
      if (fixed !== text) return fixed;
    }
    return this.fixC1(text);
  }

  /** Bytes with what a careless hand has made of them undone. */
  mended(bytes, encoding) {
    let found = bytes;
    if (encoding !== "macroman" && found.search(this.alteredUtf8) >= 0) {
      found = found.replace(this.aGraveWord, "\xc3\xa0 ").replace(this.alteredUtf8, (part) => part.replaceAll(" ", "\xa0"));
    }
    return encoding.startsWith("sloppy") ? found.replace(this.lossyUtf8, "\xef\xbf\xbd") : found;
  }

  fixC1(text) {
    return text.replace(/[\x80-\x9f]/g, (letter) => this.asWindows1252(letter));
  }

  asWindows1252(letter) {
    const byte = letter.charCodeAt(0);
    return byte < 0x80 ? letter : this.windows1252[byte];
  }

  /** Python's html.unescape. */
  unescape(text) {
    const pattern = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;
    return text.replace(pattern, (whole, reference) => {
      if (reference.startsWith("#")) return this.numbered(reference.slice(1).replace(/;$/, ""));
      const { html5 } = this.tables;
      if (Object.hasOwn(html5, reference)) return html5[reference];
      const letters = [...reference];
      for (let end = letters.length - 1; end > 1; end--) {
        const name = letters.slice(0, end).join("");
        if (Object.hasOwn(html5, name)) return html5[name] + letters.slice(end).join("");
      }
      return whole;
    });
  }

  numbered(digits) {
    const number = /^x/i.test(digits) ? parseInt(digits.slice(1), 16) : parseInt(digits, 10);
    const known = this.tables.numbers[number];
    if (known !== undefined) return known;
    if ((number >= 0xd800 && number <= 0xdfff) || number > 0x10ffff) return "\ufffd";
    return this.noNumbers.has(number) ? "" : String.fromCodePoint(number);
  }
}

/** Bytes, each as the character of its number; undefined where a letter has none. U+FFFD stands for a lost byte. */
function encode(text, bytes) {
  let encoded = "";
  for (const letter of text) {
    const byte = bytes.get(letter);
    if (byte === undefined) return undefined;
    encoded += byte;
  }
  return encoded;
}

/** Text of UTF-8, CESU-8 and Java's zero included; undefined where it is none. */
function decodeUtf8(bytes) {
  const joined = bytes
    .replace(/\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf])/g, (_, a, b, c, d) => {
      const [high, middle, low, last] = [a, b, c, d].map((byte) => byte.charCodeAt(0));
      const code = 0x10000 + ((high & 15) << 16) + ((middle & 63) << 10) + ((low & 15) << 6) + (last & 63);
      return String.fromCharCode(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    })
    .replaceAll("\xc0\x80", "\0");
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return decoder.decode(Uint8Array.from(joined, (byte) => byte.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
