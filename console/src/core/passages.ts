// Deploys, drains and deaths of engines and edges, as the whole gateway has met them.
import type { Word } from './words';

export interface Passage {
  begin: string;
  end: string;
  what: string;
  of: string;
  partitions: number[];
  edges: number;
  held: number;
  dropped: number;
  gap_p99_ms: number;
  gap_max_ms: number;
  late_commands?: number; // absent: not known yet, or never
}
export interface PassageList {
  items: Passage[];
  partitions_without_answer: number;
}

const kWhat: Record<string, Word> = {
  planned: 'passagePlanned',
  killed: 'passageKilled',
  fault: 'passageFault',
  poison: 'passagePoison',
  link: 'passageLink',
  edge: 'passageEdge',
  edge_drain: 'passageDrain',
};
export const whatOf = (p: Passage): Word | undefined => kWhat[p.what];

// Nobody has planned it.
export const isUnplanned = (p: Passage): boolean => ['killed', 'fault', 'poison', 'link'].includes(p.what);

export interface PassageSums {
  dropped: number;
  late: number;
  worst_ms: number; // the longest p99
}
export function sumsOf(all: Passage[]): PassageSums {
  return {
    dropped: all.reduce((n, p) => n + p.dropped, 0),
    late: all.reduce((n, p) => n + (p.late_commands ?? 0), 0),
    worst_ms: Math.max(0, ...all.map((p) => p.gap_p99_ms)),
  };
}
