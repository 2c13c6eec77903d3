// The page: turns files into cards; a `Backend` stylizes them.
import {Plain, size, type Backend, type Job, type Options} from './backend';
import {compare} from './compare';
import {look} from './header';
import {runLive} from './live';
import {openLocal} from './local';
import heroAfter from './pictures/hero-anime.jpg';
import heroBefore from './pictures/hero-photo.jpg';
import {openServer} from './server';
import {zip} from './zip';

function at<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const strength = at<HTMLInputElement>('strength');
const keep = at<HTMLInputElement>('keep');
const faces = at<HTMLSelectElement>('faces');
const style = at<HTMLSelectElement>('style');
const side = at<HTMLSelectElement>('side');
const format = at<HTMLSelectElement>('format');
const zipButton = at<HTMLButtonElement>('zip');

type State = 'waiting' | 'working' | 'done' | 'failed';

/** A picture on the page. */
class Card {
  readonly element = document.createElement('li');
  private readonly view = document.createElement('div');
  private readonly words = document.createElement('p');
  private readonly save = button('Save', 'icon-save');
  private readonly addresses: string[] = [];
  private cut = 50;
  readonly stop = new AbortController();
  state: State = 'waiting';
  job: Job | null = null;
  after: Blob | null = null;
  /** Options of its result, to detect changes. */
  as = '';

  constructor(readonly name: string) {
    this.element.className = 'card';
    this.element.setAttribute('aria-label', name);
    this.view.className = 'view';
    const foot = document.createElement('div');
    foot.className = 'foot';
    const said = document.createElement('div');
    said.className = 'said';
    const title = document.createElement('p');
    title.className = 'name';
    title.textContent = name;
    title.title = name;
    this.words.className = 'words';
    said.append(title, this.words);
    this.save.classList.add('small', 'save');
    this.save.setAttribute('aria-label', `Save ${name}`);
    this.save.hidden = true;
    this.save.onclick = () => void this.download();
    const remove = button('', 'icon-close');
    remove.classList.add('small', 'remove');
    remove.setAttribute('aria-label', `Remove ${name}`);
    remove.onclick = () => drop(this);
    foot.append(said, this.save, remove);
    this.element.append(this.view, foot);
    this.set('waiting', 'Waiting');
  }

  set(state: State, words: string, part?: number): void {
    this.state = state;
    this.element.dataset['state'] = state;
    this.words.textContent = words;
    this.save.hidden = !this.after;
    let bar = this.view.querySelector('progress');
    if (state === 'working') {
      if (!bar) {
        bar = document.createElement('progress');
        bar.className = 'bar';
        bar.setAttribute('aria-label', `Progress of ${this.name}`);
        this.view.append(bar);
      }
      if (part === undefined) bar.removeAttribute('value');
      else bar.value = part;
    } else {
      bar?.remove();
    }
    refresh();
  }

  preview(): void {
    if (!this.job || this.job.clip) return;
    const image = new Image();
    image.className = 'preview';
    image.alt = '';
    image.decoding = 'async';
    image.src = this.address(this.job.file);
    this.view.replaceChildren(image);
  }

  show(before: Blob | null, after: Blob, words: string): void {
    const old = this.addresses.splice(0);
    this.after = after;
    const shown = this.view.querySelector('[role=slider]');
    if (shown) this.cut = Number(shown.getAttribute('aria-valuenow'));
    const focused = shown !== null && shown === document.activeElement;
    if (before) {
      const element = compare(this.address(before), this.address(after), this.name, this.cut);
      this.view.replaceChildren(element);
      if (focused) element.querySelector<HTMLElement>('[role=slider]')!.focus({preventScroll: true});
    } else if (this.job!.clip) {
      const video = document.createElement('video');
      video.controls = video.loop = video.muted = video.playsInline = true;
      video.src = this.address(after);
      video.setAttribute('aria-label', `${this.name}, drawn`);
      this.view.replaceChildren(video);
    } else {
      const image = new Image();
      image.className = 'drawn';
      image.alt = `${this.name}, drawn`;
      image.src = this.address(after);
      this.view.replaceChildren(image);
    }
    old.forEach((address) => URL.revokeObjectURL(address));
    this.set('done', words);
  }

