/** Format and size of a file by its first bytes, without decoding. */
export type Known =
  | {kind: 'picture'; format: string; width: number; height: number}
  | {kind: 'clip'; format: string}
  | {kind: 'text'}
  | {kind: 'empty'}
  | {kind: 'unknown'};

const HEAD = 1 << 18;

/** Detects the format by content, not by name. */
export async function look(file: Blob): Promise<Known> {
  if (file.size === 0) return {kind: 'empty'};
  const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  const view = new DataView(bytes.buffer);
  const word = (at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
  const picture = (format: string, width: number, height: number): Known =>
    width > 0 && height > 0 ? {kind: 'picture', format, width, height} : {kind: 'unknown'};
  try {
    if (word(0, 8) === '\x89PNG\r\n\x1a\n') return picture('PNG', view.getUint32(16), view.getUint32(20));
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return await jpeg(file);
    if (/^GIF8[79]a/.test(word(0, 6))) return picture('GIF', view.getUint16(6, true), view.getUint16(8, true));
    if (word(0, 4) === 'RIFF' && word(8, 4) === 'WEBP') return webp(view, word(12, 4), picture);
    if (word(0, 2) === 'BM' && view.getUint32(14, true) >= 40) {
      return picture('BMP', Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true)));
    }
    if (word(4, 4) === 'ftyp') {
      if (!/^(avi[fs]|hei[cxsm]|mif1|msf1|hev[cx])/.test(word(8, 4))) return {kind: 'clip', format: 'MP4'};
      const format = word(8, 3) === 'avi' ? 'AVIF' : 'HEIC';
      return largest(view, bytes, (width, height) => picture(format, width, height));
    }
    if (view.getUint32(0) === 0x1a45dfa3) return {kind: 'clip', format: 'Matroska'};
    if (word(0, 4) === 'RIFF' && word(8, 4) === 'AVI ') return {kind: 'clip', format: 'AVI'};
  } catch (error) {
    if (error instanceof RangeError) return {kind: 'unknown'}; // cut off within its header
    throw error;
  }
  return {kind: isText(bytes.subarray(0, 4096)) ? 'text' : 'unknown'};
}

/** Walks the segments of a JPEG to its size, which may follow a long profile. */
async function jpeg(file: Blob): Promise<Known> {
  for (let at = 2; at < file.size;) {
    const part = new DataView(await file.slice(at, at + 9).arrayBuffer());
    if (part.byteLength < 9 || part.getUint8(0) !== 0xff) break;
    const marker = part.getUint8(1);
    if (marker === 0xff) {
      at += 1; // padding
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const height = part.getUint16(5), width = part.getUint16(7);
      return height && width ? {kind: 'picture', format: 'JPEG', width, height} : {kind: 'unknown'};
    }
    at += 2 + part.getUint16(2);
  }
  return {kind: 'unknown'};
}

function webp(view: DataView, chunk: string, picture: (f: string, w: number, h: number) => Known): Known {
  const u24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (chunk === 'VP8X') return picture('WebP', u24(24) + 1, u24(27) + 1);
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true);
    return picture('WebP', (bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1);
  }
  if (chunk === 'VP8 ') {
    return picture('WebP', view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
  }
  return {kind: 'unknown'};
}

/** Largest size ("ispe") in an AVIF or HEIC file; others belong to thumbnails. */
function largest(view: DataView, bytes: Uint8Array, picture: (w: number, h: number) => Known): Known {
  let most: [number, number] = [0, 0];
  for (let i = 0; i + 16 <= bytes.length; i++) {
    if (bytes[i] === 0x69 && view.getUint32(i) === 0x69737065) {
      const width = view.getUint32(i + 8), height = view.getUint32(i + 12);
      if (width * height > most[0] * most[1]) most = [width, height];
    }
  }
  return picture(...most);
}

function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));
}
