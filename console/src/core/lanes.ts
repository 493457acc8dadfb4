// What is known of a barrier's arm. Three facts are kept apart (docs/platform.md): a command was
// sent, the device has acknowledged it, the device has reported a position. No command derives a
// position; where the two contradict each other the wall says so.
import type { BoardSite, Lane } from './types';

export type Arm =
  | 'open'
  | 'closed'
  | 'fault'
  | 'unknown'
  | 'sent'
  | 'acknowledged'
  | 'contradiction'
  | 'uncertain'
  | 'offline';

const kPending: Record<string, Arm> = {
  ACCEPTED: 'sent',
  WAITING: 'sent',
  HANDED: 'sent',
  SENT: 'sent',
  RECEIVED: 'acknowledged',
};
const kPendingFor_ms = 60_000; // an immediate command has its outcome by then
const kMoves_ms = 15_000; // an arm that was told to move says so within this time
const kOpen = ['OPEN', 'OPENING'];
const kClosed = ['CLOSED', 'CLOSING'];

export function armOf(lane: Lane, now: number): Arm {
  if (!lane.online) return 'offline';
  const c = lane.command;
  const told = c ? Date.parse(c.at) : 0;
  const pending = c ? kPending[c.state] : undefined;
  if (pending && now - told < kPendingFor_ms) return pending;
  const moved = lane.since ? Date.parse(lane.since) : 0;
  if (c && moved <= told) {
    if (c.state === 'UNCERTAIN') return 'uncertain';
    const wanted = c.type === 'open' ? kOpen : c.type === 'close' ? kClosed : undefined;
    const done = c.state === 'SUCCEEDED' && now - told > kMoves_ms;
    if (wanted && done && lane.position && !wanted.includes(lane.position)) return 'contradiction';
  }
  if (!lane.position) return 'unknown';
  if (kOpen.includes(lane.position)) return 'open';
  if (kClosed.includes(lane.position)) return 'closed';
  return lane.position === 'BARRIER_FAULT' ? 'fault' : 'unknown';
}

export const kBad: Arm[] = ['contradiction', 'uncertain', 'fault'];

// Devices of a site that is gone as a whole are without power or without a line.
export function isDark(s: BoardSite): boolean {
  return s.registered > 1 && s.online === 0 && s.offline > 1;
}

// Most of what was there has just lost its connection. One device that comes again is no matter.
export function isLeaving(s: BoardSite): boolean {
  return s.leaving > 0 && s.leaving * 2 >= s.online;
}

// No device of it has ever been here.
export function isUnused(s: BoardSite): boolean {
  return s.online === 0 && s.offline === 0;
}

// Worst first. A site where nothing is wrong has 0.
export function badness(s: BoardSite, now: number): number {
  const arms = s.lanes.filter((l) => kBad.includes(armOf(l, now))).length;
  const share = s.registered > 0 ? s.offline / s.registered : 0;
  return (isDark(s) ? 1000 : isLeaving(s) ? 900 : 0) + arms * 100 + share * 90 + Math.min(s.alarms, 9) + (s.offline > 0 ? 1 : 0);
}

export interface Away {
  all: number;
  ours: number;
  dark: number;
  network: number;
  other: number;
}
const kNetwork = ['keep_alive', 'connection_lost'];

// Why devices are unreachable now.
export function awayOf(sites: Iterable<BoardSite>): Away {
  const a: Away = { all: 0, ours: 0, dark: 0, network: 0, other: 0 };
  for (const s of sites) {
    a.all += s.offline;
    const ours = Math.min(s.causes.gateway ?? 0, s.offline);
    a.ours += ours;
    if (isDark(s)) {
      a.dark += s.offline - ours;
      continue;
    }
    const network = Math.min(
      kNetwork.reduce((n, c) => n + (s.causes[c] ?? 0), 0),
      s.offline - ours,
    );
    a.network += network;
    a.other += s.offline - ours - network;
  }
  return a;
}
