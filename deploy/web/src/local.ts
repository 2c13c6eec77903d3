import {duration, Plain, size, type Backend, type Drawn, type Job, type Options} from './backend';
import type {LocalStyle} from './style';
import type {Accelerator, Answer, Request} from './worker';

/** Limit of a browser's memory: about 650 bytes per pixel, and 2 GB for WebAssembly. */
const MOST_PIXELS: Record<Accelerator, number> = {wasm: 1.0e6, webgpu: 2.0e6};
const SMALL_MEMORY_PIXELS = 0.5e6; // a device of 2 GB or less
const LIVE_PIXELS = 640 * 360;
const FRAME = -1; // id of the camera's frame among the pictures
const RUNTIME_BYTES = 2.9e6; // as hosts compress it

interface Waiting {
  resolve(answer: Extract<Answer, {is: 'drawn'}>): void;
  reject(error: Error): void;
}

/** Runs the network in a worker of this browser. */
export class LocalBackend implements Backend {
  readonly where = 'browser';
  readonly faces = false;
  readonly sides = [512, 768, 1024, 1536];
  readonly bytes = 100e6;
  readonly clipBytes = 0;
  readonly pixels = 100e6;
  readonly atOnce = 1;
  private worker: Worker | null = null;
  private opened: Promise<void> | null = null;
  private openedStyle = '';
  private tell: (words: string) => void = () => undefined;
  private accelerator: Accelerator = 'wasm';
  private threads = false;
  private secondsPerPixel = 0;
  private onOpen: {resolve(): void; reject(error: Error): void} | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private readonly drawnAs = new Map<number, string>();

  constructor(
    readonly styles: LocalStyle[], readonly code: string | null, readonly version: string,
  ) {}

  get words(): string {
    if (!this.secondsPerPixel) {
      const bytes = Math.max(...this.styles.map((style) => style.bytes)) + RUNTIME_BYTES;
      return `In this browser: the first photo fetches ${size(bytes)}, once. Photos do not leave this device.`;
    }
    const by = this.accelerator === 'webgpu' ? 'on its graphics processor'
      : this.threads ? 'on several cores' : 'on one core';
    const perMegapixel = duration(this.secondsPerPixel * 1e6);
    return `In this browser, ${by}: about ${perMegapixel} per megapixel. Photos do not leave this device.`;
  }

