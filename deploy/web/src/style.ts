/** Entry of a style in styles.json and `GET api/styles`. */
export interface Style {
  name: string;
  title: string;
  license: string;
  license_url?: string | null;
  default: boolean;
  /** Recommended settings; the server applies those that the page does not send. */
  settings?: {strength?: number; faces?: string};
}

/** Style for the browser: a TFLite model and the positions of the picture's size in it. */
export interface LocalStyle extends Style {
  file: string;
  bytes: number;
  base_hw: [number, number];
  stride: number;
  minimum: number;
  /** [offset in bytes, 0 for height or 1 for width, value at base_hw, growth per stride]. */
  edits: [number, 0 | 1, number, number][];
}

/** Padded height and width: multiples of the network's stride. */
export function paddedSize(style: LocalStyle, height: number, width: number): [number, number] {
  const up = (side: number) => Math.ceil(Math.max(side, style.minimum) / style.stride) * style.stride;
  return [up(height), up(width)];
}

/** Returns the model for another size, as of `paddedSize`. */
export function sizedModel(base: Uint8Array, style: LocalStyle, height: number, width: number): Uint8Array {
  const model = base.slice();
  const words = new DataView(model.buffer);
  const size = [height, width] as const;
  for (const [offset, axis, value, growth] of style.edits) {
    if (words.getInt32(offset, true) !== value) throw new Error('the model and styles.json are not of one build');
    words.setInt32(offset, value + (growth * (size[axis] - style.base_hw[axis])) / style.stride, true);
  }
  return model;
}

/** Source index of each pixel of a reflected side: 0 1 2 1 0 1 ... */
function reflected(side: number, padded: number): Uint32Array {
  const period = Math.max(2 * (side - 1), 1);
  return Uint32Array.from({length: padded}, (_, i) => Math.min(i % period, period - (i % period)));
}

/** Converts RGBA pixels to RGB in [-1, 1], reflected at the lower and right edge. */
export function toNetwork(
  rgba: Uint8ClampedArray, height: number, width: number, paddedHeight: number, paddedWidth: number,
): Float32Array<ArrayBuffer> {
  const rows = reflected(height, paddedHeight);
  const columns = reflected(width, paddedWidth);
  const out = new Float32Array(paddedHeight * paddedWidth * 3);
  let o = 0;
  for (const y of rows) {
    for (const x of columns) {
      const i = 4 * (y * width + x);
      out[o++] = rgba[i]! / 127.5 - 1;
      out[o++] = rgba[i + 1]! / 127.5 - 1;
      out[o++] = rgba[i + 2]! / 127.5 - 1;
    }
  }
  return out;
}

/** Converts the network's output to RGB pixels, cropped to the picture. */
export function fromNetwork(
  anime: ArrayLike<number>, height: number, width: number, paddedWidth: number,
): Uint8ClampedArray {
  const out = new Uint8ClampedArray(height * width * 3);
  let o = 0;
  for (let y = 0; y < height; y++) {
    let i = y * paddedWidth * 3;
    // The array's type clamps, and rounds half to even like NumPy.
    for (let n = 0; n < width * 3; n++) out[o++] = (anime[i++]! + 1) * 127.5;
  }
  return out;
}