  fail(problem: string): void {
    this.after = null;
    const words = document.createElement('p');
    words.className = 'problem';
    words.textContent = problem;
    this.view.replaceChildren(words);
    this.set('failed', 'Not drawn');
    announce(problem);
  }

  /** Name and content of the saved file. */
  async result(): Promise<[string, Blob]> {
    const stem = this.name.replace(/\.[^.]*$/, '') || 'picture';
    if (this.job!.clip) return [`${stem}_anime.mp4`, this.after!];
    if (format.value === 'jpeg') return [`${stem}_anime.jpg`, await jpeg(this.after!)];
    return [`${stem}_anime.png`, this.after!];
  }

  private async download(): Promise<void> {
    const [name, blob] = await this.result();
    hand(blob, name);
  }

  private address(blob: Blob): string {
    const address = URL.createObjectURL(blob);
    this.addresses.push(address);
    return address;
  }

  close(): void {
    this.stop.abort();
    this.addresses.forEach((address) => URL.revokeObjectURL(address));
    this.element.remove();
  }
}

function button(text: string, icon: string): HTMLButtonElement {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = 'button';
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#${icon}`);
  svg.append(use);
  element.append(svg, text);
  return element;
}

/** Puts white below transparent pixels, because JPEG has no alpha. */
async function jpeg(picture: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(picture);
  const canvas = document.createElement('canvas');
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext('2d')!;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no JPEG'))), 'image/jpeg', 0.95);
  });
}

