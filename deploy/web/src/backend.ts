import type {Finish} from './finish';
import type {Style} from './style';

/** A picture, looked at and let in. */
export interface Job {
  id: number;
  file: File;
  film: boolean;
  /** Of the file, before it is turned upright; 0 for films. */
  width: number;
  height: number;
}

export interface Options extends Finish {
  style: string;
  faces: boolean;
  /** Longest side to draw at, in pixels, where the backend lets one choose. */
  side: number;
}

export interface Drawn {
  /** What the slider shows on its left; null for films. */
  before: Blob | null;
  after: Blob;
  seconds: number;
  /** What there is to know of this result, in words. */
  note: string;
}

/** What the network runs on: this browser, or the server that the page came from. */
export interface Backend {
  readonly where: 'browser' | 'server';
  readonly styles: Style[];
  readonly code: string | null;
  readonly version: string;
  readonly faces: boolean;
  /** Longest sides to choose from; none where pictures keep their size. */
  readonly sides: number[];
  readonly bytes: number;
  readonly filmBytes: number; // 0: no films
  readonly pixels: number;
  /** How many pictures are sent at once. */
  readonly atOnce: number;
  /** Where the work is done, in words. */
  readonly words: string;
  /** Fetches and tries what the style needs; told as it goes. */
  open(style: string, tell: (words: string) => void): Promise<void>;
  /** What will be done with a picture and how long it may take, in words. */
  plan(job: Job, options: Options): string;
  draw(job: Job, options: Options, signal: AbortSignal, tell: (words: string, part?: number) => void): Promise<Drawn>;
  forget(job: Job): void;
}

/** A failure whose message is for the visitor. */
export class Plain extends Error {}

export function duration(seconds: number): string {
  if (seconds < 1) return 'under a second';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
