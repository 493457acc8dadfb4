// What a screen has asked for: the answer, that it is under way, why there is none, that it is old.
import { onUnmounted, reactive } from 'vue';
import { ApiError } from './api';

export interface Loading<T> {
  value: T | undefined;
  busy: boolean;
  error: ApiError | undefined;
  at: number; // when the value came; 0: never
}

// Asks now, each `every_ms` while the page is visible, and when reload() is called. An answer that
// comes after a later question is dropped.
export function loading<T>(get: (signal: AbortSignal) => Promise<T>, every_ms = 0) {
  const state = reactive({ value: undefined, busy: false, error: undefined, at: 0 }) as Loading<T>;
  let current: AbortController | undefined;
  async function reload(): Promise<void> {
    current?.abort();
    const mine = (current = new AbortController());
    state.busy = true;
    try {
      const value = await get(mine.signal);
      if (current !== mine) return;
      state.value = value;
      state.error = undefined;
      state.at = Date.now();
    } catch (e) {
      if (current !== mine) return;
      state.error = e instanceof ApiError ? e : new ApiError(0, 'failed', String(e));
    } finally {
      if (current === mine) state.busy = false;
    }
  }
  function clear(): void {
    current?.abort();
    state.value = undefined;
    state.error = undefined;
    state.at = 0;
  }
  void reload();
  const timer = every_ms
    ? setInterval(() => {
        if (!document.hidden && !state.busy) void reload();
      }, every_ms)
    : undefined;
  onUnmounted(() => {
    clearInterval(timer);
    current?.abort();
  });
  return { state, reload, clear };
}
