/** Slider between photo and result, for pointer, touch and keyboard. */
export function compare(before: string, after: string, name: string, cut = 50): HTMLElement {
  const figure = document.createElement('div');
  figure.className = 'compare';
  const [photo, anime] = [before, after].map((address, i) => {
    const image = new Image();
    image.src = address;
    image.alt = i ? `${name}, drawn` : `${name}, the photo`;
    image.draggable = false;
    image.className = i ? 'after' : 'before';
    return image;
  });
  const handle = document.createElement('div');
  handle.className = 'handle';
  handle.tabIndex = 0;
  handle.setAttribute('role', 'slider');
  handle.setAttribute('aria-label', `Share of the photo in ${name}`);
  handle.setAttribute('aria-valuemin', '0');
  handle.setAttribute('aria-valuemax', '100');
  handle.setAttribute('aria-orientation', 'horizontal');
  handle.append(document.createElement('span'));
  figure.append(photo!, anime!, handle);

  const move = (to: number) => {
    cut = Math.min(100, Math.max(0, to));
    figure.style.setProperty('--cut', `${cut}%`);
    handle.setAttribute('aria-valuenow', String(Math.round(cut)));
    handle.setAttribute('aria-valuetext', `${Math.round(cut)} % photo`);
  };
  const follow = (event: PointerEvent) => {
    const box = figure.getBoundingClientRect();
    move((100 * (event.clientX - box.left)) / box.width);
  };
  figure.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    figure.setPointerCapture(event.pointerId);
    handle.focus({preventScroll: true});
    follow(event);
  });
  figure.addEventListener('pointermove', (event) => {
    if (figure.hasPointerCapture(event.pointerId)) follow(event);
  });
  handle.addEventListener('keydown', (event) => {
    const keys: Record<string, number> = {
      ArrowLeft: cut - 2, ArrowDown: cut - 2, ArrowRight: cut + 2, ArrowUp: cut + 2,
      PageDown: cut - 10, PageUp: cut + 10, Home: 0, End: 100,
    };
    const to = keys[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
  move(cut);
  return figure;
}
