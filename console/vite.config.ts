import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

// Everything under /console/, with a hash of its content in its name; no inline script or style (CSP).
export default defineConfig({
  plugins: [vue()],
  base: '/',
  build: {
    target: 'es2020',
    assetsDir: 'console',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    rollupOptions: { output: { manualChunks: undefined } },
  },
});
