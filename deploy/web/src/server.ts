import {Plain, type AvailableStyle, type Backend, type Drawn, type Job, type Options} from './backend';
import type {Style} from './style';

interface Told {
  styles: Style[];
  limits: {bytes: number; pixels: number; queue: number; clip_bytes?: number};
  faces: boolean;
  downloads?: boolean;
  code: string | null;
  version: string;
}

const TRIES = 6;
const ASK_SECONDS = 0.5;

/** Runs the network on the page's server. */
export class ServerBackend implements Backend {
  readonly where = 'server';
  readonly sides: number[] = [];
  readonly atOnce = 2;
  readonly words = 'On this page’s server. Photos are sent only there, and are not kept.';
  private readonly clips = new Map<number, string>();

  constructor(private readonly told: Told) {
    addEventListener('pagehide', () => {
      for (const id of this.clips.values()) void fetch(`api/clips/${id}`, {method: 'DELETE', keepalive: true});
    });
  }

  get styles() { return this.told.styles; }
  get code() { return this.told.code; }
  get version() { return this.told.version; }
  get faces() { return this.told.faces; }
  get downloads() { return this.told.downloads ?? false; }
  get bytes() { return this.told.limits.bytes; }
  get clipBytes() { return this.told.limits.clip_bytes ?? 0; }
  get pixels() { return this.told.limits.pixels; }

  async open(): Promise<void> {}

  thumbnail(style: string): string {
    return `api/styles/${encodeURIComponent(style)}/thumbnail`;
  }

  async available(): Promise<AvailableStyle[]> {
    const answer = await fetch('api/styles/available');
    return answer.ok ? answer.json() : [];
  }

  /** Downloads a style whose license the visitor has accepted. */
  async get(style: string): Promise<void> {
    const address = `api/styles/${encodeURIComponent(style)}`;
    const answer = await fetch(address, {method: 'POST', body: JSON.stringify({accept: true})});
    if (!answer.ok) throw new Plain((await answer.json()).error);
    this.told.styles = (await (await fetch('api/styles')).json()).styles;
  }

  plan(job: Job): string {
    return job.clip ? 'A video' : `${job.width} × ${job.height}`;
  }

  async draw(
    job: Job, options: Options, signal: AbortSignal, tell: (words: string, part?: number) => void,
  ): Promise<Drawn> {
    const begin = performance.now();
    const cut = options.faces === 'crop' && !job.clip; // faces of videos stay in their place
    const query = this.query(options, cut || options.faces === 'off' ? options.faces : 'blend');
    if (job.clip) return this.clip(job, query, signal, tell);
    query.set('format', 'png');
    tell(this.plan(job));
    const answer = await this.post(`api/pictures?${query}`, job.file, signal, tell);
    const after = await answer.blob();
    return {before: cut ? null : job.file, after, seconds: (performance.now() - begin) / 1000, note: this.plan(job)};
  }

  private async clip(
    job: Job, query: URLSearchParams, signal: AbortSignal, tell: (words: string, part?: number) => void,
  ): Promise<Drawn> {
    const begin = performance.now();
    this.end(job);
    tell('Sending the video');
    const {id} = await (await this.post(`api/clips?${query}`, job.file, signal, tell)).json() as {id: string};
    this.clips.set(job.id, id);
    try {
      for (;;) {
        const answer = await asked(`api/clips/${id}`, {signal});
        const {state, done, total, error} = await answer.json();
        if (state === 'failed') throw new Plain(error ?? 'The video could not be stylized.');
        if (state === 'done') break;
        if (state === 'waiting') tell('Waiting');
        else tell(total ? `${done} of ${total} frames` : `${done} frames`, total ? done / total : undefined);
        await pause(ASK_SECONDS, signal);
      }
      const after = await (await asked(`api/clips/${id}/file`, {signal})).blob();
      return {before: null, after, seconds: (performance.now() - begin) / 1000, note: 'A video'};
    } finally {
      this.end(job);
    }
  }

  async live(): Promise<Record<string, number>> {
    const answer = await fetch('api/live');
    return answer.ok ? (await answer.json()).frames_per_second : {};
  }

  async frame(frame: Blob, _width: number, _height: number, options: Options, signal: AbortSignal): Promise<Blob> {
    const query = this.query(options, 'off'); // whatever the style recommends
    query.set('format', 'jpeg');
    return (await this.post(`api/pictures?${query}`, frame, signal, () => undefined)).blob();
  }

  private query({style, strength, keep}: Options, faces: string): URLSearchParams {
    const query = new URLSearchParams({style, strength: String(strength), keep_color: keep ? '1' : '0'});
    if (this.faces) query.set('faces', faces);
    return query;
  }

  /** Posts a file; retries while the server is busy. */
  private async post(
    address: string, body: Blob, signal: AbortSignal, tell: (words: string) => void,
  ): Promise<Response> {
    for (let tries = 1; ; tries++) {
      try {
        return await asked(address, {method: 'POST', body, signal});
      } catch (error) {
        if (!(error instanceof Busy) || tries === TRIES) throw error;
        tell('The server is busy: retrying in a moment');
        await pause(error.seconds, signal);
      }
    }
  }

  private end(job: Job): void {
    const id = this.clips.get(job.id);
    this.clips.delete(job.id);
    if (id) void fetch(`api/clips/${id}`, {method: 'DELETE'}).catch(() => undefined);
  }

  forget(job: Job): void {
    this.end(job);
  }
}

class Busy extends Plain {
  constructor(message: string, readonly seconds: number) {
    super(message);
  }
}

async function asked(address: string, request: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address, request);
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Plain('The server does not answer. Is it still running?');
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({})) as {error?: string};
  const words = told.error ?? `The server refused it (${answer.status}).`;
  if (answer.status === 429) throw new Busy(words, Number(answer.headers.get('Retry-After')) || 2);
  throw new Plain(words);
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, {once: true});
  });
}

/** Returns the server's answer to `GET api/styles`, or null without a server. */
export async function openServer(): Promise<Backend | null> {
  try {
    const answer = await fetch('api/styles');
    if (!answer.ok || !answer.headers.get('content-type')?.startsWith('application/json')) return null;
    return new ServerBackend(await answer.json());
  } catch {
    return null; // a page from a plain host
  }
}
