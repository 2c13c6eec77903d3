// Postprocessing as in anime_tf/inference/postprocess.py, which gives the reasons.

export interface PostprocessOptions {
  /** From 0 (the photo) to 1 (the network's output). */
  strength: number;
  /** Whether to combine the photo's chroma with the output's luma. */
  keep: boolean;
}

const WINDOW = 9; // pixels a side, at half the size
const VARIANCE = (10 / 255) ** 2;
const HASTE = 3;

/** Combines photo (RGBA) and network output (RGB) to RGBA. */
export function postprocess(
  photo: Uint8ClampedArray, anime: Uint8ClampedArray, height: number, width: number, {strength, keep}: PostprocessOptions,
): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(photo.length);
  if (strength === 0) {
    out.set(photo);
    return out;
  }
  const pixels = height * width;
  const before = [0, 1, 2].map((channel) => plane(photo, channel, 4, pixels));
  let after = [0, 1, 2].map((channel) => plane(anime, channel, 3, pixels));
  if (keep) after = withColorOf(before, after);
  if (strength < 1) after = after.map((drawn, channel) => blend(before[channel]!, drawn, height, width, strength));
  for (let i = 0, o = 0; i < pixels; i++, o += 4) {
    // The array's type clamps, and rounds half to even.
    for (let channel = 0; channel < 3; channel++) out[o + channel] = after[channel]![i]! * 255;
    out[o + 3] = photo[o + 3]!;
  }
  return out;
}

/** Converts a channel to 0..1. */
function plane(picture: Uint8ClampedArray, channel: number, channels: number, pixels: number): Float32Array {
  const out = new Float32Array(pixels);
  for (let i = 0, at = channel; i < pixels; i++, at += channels) out[i] = picture[at]! / 255;
  return out;
}

const luma = (r: number, g: number, b: number) => 0.299 * r + 0.587 * g + 0.114 * b;

/** Combines the output's luma with the photo's chroma, reduced to stay in range. */
function withColorOf(photo: Float32Array[], anime: Float32Array[]): Float32Array[] {
  const [pr, pg, pb] = photo as [Float32Array, Float32Array, Float32Array];
  const [ar, ag, ab] = anime as [Float32Array, Float32Array, Float32Array];
  const out = anime.map(({length}) => new Float32Array(length));
  for (let i = 0; i < pr.length; i++) {
    const y = luma(ar[i]!, ag[i]!, ab[i]!);
    const of = luma(pr[i]!, pg[i]!, pb[i]!);
    const chroma = [pr[i]! - of, pg[i]! - of, pb[i]! - of] as const;
    const high = Math.max(...chroma, 1e-6);
    const low = Math.max(-Math.min(...chroma), 1e-6);
    const share = Math.min(1, Math.max(0, Math.min((1 - y) / high, y / low)));
    for (let channel = 0; channel < 3; channel++) out[channel]![i] = y + chroma[channel]! * share;
  }
  return out;
}

/** Blends towards the photo but keeps the output's lines, by a guided filter at half the size. */
function blend(
  photo: Float32Array, anime: Float32Array, height: number, width: number, strength: number,
): Float32Array {
  const h = Math.ceil(height / 2), w = Math.ceil(width / 2);
  const guide = halved(anime, height, width, h, w);
  const difference = halved(photo, height, width, h, w).map((value, i) => value - guide[i]!);
  const box = (values: Float32Array) => boxed(values, h, w);
  const meanGuide = box(guide), meanDifference = box(difference);
  const squares = box(guide.map((value) => value * value));
  const products = box(guide.map((value, i) => value * difference[i]!));
  const weight = (1 - strength) ** HASTE;
  const share = 1 - strength - weight;
  const a = products.map((value, i) =>
    (value - meanGuide[i]! * meanDifference[i]!) / (squares[i]! - meanGuide[i]! ** 2 + VARIANCE));
  const b = meanDifference.map((value, i) => value - a[i]! * meanGuide[i]!);
  const slope = box(a), offset = box(b);
  const out = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = between(y, h);
    for (let x = 0; x < width; x++) {
      const [left, right, along] = between(x, w);
      const at = (values: Float32Array) =>
        (values[top * w + left]! * (1 - along) + values[top * w + right]! * along) * (1 - down)
        + (values[bottom * w + left]! * (1 - along) + values[bottom * w + right]! * along) * down;
      const i = y * width + x;
      out[i] = (at(slope) * share + 1 - weight) * anime[i]! + at(offset) * share + weight * photo[i]!;
    }
  }
  return out;
}

/** Means of 2 x 2 pixels; repeats the last pixel of an odd side. */
function halved(values: Float32Array, height: number, width: number, h: number, w: number): Float32Array {
  const out = new Float32Array(h * w);
  for (let y = 0; y < h; y++) {
    const top = 2 * y * width, bottom = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < w; x++) {
      const left = 2 * x, right = Math.min(left + 1, width - 1);
      out[y * w + x] = (values[top + left]! + values[top + right]! + values[bottom + left]! + values[bottom + right]!) / 4;
    }
  }
  return out;
}

/** Source indices and weight for upsampling by 2. */
function between(i: number, length: number): [number, number, number] {
  const low = (i - 1) >> 1;
  return [Math.max(low, 0), Math.min(low + 1, length - 1), i % 2 ? 0.25 : 0.75];
}

/** Box filter with symmetric borders. */
function boxed(values: Float32Array, height: number, width: number): Float32Array {
  const out = new Float32Array(values.length);
  const rows = new Float32Array(values.length);
  for (let y = 0; y < height; y++) slide(values, rows, y * width, 1, width);
  for (let x = 0; x < width; x++) slide(rows, out, x, width, height);
  return out;
}

function slide(from: Float32Array, to: Float32Array, start: number, step: number, length: number): void {
  const reach = WINDOW >> 1;
  const at = (i: number) => {
    const turned = ((i % (2 * length)) + 2 * length) % (2 * length);
    return from[start + step * Math.min(turned, 2 * length - 1 - turned)]!;
  };
  let sum = 0; // a double: what is added leaves it again without a trace
  for (let i = -reach; i <= reach; i++) sum += at(i);
  for (let i = 0; i < length; i++) {
    to[start + step * i] = sum / WINDOW;
    sum += at(i + reach + 1) - at(i - reach);
  }
}
