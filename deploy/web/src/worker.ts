// Worker that runs the network on one picture at a time.
import {CompiledModel, loadAndCompile, loadLiteRt, Tensor, unloadLiteRt} from '@litertjs/core';
import {postprocess, type PostprocessOptions} from './postprocess';
import {fromNetwork, paddedSize, sizedModel, toNetwork, type LocalStyle} from './style';

export type Accelerator = 'webgpu' | 'wasm';

/** Messages from the page. */
export type Request =
  | {do: 'open'; style: LocalStyle; address: string; runtime: string}
  | {do: 'draw'; id: number; file: Blob; height: number; width: number; postprocess: PostprocessOptions}
  | {do: 'postprocess'; id: number; postprocess: PostprocessOptions}
  | {do: 'forget'; id: number};

/** Messages to the page. */
export type Answer =
  | {is: 'fetching'; done: number; total: number}
  | {is: 'open'; accelerator: Accelerator; threads: boolean; secondsPerPixel: number}
  | {is: 'drawn'; id: number; before: Blob; after: Blob; height: number; width: number; seconds: number}
  | {is: 'failed'; id: number | null; reason: string; memory: boolean};

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(answer: Answer): void;
  crossOriginIsolated: boolean;
};

/** Number of cached network outputs, for changes of the strength. */
const KEPT_PIXELS = 12e6;
const TRIAL = 128; // pixels a side, of the run that is timed
const SLOW = 10e-6; // seconds a pixel, from which on processor cores may be faster than graphics

let style: LocalStyle;
let base: Uint8Array;
let accelerator: Accelerator = 'wasm';
let broken: string | null = null;
let compiled: {model: CompiledModel; height: number; width: number} | null = null;
const kept = new Map<number, {photo: ImageData; anime: Uint8ClampedArray}>();

async function fetched(address: string, expected: number): Promise<Uint8Array> {
  const answer = await fetch(address);
  if (!answer.ok || !answer.body) throw new Error(`the style could not be fetched (${answer.status})`);
  const data = new Uint8Array(expected);
  let done = 0;
  for (const reader = answer.body.getReader(); ;) {
    const {value, done: end} = await reader.read();
    if (end) break;
    if (done + value.length > expected) throw new Error('the style is longer than styles.json says');
    data.set(value, done);
    done += value.length;
    scope.postMessage({is: 'fetching', done, total: expected});
  }
  if (done !== expected) throw new Error('the style was cut off on its way');
  return data;
}

async function open(request: Extract<Request, {do: 'open'}>): Promise<void> {
  const threads = scope.crossOriginIsolated;
  // Its files are next to the page, not to this worker's script.
  (self as unknown as {Module: object}).Module = {
    locateFile: (name: string) => request.runtime + name,
    // LiteRT.js reports exhausted memory only here, and then returns the old data.
    printErr: (line: string) => {
      if (/failed to (allocate|prepare|invoke|reshape)/i.test(line)) broken = line;
    },
    print: () => undefined,
    mainScriptUrlOrBlob: `${request.runtime}litert_wasm_threaded_internal.js`,
  };
  const runtime = loadLiteRt(request.runtime, threads ? {threads: true} : undefined)
    .catch((error: unknown) => {
      if (!threads) throw error;
      return loadLiteRt(request.runtime); // without relaxed SIMD there are no threads
    });
  [base] = await Promise.all([fetched(request.address, request.style.bytes), runtime]);
  style = request.style;
  const {gpu} = navigator as unknown as {gpu?: {requestAdapter(): Promise<{info?: {isFallbackAdapter?: boolean}} | null>}};
  const adapter = await gpu?.requestAdapter().catch(() => null);
  let secondsPerPixel = Infinity;
  // A software GPU is far slower than WebAssembly.
  if (adapter && !adapter.info?.isFallbackAdapter) {
    accelerator = 'webgpu';
    secondsPerPixel = await trial().catch(() => Infinity);
  }
  if (secondsPerPixel > SLOW) {
    accelerator = 'wasm';
    forgetModel();
    const onCores = await trial();
    if (onCores <= secondsPerPixel) {
      secondsPerPixel = onCores;
    } else {
      accelerator = 'webgpu';
      forgetModel();
    }
  }
  scope.postMessage({is: 'open', accelerator, threads, secondsPerPixel});
}