  open(name: string, tell: (words: string) => void): Promise<void> {
    this.tell = tell;
    if (this.opened && this.openedStyle === name) return this.opened;
    this.close(new Plain('Another style was chosen.'));
    const style = this.styles.find((one) => one.name === name)!;
    const here = new URL('./', document.baseURI).href;
    this.openedStyle = name;
    tell(`Fetching the style and its runtime, about ${size(style.bytes + RUNTIME_BYTES)}, once`);
    this.worker = new Worker(new URL('./worker.ts', import.meta.url));
    this.worker.onmessage = ({data}: MessageEvent<Answer>) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.close(new Plain('Stylization stopped: this browser ran out of memory, or is too old.'));
    };
    this.opened = new Promise<void>((resolve, reject) => {
      this.onOpen = {resolve, reject};
    });
    this.opened.catch(() => undefined);
    this.say({do: 'open', style, address: `${here}models/${style.file}`, runtime: `${here}runtime/`});
    return this.opened;
  }

  private say(request: Request): void {
    this.worker?.postMessage(request);
  }

  private hear(answer: Answer): void {
    if (answer.is === 'fetching') {
      this.tell(`Fetching the style, ${Math.round((100 * answer.done) / answer.total)} %`);
    } else if (answer.is === 'open') {
      this.accelerator = answer.accelerator;
      this.threads = answer.threads;
      this.secondsPerPixel = answer.secondsPerPixel;
      this.onOpen?.resolve();
    } else if (answer.is === 'drawn') {
      if (answer.seconds) this.secondsPerPixel = answer.seconds / (answer.height * answer.width);
      this.waiting.get(answer.id)?.resolve(answer);
      this.waiting.delete(answer.id);
    } else if (answer.id === null) {
      this.close(new Plain(`The style could not be opened here: ${answer.reason}.`));
    } else {
      const error = answer.memory ? new OutOfMemory() : new Plain(`It could not be stylized: ${answer.reason}.`);
      this.waiting.get(answer.id)?.reject(error);
      this.waiting.delete(answer.id);
      if (answer.memory) this.close(error);
    }
  }

  /** Terminates the worker, the only way to free its memory. */
  private close(error: Error): void {
    this.worker?.terminate();
    this.worker = null;
    this.opened = null;
    this.onOpen?.reject(error);
    this.onOpen = null;
    for (const {reject} of this.waiting.values()) reject(error);
    this.waiting.clear();
    this.drawnAs.clear();
  }

  private get most(): number {
    const memory = (navigator as {deviceMemory?: number}).deviceMemory ?? 4;
    return memory <= 2 ? SMALL_MEMORY_PIXELS : MOST_PIXELS[this.accelerator];
  }

  /** Height and width of the result; never enlarges. */
  private sizeOf(job: Job, options: Options, most = this.most): [number, number] {
    const byMemory = Math.sqrt(most / (job.width * job.height));
    const scale = Math.min(1, options.side / Math.max(job.width, job.height), byMemory);
    const side = (length: number) => Math.max(1, Math.round(length * scale));
    return [side(job.height), side(job.width)];
  }

  plan(job: Job, options: Options): string {
    return this.planned(job, ...this.sizeOf(job, options));
  }

  private planned(job: Job, height: number, width: number): string {
    const reduced = width < job.width ? `${job.width} × ${job.height}, drawn at ` : '';
    const time = this.secondsPerPixel
      ? `, about ${duration(this.secondsPerPixel * height * width)}` : '';
    return `${reduced}${width} × ${height}${time}`;
  }

  async draw(job: Job, options: Options, signal: AbortSignal, tell: (words: string) => void): Promise<Drawn> {
    let most = this.most;
    let note = '';
    for (let tries = 0; ; tries++) {
      await this.open(options.style, tell);
      signal.throwIfAborted();
      if (!tries) most = this.most;
      const [height, width] = this.sizeOf(job, options, most);
      tell(this.planned(job, height, width));
      try {
        const answer = await this.ask(job, height, width, options);
        const turned = answer.width > answer.height !== job.width > job.height;
        const [from, by] = turned ? [job.height, job.width] : [job.width, job.height];
        const reduced = answer.width < from
          ? `Reduced from ${from} × ${by} to ${answer.width} × ${answer.height}` : '';
        return {
          before: answer.before, after: answer.after, seconds: answer.seconds,
          note: [reduced || `${answer.width} × ${answer.height}`, note].filter(Boolean).join('; '),
        };
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof OutOfMemory) || tries === 2) throw error;
        most = Math.min(most, height * width) / 2;
        note = 'smaller than planned, for this browser ran out of memory';
        tell('Out of memory: retrying at a smaller size');
      }
    }
  }

  private ask(
    job: Job, height: number, width: number, {strength, keep, style}: Options,
  ): Promise<Extract<Answer, {is: 'drawn'}>> {
    const as = `${style} ${height} ${width}`;
    const answer = new Promise<Extract<Answer, {is: 'drawn'}>>((resolve, reject) => {
      this.waiting.set(job.id, {resolve, reject});
    });
    if (this.drawnAs.get(job.id) === as) {
      this.say({do: 'postprocess', id: job.id, postprocess: {strength, keep}});
      return answer.catch((error: Error) => {
        this.drawnAs.delete(job.id);
        if (!/no longer/.test(error.message)) throw error;
        return this.ask(job, height, width, {strength, keep, style} as Options);
      });
    }
    this.say({do: 'draw', id: job.id, file: job.file, height, width, postprocess: {strength, keep}});
    return answer.then((drawn) => {
      this.drawnAs.set(job.id, as);
      return drawn;
    });
  }

  /** Measures one style alone, since each is fetched and compiled for that. */
  async live(chosen: string): Promise<Record<string, number>> {
    const style = this.styles.find(({name}) => name.endsWith('_live'))?.name ?? chosen;
    await this.open(style, () => undefined);
    return {[style]: 1 / (this.secondsPerPixel * LIVE_PIXELS)};
  }

  async frame(frame: Blob, width: number, height: number, options: Options, signal: AbortSignal): Promise<Blob> {
    const job: Job = {id: FRAME, file: new File([frame], 'frame.jpg', {type: frame.type}), clip: false, width, height};
    try {
      return (await this.draw(job, {...options, side: Infinity}, signal, () => undefined)).after;
    } finally {
      this.forget(job);
    }
  }

  forget(job: Job): void {
    this.waiting.get(job.id)?.reject(new DOMException('removed', 'AbortError'));
    this.waiting.delete(job.id);
    this.drawnAs.delete(job.id);
    this.say({do: 'forget', id: job.id});
  }
}

class OutOfMemory extends Plain {
  constructor() {
    super('This browser ran out of memory. Choose a smaller size, or close other tabs.');
  }
}

/** Loads the list of styles of a static site. */
export async function openLocal(): Promise<Backend> {
  const answer = await fetch('models/styles.json');
  if (!answer.ok) throw new Plain('This page was published without a style: see docs/web.md.');
  const {styles, code, version} = await answer.json();
  return new LocalBackend(styles, code, version);
}
