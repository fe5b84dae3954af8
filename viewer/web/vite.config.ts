/// <reference types="vitest/config" />
import { defineConfig } from 'vite';

// A broker to develop against, for `npm run dev`: its page's WebSocket is passed on to it.
const broker = process.env['SONDE_BROKER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: './', // the page works under any path prefix
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../sonde_viewer/static',
    emptyOutDir: true,
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'], // the first with light-dark()
    assetsInlineLimit: 0, // no data: URLs, which the content security policy forbids
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.txt' }, // of what is bundled
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'editor', test: /@codemirror|@lezer|@marijn|style-mod|w3c-keyname|crelt/ },
            { name: 'vendor', test: /node_modules/ },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      '/ws': {
        target: broker,
        ws: true,
        changeOrigin: true,
        rewriteWsOrigin: true, // the broker takes pages of its own origin only
      },
    },
  },
  test: { environment: 'happy-dom', include: ['tests/**/*.test.{ts,tsx}'] },
});
