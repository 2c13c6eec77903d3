import type {Answer, Request} from './worker';
const worker = new Worker(new URL('./worker.ts', import.meta.url));
const say = (r: Request) => worker.postMessage(r);
worker.onerror = e => console.log('worker error', e.message, e.filename, e.lineno);
worker.onmessage = ({data}: MessageEvent<Answer>) => {
  console.log(JSON.stringify(data));
  if (data.is === 'drawn') (window as any).after = data.after;
  if (data.is !== 'fetching') (window as any).last = data;
};
const styles = await (await fetch('models/styles.json')).json();
const here = new URL('./', document.baseURI).href;
say({do: 'open', style: styles.styles[0], address: here + 'models/' + styles.styles[0].file, runtime: here + 'runtime/'});
(window as any).say = say;