function hand(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function announce(words: string): void {
  at('status').textContent = words;
}

// --- queue ---------------------------------------------------------------------------------------

const cards = new Set<Card>();
let backend: Backend;
let working = 0;
let count = 0;

function options(): Options {
  return {
    style: style.value, side: Number(side.value) || Infinity,
    strength: Number(strength.value) / 100, keep: keep.checked, faces: faces.value,
  };
}

function drop(card: Card): void {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  cards.delete(card);
  card.close();
  if (card.job) backend.forget(card.job);
  (next?.querySelector<HTMLElement>('.remove') ?? at('pick')).focus({preventScroll: true});
  announce(`${card.name} was removed`);
  refresh();
}

function refresh(): void {
  at('work').hidden = cards.size === 0;
  at('facts').hidden = cards.size > 0;
  zipButton.disabled = ![...cards].some((card) => card.after);
}

/** Returns the reason for rejecting a file, or null. */
async function refusal(file: File, card: Card): Promise<string | null> {
  const told = await look(file).catch(() => ({kind: 'unreadable'}) as const);
  const {kind} = told;
  if (kind === 'unreadable') return `${file.name} could not be read. Is it still there?`;
  if (kind === 'empty') return `${file.name} is empty.`;
  if (kind === 'text') return `${file.name} is not a picture: it holds text.`;
  if (kind === 'unknown') return `${file.name} is not a picture that this page knows: JPEG, PNG, WebP, GIF, AVIF or BMP.`;
  if (kind === 'clip') {
    if (!backend.clipBytes) {
      return `${file.name} is a video. This page stylizes photos; for videos, run “anime-tf web” on your own machine.`;
    }
    if (file.size > backend.clipBytes) return tooLong(file, backend.clipBytes);
    card.job = {id: ++count, file, clip: true, width: 0, height: 0};
    return null;
  }
  if (told.width * told.height > backend.pixels) {
    const megapixels = Math.round((told.width * told.height) / 1e6);
    return `${file.name} has ${megapixels} megapixels (${told.width} × ${told.height}). At most ${Math.round(backend.pixels / 1e6)} are taken: make it smaller first.`;
  }
  card.job = {id: ++count, file, clip: false, width: told.width, height: told.height};
  return null;
}

function tooLong(file: File, most: number): string {
  return `${file.name} is a file of ${size(file.size)}. At most ${size(most)} are taken.`;
}

async function add(files: Iterable<File>): Promise<void> {
  const chosen = [...files];
  if (!chosen.length) return;
  await ready;
  if (!backend) return;
  const first = cards.size === 0;
  // All at once, so that cards keep the order of their files; newer ones stand above older ones.
  const added = chosen.map((file) => ({file, card: new Card(file.name || 'pasted.png')}));
  added.forEach(({card}) => cards.add(card));
  at('cards').prepend(...added.map(({card}) => card.element));
  refresh();
  for (const {file, card} of added) {
    if (!cards.has(card)) continue; // removed meanwhile
    // Checks the size before reading anything.
    const problem = file.size > Math.max(backend.bytes, backend.clipBytes)
      ? tooLong(file, backend.bytes) : await refusal(file, card);
    if (problem !== null) card.fail(problem);
    else if (!card.job!.clip && file.size > backend.bytes) card.fail(tooLong(file, backend.bytes));
    else card.preview();
  }
  if (first) at('work').scrollIntoView({behavior: 'smooth', block: 'start'});
  next();
}

function key({style, side, strength, keep, faces}: Options): string {
  return JSON.stringify([style, side, strength, keep, faces]);
}

function next(): void {
  if (working >= backend.atOnce) return;
  const wanted = options();
  const card = [...cards].find(({state, job, as}) =>
    job && (state === 'waiting' || (state === 'done' && as !== key(wanted))));
  if (!card) return;
  working++;
  void work(card, wanted).finally(() => {
    working--;
    next();
  });
  next();
}

async function work(card: Card, wanted: Options): Promise<void> {
  card.as = key(wanted);
  card.set('working', backend.plan(card.job!, wanted));
  const tell = (words: string, part?: number) => card.set('working', words, part);
  try {
    const drawn = await backend.draw(card.job!, wanted, card.stop.signal, tell);
    if (card.stop.signal.aborted) return;
    const time = drawn.seconds >= 0.1 ? `, ${drawn.seconds.toFixed(drawn.seconds < 10 ? 1 : 0)} s` : '';
    card.show(drawn.before, drawn.after, drawn.note + time);
    announce(`${card.name} is drawn`);
  } catch (error) {
    if (card.stop.signal.aborted) return;
    card.fail(error instanceof Plain ? error.message : `${card.name} could not be drawn: ${(error as Error).message}.`);
  }
  at('where').textContent = backend.words;
}

// --- inputs -------------------------------------------------------------------------------------

const pick = at<HTMLInputElement>('pick');
pick.addEventListener('change', () => {
  void add([...pick.files ?? []]).then(() => { pick.value = ''; });
});

let depth = 0; // of elements that a dragged file is over
const dragging = (on: boolean) => {
  document.body.classList.toggle('dragging', on);
  at('veil').hidden = !on;
};
addEventListener('dragenter', (event) => {
  if (event.dataTransfer?.types.includes('Files') && ++depth === 1) dragging(true);
});
addEventListener('dragleave', (event) => {
  if (event.dataTransfer?.types.includes('Files') && --depth === 0) dragging(false);
});
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  depth = 0;
  dragging(false);
  void add(event.dataTransfer?.files ?? []);
});
addEventListener('paste', (event) => void add(event.clipboardData?.files ?? []));

for (const element of document.querySelectorAll<HTMLButtonElement>('[data-sample]')) {
  element.addEventListener('click', async () => {
    const name = `${element.dataset['sample']}.jpg`;
    const answer = await fetch(`samples/${name}`).catch(() => null);
    if (!answer?.ok) return announce('That photo could not be loaded.');
    void add([new File([await answer.blob()], name, {type: 'image/jpeg'})]);
  });
}

const booth = at<HTMLDialogElement>('booth');
const finder = at<HTMLVideoElement>('finder');
let stream: MediaStream | null = null;
at('camera').addEventListener('click', async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: {facingMode: 'environment', width: {ideal: 1920}, height: {ideal: 1080}},
    });
  } catch {
    // Without camera, permission or HTTPS, phones may still offer their camera app.
    const input = document.createElement('input');
    input.type = 'file';
    input.accept = 'image/*';
    input.capture = 'environment';
    input.onchange = () => void add(input.files ?? []);
    if (matchMedia('(pointer: coarse)').matches) input.click();
    else at('hint').textContent = 'No camera can be used here. Drop a photo, or paste one.';
    return;
  }
  finder.srcObject = stream;
  booth.showModal();
  await finder.play();
  await offerLive();
});
at('shoot').addEventListener('click', () => {
  const canvas = document.createElement('canvas');
  canvas.width = finder.videoWidth;
  canvas.height = finder.videoHeight;
  canvas.getContext('2d')!.drawImage(finder, 0, 0);
  canvas.toBlob((blob) => blob && void add([new File([blob], 'camera.png', {type: 'image/png'})]));
  booth.close();
});
at('leave').addEventListener('click', () => booth.close());
booth.addEventListener('close', () => {
  stopLive();
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  finder.srcObject = null;
});

