// Words of the API, for people: causes, states, commands, events.
import { language } from './words';

const kCauses: Record<string, [string, string]> = {
  goodbye: ['设备主动断开', 'said goodbye'],
  keep_alive: ['心跳超时', 'keep-alive timed out'],
  connection_lost: ['连接中断', 'connection lost'],
  protocol_error: ['协议错误', 'protocol error'],
  slow_consumer: ['接收过慢', 'reads too slowly'],
  taken_over: ['被同 ID 顶替', 'taken over'],
  disabled: ['已停用', 'disabled'],
  policy: ['超出限制', 'a limit'],
  gateway: ['网关原因', 'the gateway'],
  parent: ['上级设备离线', 'its parent'],
  operator: ['人工断开', 'an operator'],
  quarantine: ['隔离', 'quarantine'],
};
const kStates: Record<string, [string, string]> = {
  ACCEPTED: ['已受理', 'accepted'],
  WAITING: ['等待设备', 'waiting'],
  HANDED: ['已交付引擎', 'handed over'],
  SENT: ['已发送', 'sent'],
  RECEIVED: ['设备已确认', 'acknowledged'],
  DONE: ['完成', 'done'],
  SUCCEEDED: ['成功', 'succeeded'],
  FAILED: ['失败', 'failed'],
  REJECTED: ['被拒绝', 'rejected'],
  EXPIRED: ['过期未发', 'expired'],
  NOT_DELIVERED: ['未送达', 'not delivered'],
  UNCERTAIN: ['结果未知', 'uncertain'],
  CLOSED: ['已人工关闭', 'closed by a person'],
  AVAILABLE: ['空闲', 'available'],
  PLUGGED: ['已插枪', 'plugged'],
  CHARGING: ['充电中', 'charging'],
  FINISHED: ['充电完成', 'finished'],
  CHARGER_FAULT: ['故障', 'fault'],
  OUT_OF_ORDER: ['停用', 'out of order'],
  CHARGER_UNKNOWN: ['未知', 'unknown'],
  online: ['在线', 'online'],
  offline: ['离线', 'offline'],
  never: ['从未连接', 'never connected'],
};
const kCommands: Record<string, [string, string]> = {
  open: ['开闸', 'open'],
  close: ['关闸', 'close'],
  hold: ['常开/常闭', 'hold'],
  snapshot: ['抓拍', 'snapshot'],
  voice: ['语音', 'voice'],
  display: ['显示', 'display'],
  set_time: ['校时', 'set_time'],
  reboot: ['重启', 'reboot'],
  charge_start: ['开始充电', 'charge_start'],
  charge_stop: ['停止充电', 'charge_stop'],
};
const kHappenings: Record<string, [string, string]> = {
  connected: ['连接', 'connected'],
  ended: ['断开', 'connection ended'],
  taken_over: ['被顶替', 'taken over'],
  refused: ['登录被拒', 'log-in refused'],
  command: ['指令', 'command'],
  quota: ['触及配额', 'a quota was reached'],
  changed: ['登记变更', 'record changed'],
  presence: ['上下线', 'presence'],
};

function of(table: Record<string, [string, string]>, word: string | undefined): string {
  if (!word) return '';
  const found = table[word];
  return found ? found[language.value === 'zh' ? 0 : 1] : word;
}
export const causeText = (cause?: string) => of(kCauses, cause);
export const stateText = (state?: string) => of(kStates, state);
export const commandText = (type?: string) => of(kCommands, type);
// What an event of the history says of its cause and its outcome.
export const eventCause = (e: { type: string; cause?: string }) => (e.type === 'command' ? commandText(e.cause) : causeText(e.cause));
export function eventDetail(e: { type: string; detail?: string }): string {
  const [outcome, ...rest] = (e.detail ?? '').split(' ');
  return e.type === 'command' ? [stateText(outcome), ...rest].join(' ') : (e.detail ?? '');
}
export const happeningText = (type?: string) => of(kHappenings, type);
