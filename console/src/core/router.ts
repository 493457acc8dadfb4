// #/screen/part/part
import { reactive } from 'vue';

export const route = reactive({ screen: 'wall', parts: [] as string[] });

function read(): void {
  const [screen, ...parts] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  route.screen = screen || 'wall';
  route.parts = parts;
}

export function link(screen: string, ...parts: string[]): string {
  return '#/' + [screen, ...parts].map(encodeURIComponent).join('/');
}
export function go(screen: string, ...parts: string[]): void {
  location.hash = link(screen, ...parts);
}

addEventListener('hashchange', read);
read();
