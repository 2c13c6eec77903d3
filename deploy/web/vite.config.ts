// Static files for any host: relative addresses, nothing inlined, the runtime's own files beside the page.
import {cpSync, mkdirSync} from 'node:fs';
import {resolve} from 'node:path';
import {defineConfig, type Plugin} from 'vite';

/** What LiteRT.js loads by itself: for browsers with relaxed SIMD, without it, and with threads. */
const VARIANTS = ['', '_compat', '_threaded'];

/** Copies those files to dist/runtime, and the photos to try to dist/samples. */
function runtime(): Plugin {
  let root = '';
  let out = '';
  return {
    name: 'runtime',
    apply: 'build',
    configResolved(config) {
      root = config.root;
      out = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      cpSync(resolve(root, '../../samples'), resolve(out, 'samples'), {recursive: true});
      mkdirSync(resolve(out, 'runtime'), {recursive: true});
      for (const variant of VARIANTS) {
        for (const ending of ['js', 'wasm']) {
          const name = `litert_wasm${variant}_internal.${ending}`;
          cpSync(resolve(root, 'node_modules/@litertjs/core/wasm', name), resolve(out, 'runtime', name));
        }
      }
    },
  };
}

export default defineConfig({
  base: './',
  // The worker is a classic one: LiteRT.js loads its files by importScripts.
  worker: {format: 'iife'},
  build: {target: 'es2022', assetsInlineLimit: 0, modulePreload: false},
  plugins: [runtime()],
});
