// What the API says (docs/openapi.yaml), as far as the console uses it.

export interface LaneCommand {
  id: string;
  type: string;
  state: string;
  at: string;
}
export interface Lane {
  device: string;
  display_name?: string;
  online: boolean;
  alarms: number;
  position?: string;
  since?: string;
  reported?: string;
  command?: LaneCommand;
}
export interface BoardSite {
  tenant: string;
  site: string;
  display_name?: string;
  time_zone?: string;
  registered: number;
  online: number;
  leaving: number;
  offline: number;
  causes: Record<string, number>;
  alarms: number;
  reported?: string;
  lanes: Lane[];
  chargers: Record<string, number>;
}
export interface BoardEvent {
  at: string;
  whole: boolean;
  more: boolean;
  items: BoardSite[];
  partitions_without_answer: number;
}
export interface Presence {
  tenant: string;
  site: string;
  device: string;
  display_name?: string;
  product?: string;
  firmware?: string;
  parent?: string;
  executor?: string;
  state: 'online' | 'offline' | 'never';
  stale?: boolean;
  since?: string;
  client_id?: string;
  address?: string;
  protocol?: string;
  last_seen?: string;
  cause?: string;
}
export interface HistoryEvent {
  at: string;
  type: string;
  device: string;
  site?: string;
  tenant?: string;
  cause?: string;
  detail?: string;
  command?: string;
  client_id?: string;
  address?: string;
  state?: string;
  display_name?: string;
}
export interface Transition {
  at: string;
  state: string;
  note?: string;
}
export interface Command {
  id: string;
  tenant: string;
  site: string;
  device: string;
  display_name?: string;
  type: string;
  class: string;
  state: string;
  final: boolean;
  sent: boolean;
  acknowledged: boolean;
  accepted_at: string;
  ttl_ms?: number;
  expires_at?: string;
  outcome?: string;
  finished_at?: string;
  latency_ms?: number;
  safe_to_retry?: boolean;
  code?: string;
  text?: string;
  reason?: string;
  caller: string;
  operator?: { type?: string; id?: string };
  transitions: Transition[];
  late_result?: { outcome: string; code?: string };
  closed?: { at: string; by: string; note: string };
}
export interface Twin {
  items: { type: string; part: string; body: Record<string, unknown>; since: string; reported: string }[];
  command?: LaneCommand;
}
export interface Page<T> {
  items: T[];
  next?: string;
}
export interface Uplink {
  name: string;
  kind: string;
  partition: number;
  url: string;
  connected: number;
  connections: number;
  queued: number;
  lag_s: number;
  sent: number;
  dead_letters: number;
  error: string;
  configured: boolean;
  defined: string;
}
