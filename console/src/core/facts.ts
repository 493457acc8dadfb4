// Members of the gateway's status, for people.
import { language, t } from './words';

const kColumns: Record<string, [string, string]> = {
  pid: ['进程号', 'pid'], state: ['状态', 'state'], version: ['版本', 'version'], partition: ['分区', 'partition'], address: ['地址', 'address'],
  term: ['任期', 'term'], current: ['正在服务本进程', 'serves this process'], failure: ['失败原因', 'failure'], name: ['名称', 'name'], link: ['链路', 'link'],
  linked: ['已连接', 'linked'], served: ['有引擎服务', 'served'], host: ['主机', 'host'], process: ['进程标识', 'process'], sessions: ['会话', 'sessions'],
  others: ['其他引擎', 'other engines'], store_up: ['存储可用', 'store is up'], error: ['错误', 'error'],
};
const kValues: Record<string, [string, string]> = {
  serving: ['服务中', 'serving'], standby: ['待命', 'standby'], starting: ['启动中', 'starting'], leaving: ['正在退出', 'leaving'], connecting: ['连接中', 'connecting'],
};
const say = (p: [string, string] | undefined, otherwise: string): string => (p ? p[language.value === 'zh' ? 0 : 1] : otherwise);

export const columnText = (name: string): string => say(kColumns[name], name);

export function factText(v: unknown): string {
  if (v === undefined || v === null || v === '') return '–';
  if (typeof v === 'boolean') return t(v ? 'yes' : 'no');
  if (Array.isArray(v)) return String(v.length);
  if (typeof v === 'object') return Object.entries(v).map(([k, one]) => `${columnText(k)} ${factText(one)}`).join(', ');
  return say(kValues[String(v)], String(v));
}
