const TABLE = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const UTF8_NAMES = 0x0800;
const DATE = 0x21; // 1 January 1980, the first that there is: results carry no time

/** ZIP archive without compression; less than 4 GB and 65,535 files. */
export async function zip(files: Map<string, Blob>): Promise<Blob> {
  const parts: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let at = 0, directoryBytes = 0;
  for (const [name, file] of files) {
    const data = new Uint8Array(await file.arrayBuffer());
    const encoded = new TextEncoder().encode(name);
    // Version, flags, method, time, date, checksum, sizes, lengths of name and extra field.
    const common = new DataView(new ArrayBuffer(26));
    [[0, 20], [2, UTF8_NAMES], [8, DATE]].forEach(([i, value]) => common.setUint16(i!, value!, true));
    common.setUint32(10, crc32(data), true);
    common.setUint32(14, data.length, true);
    common.setUint32(18, data.length, true);
    common.setUint16(22, encoded.length, true);
    const entry = new DataView(new ArrayBuffer(14));
    entry.setUint32(10, at, true);
    parts.push('PK\x03\x04', common.buffer, encoded, file);
    directory.push('PK\x01\x02', Uint8Array.of(20, 0), common.buffer, entry.buffer, encoded);
    at += 30 + encoded.length + data.length;
    directoryBytes += 46 + encoded.length;
  }
  const end = new DataView(new ArrayBuffer(18));
  end.setUint16(4, files.size, true);
  end.setUint16(6, files.size, true);
  end.setUint32(8, directoryBytes, true);
  end.setUint32(12, at, true);
  return new Blob([...parts, ...directory, 'PK\x05\x06', end.buffer], {type: 'application/zip'});
}
