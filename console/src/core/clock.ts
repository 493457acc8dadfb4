// Times as people at a site read them.
import { reactive } from 'vue';

// The gateway's clock: what a page says of the age of something is not wrong by the browser's clock.
const state = reactive({ now: Date.now(), ahead: 0 });
setInterval(() => {
  state.now = Date.now();
}, 1000);

export function heardAt(iso: string): void {
  const t = Date.parse(iso);
  if (!Number.isNaN(t)) state.ahead = t - Date.now();
}
export function now(): number {
  return state.now + state.ahead;
}

// A zone that the browser does not know is none.
export function goodZone(zone: string | undefined): string | undefined {
  if (!zone) return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone;
  } catch {
    return undefined;
  }
}

export function timeText(iso: string | undefined, zone?: string, withDate = true): string {
  if (!iso) return '';
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  return new Intl.DateTimeFormat('sv-SE', {
    timeZone: goodZone(zone),
    ...(withDate ? { year: 'numeric', month: '2-digit', day: '2-digit' } : {}),
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(at);
}

export interface Age {
  n: number;
  unit: 's' | 'm' | 'h' | 'd';
}
export function ageOf(iso: string | undefined, at = now()): Age | undefined {
  if (!iso) return undefined;
  const s = Math.max(0, Math.round((at - Date.parse(iso)) / 1000));
  if (Number.isNaN(s)) return undefined;
  if (s < 60) return { n: s, unit: 's' };
  if (s < 3600) return { n: Math.floor(s / 60), unit: 'm' };
  if (s < 86_400) return { n: Math.floor(s / 3600), unit: 'h' };
  return { n: Math.floor(s / 86_400), unit: 'd' };
}
