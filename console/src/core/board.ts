// The live board: one stream for all screens. The browser comes again by itself when the stream
// ends or breaks; until it is there the page says that what it shows is old.
import { computed, reactive, shallowReactive } from 'vue';
import { target } from './api';
import { heardAt, now } from './clock';
import type { BoardEvent, BoardSite } from './types';

export const sites = shallowReactive(new Map<string, BoardSite>());
export const board = reactive({
  loaded: false,
  connected: false,
  heard: 0, // performance.now() of the last event
  partitionsAway: 0,
});

// The board is told something each second.
export const silent = computed(() => {
  void now();
  return board.loaded && (!board.connected || performance.now() - board.heard > 5000);
});

export function keyOf(tenant: string, site: string): string {
  return tenant + '\u0000' + site;
}

let stream: EventSource | undefined;
let fresh: Set<string> | undefined; // of a whole board that has not come to its end

export function take(e: BoardEvent): void {
  heardAt(e.at);
  if (e.whole) fresh = new Set();
  for (const s of e.items) {
    const key = keyOf(s.tenant, s.site);
    sites.set(key, s);
    fresh?.add(key);
  }
  board.partitionsAway = e.partitions_without_answer;
  if (e.more) return;
  if (fresh) {
    for (const key of [...sites.keys()]) {
      if (!fresh.has(key)) sites.delete(key);
    }
    fresh = undefined;
  }
  board.loaded = true;
}

let again: ReturnType<typeof setTimeout> | undefined;

export function follow(): void {
  if (stream) return;
  const s = new EventSource(target('/board/stream'));
  stream = s;
  const heard = () => {
    board.connected = true;
    board.heard = performance.now();
  };
  s.addEventListener('board', (e) => {
    heard();
    take(JSON.parse(e.data) as BoardEvent);
  });
  s.addEventListener('alive', heard);
  s.onerror = () => {
    board.connected = false;
    if (s.readyState !== EventSource.CLOSED || stream !== s) return;
    // Refused (no engine, too many streams): the browser gives up then.
    stream = undefined;
    clearTimeout(again);
    again = setTimeout(follow, 2000);
  };
}

export function unfollow(): void {
  clearTimeout(again);
  stream?.close();
  stream = undefined;
  sites.clear();
  fresh = undefined;
  board.loaded = board.connected = false;
}
