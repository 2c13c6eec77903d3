/** Draws the camera live: one frame at a time is drawn, and the others are dropped. */

const FPS = 12; // to reach by a smaller size
const SHOWN_SECONDS = 1; // between two updates of the shown rate
const JUDGED = 6; // frames by which a size is judged
const STEP = 32; // of sizes, in pixels
const SMALLEST = 160;

/** The longest side at which frames take no longer than 1 / FPS; time is proportional to pixels. */
export class AdaptiveSide {
  private times: number[] = [];
  private first = true; // the first frame of a size prepares the network for it

  constructor(public side: number, private readonly most: number) {
    this.side = this.snap(side);
  }

  private snap(side: number): number {
    return Math.max(SMALLEST, Math.min(this.most, STEP * Math.floor(side / STEP)));
  }

  /** Adds the seconds of a frame of the present size. */
  add(seconds: number): void {
    if (!this.first) this.times.push(seconds);
    this.first = false;
    const hurry = this.times.length > 0 && seconds > 2 / FPS; // far too slow: do not wait for more
    if (this.times.length < JUDGED && !hurry) return;
    const median = this.times.sort((a, b) => a - b)[this.times.length >> 1]!;
    this.times = [];
    const reached = this.snap(this.side * Math.sqrt(1 / (FPS * median)));
    // Grows only with a margin, and in small steps, so that it does not swing.
    const side = reached < this.side ? reached : reached > 1.2 * this.side ? this.snap(this.side * 1.2) : this.side;
    if (side === this.side) return;
    this.side = side;
    this.first = true;
  }
}

export interface LiveView {
  video: HTMLVideoElement;
  canvas: HTMLCanvasElement;
  /** Frames a second by the measurement at 640 × 360, for the first size. */
  rate: number;
  draw(frame: Blob, width: number, height: number): Promise<Blob>;
  tell(rate: number, width: number, height: number): void;
}

/** Draws until the signal; the newest frame of the video is taken when the last one is shown. */
export async function runLive({video, canvas, rate, draw, tell}: LiveView, signal: AbortSignal): Promise<void> {
  const sent = document.createElement('canvas');
  const full = Math.max(video.videoWidth, video.videoHeight);
  const adaptive = new AdaptiveSide(640 * Math.sqrt(rate / FPS), full);
  let [shown, since] = [0, performance.now()];
  while (!signal.aborted) {
    const begin = performance.now();
    const scale = adaptive.side / full;
    sent.width = Math.round(video.videoWidth * scale);
    sent.height = Math.round(video.videoHeight * scale);
    sent.getContext('2d')!.drawImage(video, 0, 0, sent.width, sent.height);
    const frame = await new Promise<Blob | null>((resolve) => sent.toBlob(resolve, 'image/jpeg', 0.9));
    if (!frame || signal.aborted) break;
    const anime = await createImageBitmap(await draw(frame, sent.width, sent.height));
    if (!signal.aborted) {
      canvas.width = anime.width;
      canvas.height = anime.height;
      canvas.getContext('2d')!.drawImage(anime, 0, 0);
    }
    anime.close();
    const now = performance.now();
    adaptive.add((now - begin) / 1000);
    shown++;
    if (now - since >= 1000 * SHOWN_SECONDS) {
      tell((1000 * shown) / (now - since), sent.width, sent.height);
      [shown, since] = [0, now];
    }
    // Gives the page its turn, and sleeps while it is hidden.
    await new Promise(requestAnimationFrame);
  }
}
