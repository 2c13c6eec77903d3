import type {PostprocessOptions} from './postprocess';
import type {Style} from './style';

/** An accepted picture. */
export interface Job {
  id: number;
  file: File;
  clip: boolean;
  /** Size in the file, before EXIF orientation; 0 for videos. */
  width: number;
  height: number;
}

export interface Options extends PostprocessOptions {
  style: string;
  faces: string; // "off", "blend" or "crop"
  /** Longest side in pixels, if the backend offers a choice. */
  side: number;
}

export interface Drawn {
  /** Left side of the slider; null for videos and faces that are cut out. */
  before: Blob | null;
  after: Blob;
  seconds: number;
  /** Note on this result. */
  note: string;
}

/** Style that the page's server can download. */
export interface AvailableStyle {
  name: string;
  title: string;
  bytes: number | null;
  license: {name: string; text: string; url: string; noncommercial: boolean};
}

/** Runs the network: in this browser, or on the page's server. */
export interface Backend {
  readonly where: 'browser' | 'server';
  readonly styles: Style[];
  readonly code: string | null;
  readonly version: string;
  readonly faces: boolean;
  /** Longest sides to choose from; empty if pictures keep their size. */
  readonly sides: number[];
  readonly bytes: number;
  readonly clipBytes: number; // 0: no videos
  readonly pixels: number;
  /** Number of pictures sent at once. */
  readonly atOnce: number;
  /** Description of where the network runs. */
  readonly words: string;
  /** Loads and tests a style; reports progress. */
  open(style: string, tell: (words: string) => void): Promise<void>;
  /** Describes the work for a picture and its expected time. */
  plan(job: Job, options: Options): string;
  draw(job: Job, options: Options, signal: AbortSignal, tell: (words: string, part?: number) => void): Promise<Drawn>;
  forget(job: Job): void;
  /** Style -> frames of 640 × 360 pixels a second, measured once; not all styles need be measured. */
  live(chosen: string): Promise<Record<string, number>>;
  /** Draws one frame of the camera at its own size. */
  frame(frame: Blob, width: number, height: number, options: Options, signal: AbortSignal): Promise<Blob>;
  /** Address of an example of a style; only with a server, as the following. */
  thumbnail?(style: string): string;
  readonly downloads?: boolean;
  available?(): Promise<AvailableStyle[]>;
  get?(style: string): Promise<void>;
}

/** Failure with a message for the visitor. */
export class Plain extends Error {}

export function duration(seconds: number): string {
  if (seconds < 1) return 'under a second';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

export function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
