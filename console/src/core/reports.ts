// What a device reports, in words.
import { stateText } from './names';
import { language } from './words';

export interface Report {
  at: string;
  type: 'report';
  device: string;
  site: string;
  report: string;
  child?: string;
  replay?: boolean;
  plate?: string;
  plate_hidden?: boolean;
  body: Record<string, unknown>;
}

type Pair = [string, string];
const say = (p: Pair | undefined, otherwise = ''): string => (p ? p[language.value === 'zh' ? 0 : 1] : otherwise);

const kReports: Record<string, Pair> = {
  plate: ['识别车牌', 'plate read'],
  vehicle_arrived: ['车辆到达', 'vehicle arrived'],
  vehicle_left: ['车辆离开', 'vehicle left'],
  space: ['车位', 'space'],
  lot: ['余位', 'free spaces'],
  barrier: ['道闸', 'barrier'],
  access: ['门禁', 'access'],
  charger: ['充电桩', 'charger'],
  charge: ['充电', 'charging'],
  alarm: ['告警', 'alarm'],
};
const kWords: Record<string, Pair> = {
  // of plates
  BLUE: ['蓝牌', 'blue'], YELLOW: ['黄牌', 'yellow'], WHITE: ['白牌', 'white'], BLACK: ['黑牌', 'black'], GREEN: ['绿牌', 'green'], YELLOW_GREEN: ['黄绿牌', 'yellow and green'],
  IN: ['进', 'in'], OUT: ['出', 'out'],
  BY_SERVER: ['平台放行', 'opened by the platform'], BY_LOCAL_LIST: ['本地名单放行', 'opened by the local list'], BY_HAND: ['人工放行', 'opened by hand'], BY_REMOTE_KEY: ['遥控放行', 'opened by remote key'],
  // of arms
  CLOSED: ['关', 'closed'], OPENING: ['正在抬起', 'opening'], OPEN: ['开', 'open'], CLOSING: ['正在落下', 'closing'], BARRIER_FAULT: ['故障', 'fault'], BARRIER_UNKNOWN: ['未知', 'unknown'],
  HOLD_OPEN: ['常开', 'held open'], HOLD_CLOSED: ['常闭', 'held closed'],
  // of spaces
  FREE: ['空', 'free'], OCCUPIED: ['占用', 'occupied'], RESERVED: ['预留', 'reserved'], FAULTY: ['故障', 'fault'],
  // of alarms
  INFO: ['提示', 'info'], MINOR: ['一般', 'minor'], MAJOR: ['严重', 'major'], CRITICAL: ['紧急', 'critical'],
};
const kLane: Pair = ['车道', 'lane'];
const kGun: Pair = ['枪', 'connector'];
const kUnplated: Pair = ['无牌车', 'no plate'];
const kFake: Pair = ['疑似假牌', 'perhaps a false plate'];
const kOver: Pair = ['已恢复', 'over'];
const kUnder: Pair = ['杆下有车', 'a vehicle under it'];
const kGranted: Pair = ['放行', 'granted'];
const kRefused: Pair = ['拒绝', 'refused'];
const kReplay: Pair = ['补传', 'sent later'];

const text = (v: unknown): string => (typeof v === 'string' || typeof v === 'number' ? String(v) : '');
const word = (v: unknown): string => say(kWords[text(v)], stateText(text(v)));

export const reportName = (r: Report): string => say(kReports[r.report], r.report);

// A member that is missing has its first value: proto3 leaves it out.
export function reportText(r: Report): string {
  const b = r.body;
  const plate = (b.plate ?? {}) as Record<string, unknown>;
  const all: (string | false)[] = [r.replay === true && say(kReplay), r.child ?? ''];
  switch (r.report) {
    case 'plate':
    case 'vehicle_arrived':
    case 'vehicle_left':
      all.push(plate.unplated === true ? say(kUnplated) : (r.plate ?? ''), word(plate.color), plate.fake === true && say(kFake));
      all.push(text(b.lane) && `${say(kLane)} ${text(b.lane)}`, word(b.direction), word(b.openedBy));
      break;
    case 'barrier':
      all.push(word(b.position ?? 'BARRIER_UNKNOWN'), text(b.lane) && `${say(kLane)} ${text(b.lane)}`, word(b.mode), b.vehicleUnder === true && say(kUnder));
      break;
    case 'charger':
      all.push(text(b.connector) && `${say(kGun)} ${text(b.connector)}`, word(b.state ?? 'CHARGER_UNKNOWN'), text(b.powerKw) && `${text(b.powerKw)} kW`, text(b.socPercent) && `${text(b.socPercent)} %`, text(b.fault));
      break;
    case 'charge':
      all.push(text(b.connector) && `${say(kGun)} ${text(b.connector)}`, b.active === true ? stateText('CHARGING') : stateText('FINISHED'), text(b.energyKwh) && `${text(b.energyKwh)} kWh`, text(b.stopReason));
      break;
    case 'alarm':
      all.push(b.active === true ? word(b.severity ?? 'INFO') : say(kOver), text(b.code), text(b.text));
      break;
    case 'space':
      all.push(text(b.spaceId), word(b.state), r.plate ?? '');
      break;
    case 'lot':
      all.push(text(b.zone), `${text(b.free) || 0} / ${text(b.total) || 0}`);
      break;
    case 'access':
      all.push(text(b.door), b.granted === true ? say(kGranted) : say(kRefused), word(b.direction), text(b.method), text(b.reason));
      break;
  }
  return all.filter(Boolean).join(' · ');
}
