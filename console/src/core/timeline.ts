// From the history of a device to what its time line shows.
import type { HistoryEvent, Presence } from './types';

export interface Span {
  from: number;
  to: number;
  state: 'on' | 'gone' | 'dunno';
  cause?: string;
}
export interface Mark {
  at: number;
  kind: 'good' | 'bad' | 'odd' | 'off';
  of: HistoryEvent;
}

// `events`: the newest first. What was before the oldest one is not known, but for a device that has
// not moved since.
export function spansOf(events: HistoryEvent[], presence: Presence | undefined, begin: number, end: number): Span[] {
  const moves = events
    .filter((e) => e.type === 'connected' || e.type === 'ended')
    .map((e) => ({ at: Date.parse(e.at), on: e.type === 'connected', cause: e.cause }))
    .reverse();
  const since = presence?.since ? Date.parse(presence.since) : undefined;
  const first = moves[0];
  const out: Span[] = [];
  let from = begin;
  let state: Span['state'] = 'dunno';
  if (first && first.at > begin) state = first.on ? 'dunno' : 'on';
  if (!first && since !== undefined && presence) {
    state = presence.state === 'online' ? 'on' : 'gone';
    if (since > begin) {
      out.push({ from: begin, to: since, state: 'dunno' });
      from = since;
    }
  }
  let cause: string | undefined = first ? undefined : presence?.cause;
  for (const m of moves) {
    const at = Math.max(begin, Math.min(end, m.at));
    if (at > from) out.push({ from, to: at, state, cause });
    from = at;
    state = m.on ? 'on' : 'gone';
    cause = m.on ? undefined : m.cause;
  }
  if (end > from) out.push({ from, to: end, state, cause });
  return out;
}

export function marksOf(events: HistoryEvent[], begin: number): Mark[] {
  const kinds: Record<string, Mark['kind']> = { SUCCEEDED: 'good', UNCERTAIN: 'odd', FAILED: 'bad', REJECTED: 'bad' };
  return events
    .filter((e) => e.type === 'command' || e.type === 'refused')
    .map((e): Mark => {
      const outcome = (e.detail ?? '').split(' ')[0] ?? '';
      return { at: Date.parse(e.at), kind: e.type === 'refused' ? 'bad' : (kinds[outcome] ?? 'off'), of: e };
    })
    .filter((m) => m.at >= begin);
}