function forgetModel(): void {
  compiled?.model.delete(); // LiteRT.js frees nothing by itself
  compiled = null;
}

async function trial(): Promise<number> {
  const blank = new Uint8ClampedArray(TRIAL * TRIAL * 4).fill(128);
  await run(blank, TRIAL, TRIAL); // compiles, and warms up
  const begin = performance.now();
  await run(blank, TRIAL, TRIAL);
  return (performance.now() - begin) / 1000 / TRIAL ** 2;
}

async function run(rgba: Uint8ClampedArray, height: number, width: number): Promise<Uint8ClampedArray> {
  broken = null;
  const [h, w] = paddedSize(style, height, width);
  if (compiled?.height !== h || compiled.width !== w) {
    forgetModel();
    const model = await loadAndCompile(sizedModel(base, style, h, w), {accelerator});
    compiled = {model, height: h, width: w};
  }
  const input = new Tensor(toNetwork(rgba, height, width, h, w), [1, h, w, 3]);
  try {
    const [output] = await compiled.model.run(input);
    try {
      if (broken) throw new Error(`out of memory (${broken})`);
      return fromNetwork(await output!.data() as Float32Array, height, width, w);
    } finally {
      output!.delete();
    }
  } finally {
    input.delete();
  }
}

async function pixels(file: Blob, height: number, width: number): Promise<ImageData> {
  // Like anime-tf infer: upright, without color management.
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none',
  }).catch(() => {
    throw new Error('the picture is damaged, or of a kind that this browser does not read');
  });
  // The header has the size before EXIF orientation.
  const turned = bitmap.width > bitmap.height !== width > height;
  if (turned && bitmap.width !== bitmap.height) [height, width] = [width, height];
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true})!;
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

function encoded(picture: ImageData, options: ImageEncodeOptions): Promise<Blob> {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext('2d')!.putImageData(picture, 0, 0);
  return canvas.convertToBlob(options);
}

async function drawn(id: number, wanted: PostprocessOptions, seconds: number): Promise<void> {
  const {photo, anime} = kept.get(id)!;
  const {height, width} = photo;
  const after = await encoded(new ImageData(postprocess(photo.data, anime, height, width, wanted), width, height), {type: 'image/png'});
  const before = await encoded(photo, {type: 'image/jpeg', quality: 0.92});
  scope.postMessage({is: 'drawn', id, before, after, height, width, seconds});
}

async function draw(request: Extract<Request, {do: 'draw'}>): Promise<void> {
  const photo = await pixels(request.file, request.height, request.width);
  const begin = performance.now();
  const anime = await run(photo.data, photo.height, photo.width);
  const seconds = (performance.now() - begin) / 1000;
  kept.set(request.id, {photo, anime});
  await drawn(request.id, request.postprocess, seconds);
  let total = 0;
  for (const {photo: {height, width}} of kept.values()) total += height * width;
  for (const [id, {photo: {height, width}}] of kept) {
    if (total <= KEPT_PIXELS || id === request.id) break;
    kept.delete(id);
    total -= height * width;
  }
}

async function answer(request: Request): Promise<void> {
  if (request.do === 'open') return open(request);
  if (request.do === 'draw') return draw(request);
  if (request.do === 'forget') return void kept.delete(request.id);
  if (kept.has(request.id)) return drawn(request.id, request.postprocess, 0);
  throw new Error('no longer there');
}

let line = Promise.resolve();
scope.onmessage = ({data: request}) => {
  line = line.then(() => answer(request)).catch((error: unknown) => {
    const reason = String((error as Error)?.message ?? error);
    const memory = error instanceof RangeError || /memory|alloc|abort|oom/i.test(reason);
    if (memory) unload();
    scope.postMessage({is: 'failed', id: 'id' in request ? request.id : null, reason, memory});
  });
};

function unload(): void {
  compiled = null;
  try {
    unloadLiteRt();
  } catch {
    // The worker is broken; the page starts another one.
  }
}