// --- camera, drawn live --------------------------------------------------------------------------

// Frames a second from which it is offered; ?live_fps=5 offers it on slower devices too.
const LIVE_FPS = Number(new URLSearchParams(location.search).get('live_fps')) || 10;
const liveOn = at<HTMLInputElement>('live-on');
const liveStyle = at<HTMLSelectElement>('live-style');
let rates: Record<string, number> = {};
let live: AbortController | null = null;

/** Offers the styles that reach `LIVE_FPS` here; the chosen one first, or a live one. */
async function offerLive(): Promise<void> {
  await ready;
  if (!backend) return;
  rates = await backend.live(style.value).catch(() => ({}));
  const fast = backend.styles.filter(({name}) => (rates[name] ?? 0) >= LIVE_FPS);
  const first = fast.find(({name}) => name === style.value) ?? fast.find(({name}) => name.endsWith('_live'));
  liveStyle.replaceChildren(...fast.map(({name}) => new Option(name, name, name === first?.name, name === first?.name)));
  at('live').hidden = fast.length === 0;
}

function stopLive(): void {
  live?.abort();
  live = null;
  liveOn.checked = false;
  at('drawn').hidden = true;
  at('live-rate').textContent = '';
}

function startLive(): void {
  const stop = live = new AbortController();
  at('drawn').hidden = false;
  announce('The camera is drawn live');
  const draw = (frame: Blob, width: number, height: number) =>
    backend.frame(frame, width, height, {...options(), style: liveStyle.value, faces: 'off'}, stop.signal);
  const tell = (rate: number, width: number, height: number) => {
    if (!stop.signal.aborted) at('live-rate').textContent = `${rate.toFixed(1)} frames/s at ${width} × ${height}`;
  };
  runLive({video: finder, canvas: at<HTMLCanvasElement>('drawn'), rate: rates[liveStyle.value]!, draw, tell}, stop.signal)
    .catch((error) => {
      if (stop.signal.aborted) return;
      stopLive();
      at('live-rate').textContent = error instanceof Plain ? error.message : 'The live view has stopped.';
      announce(at('live-rate').textContent!);
    });
}
liveOn.addEventListener('change', () => (liveOn.checked ? startLive() : stopLive()));

// --- options -------------------------------------------------------------------------------------

const tellStrength = () => { at('strength-out').textContent = `${strength.value} %`; };
strength.addEventListener('input', tellStrength);
tellStrength();
at('options').addEventListener('change', ({target}) => {
  if (backend) {
    if (target === style) recommend();
    about();
    next();
  }
});
at('options').addEventListener('submit', (event) => event.preventDefault());

zipButton.addEventListener('click', async () => {
  const files = new Map<string, Blob>();
  for (const card of cards) {
    if (!card.after) continue;
    const [name, blob] = await card.result();
    let free = name;
    for (let n = 2; files.has(free); n++) free = name.replace(/(\.[^.]*)$/, `-${n}$1`);
    files.set(free, blob);
  }
  hand(await zip(files), 'anime.zip');
  announce(`${files.size} pictures were saved as anime.zip`);
});

// --- start ---------------------------------------------------------------------------------------

function link(text: string, address: string): HTMLAnchorElement {
  const element = document.createElement('a');
  element.textContent = text;
  element.href = address;
  element.rel = 'noreferrer';
  return element;
}

/** Shows the style, its license, and a link to the code. */
function about(): void {
  for (const choose of at('looks').querySelectorAll<HTMLElement>('button')) {
    choose.setAttribute('aria-pressed', String(choose.dataset['style'] === style.value));
  }
  const chosen = backend.styles.find(({name}) => name === style.value)!;
  const license = chosen.license_url ? link(chosen.license, chosen.license_url) : chosen.license;
  const made = backend.code ? link('anime_tf', backend.code) : 'anime_tf';
  const parts = [`Style “${chosen.name}”, license `, license, '. Made with ', made, ` ${backend.version}.`];
  at('about').replaceChildren(...parts);
}

/** Sets the options that the chosen style recommends. */
function recommend(): void {
  const settings = backend.styles.find(({name}) => name === style.value)?.settings ?? {};
  strength.value = String(100 * (settings.strength ?? 1));
  tellStrength();
  const wanted = settings.faces ?? 'off';
  faces.value = backend.faces && [...faces.options].some(({value}) => value === wanted) ? wanted : 'off';
}

/** Fills the list of styles, and the thumbnails that choose one. */
function listStyles(): void {
  const chosen = style.value;
  style.replaceChildren(...backend.styles.map(({name, title, default: first}) => new Option(title, name, first, first)));
  if (chosen) style.value = chosen;
  at('style-field').hidden = backend.styles.length < 2;
  at('looks').hidden = !backend.thumbnail || backend.styles.length < 2;
  if (!backend.thumbnail) return;
  at('looks').replaceChildren(...backend.styles.map(({name, title}) => {
    const choose = document.createElement('button');
    choose.type = 'button';
    choose.title = title;
    choose.dataset['style'] = name;
    const image = new Image(96, 54);
    image.src = backend.thumbnail!(name);
    image.alt = '';
    image.loading = 'lazy';
    choose.append(image, name);
    choose.addEventListener('click', () => {
      style.value = name;
      style.dispatchEvent(new Event('change', {bubbles: true}));
    });
    return choose;
  }));
}

/** Shows the styles that the server can download, each with its license. */
async function showZoo(): Promise<void> {
  const words = at('zoo-words');
  words.textContent = 'Published styles. Read the license before you get one.';
  at('zoo-styles').replaceChildren(...(await backend.available!()).map(({name, title, bytes, license}) => {
    const item = document.createElement('li');
    const heading = document.createElement('strong');
    heading.textContent = bytes ? `${title} (${size(bytes)})` : title;
    const text = document.createElement('p');
    text.append(license.noncommercial ? 'Non-commercial. ' : '', `${license.name}. ${license.text} `);
    if (license.url) text.append(link('License', license.url));
    const get = document.createElement('button');
    get.type = 'button';
    get.className = 'button';
    get.textContent = license.noncommercial ? 'Accept the license and get it' : 'Get it';
    get.addEventListener('click', async () => {
      get.disabled = true;
      words.textContent = `Getting ${name}: this takes up to some minutes.`;
      try {
        await backend.get!(name);
        item.remove();
        listStyles();
        about();
        words.textContent = `${name} is here.`;
      } catch (error) {
        get.disabled = false;
        words.textContent = error instanceof Plain ? error.message : `${name} could not be fetched.`;
      }
    });
    item.append(heading, text, get);
    return item;
  }));
  at<HTMLDialogElement>('zoo').showModal();
}
at('more').addEventListener('click', () => void showZoo());
at('zoo-close').addEventListener('click', () => at<HTMLDialogElement>('zoo').close());

async function begin(): Promise<void> {
  try {
    backend = await openServer() ?? await openLocal();
  } catch (error) {
    at('where').textContent = error instanceof Plain ? error.message : 'The page could not load: no network?';
    announce(at('where').textContent!);
    return;
  }
  document.body.dataset['where'] = backend.where;
  listStyles();
  at('more').hidden = !backend.downloads;
  side.replaceChildren(...backend.sides.map((n) => new Option(`${n} pixels`, String(n), n === 1024, n === 1024)));
  at('side-field').hidden = backend.sides.length === 0;
  at('faces-field').hidden = !backend.faces;
  recommend();
  if (backend.clipBytes) {
    pick.accept = 'image/*,video/*';
    at('pick-words').textContent = 'Choose photos or videos';
    at('fact-files').textContent = 'Photos and videos from this device or the camera, many at once: JPEG, PNG, WebP, GIF, MP4, MOV, WebM.';
  }
  at('where').textContent = backend.words;
  if (backend.code) {
    at<HTMLAnchorElement>('code-top').href = backend.code;
    at('code-top').hidden = false;
  }
  about();
}

at('show').append(compare(heroBefore, heroAfter, 'the example'));
const ready = begin();
