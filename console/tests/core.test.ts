import { describe, expect, it } from 'vitest';
import { clustersOf, seriesOf, type Departed } from '../src/core/departures';
import { armOf, awayOf, badness, isDark } from '../src/core/lanes';
import { columnText, factText } from '../src/core/facts';
import { parse, quantile, sum } from '../src/core/metrics';
import { isUnplanned, sumsOf, whatOf, type Passage } from '../src/core/passages';
import { reportName, reportText, type Report } from '../src/core/reports';
import { marksOf, spansOf } from '../src/core/timeline';
import type { BoardSite, Lane } from '../src/core/types';

const kNow = Date.parse('2026-11-30T12:00:00Z');
const ago = (s: number) => new Date(kNow - s * 1000).toISOString();
const lane = (more: Partial<Lane>): Lane => ({ device: 'gate', online: true, alarms: 0, ...more });

describe('what is known of an arm', () => {
  it('is nothing of a device that has not reported, and of one that is away', () => {
    expect(armOf(lane({}), kNow)).toBe('unknown');
    expect(armOf(lane({ online: false, position: 'OPEN' }), kNow)).toBe('offline');
  });
  it('is the reported position', () => {
    expect(armOf(lane({ position: 'OPENING', since: ago(1) }), kNow)).toBe('open');
    expect(armOf(lane({ position: 'CLOSED', since: ago(100) }), kNow)).toBe('closed');
    expect(armOf(lane({ position: 'BARRIER_FAULT', since: ago(1) }), kNow)).toBe('fault');
  });
  it('is what a command is at, as long as it can be', () => {
    const c = (state: string, s: number) => ({ id: 'x', type: 'open', state, at: ago(s) });
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command: c('HANDED', 1) }), kNow)).toBe('sent');
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command: c('RECEIVED', 1) }), kNow)).toBe('acknowledged');
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command: c('HANDED', 100) }), kNow)).toBe('closed');
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command: c('UNCERTAIN', 50) }), kNow)).toBe('uncertain');
    expect(armOf(lane({ position: 'CLOSED', since: ago(10), command: c('UNCERTAIN', 50) }), kNow)).toBe('closed');
  });
  it('contradicts an acknowledged open whose arm says nothing of it, and no arm that has closed again', () => {
    const command = { id: 'x', type: 'open', state: 'SUCCEEDED', at: ago(30) };
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command }), kNow)).toBe('contradiction');
    expect(armOf(lane({ position: 'CLOSED', since: ago(10), command }), kNow)).toBe('closed');
    expect(armOf(lane({ position: 'CLOSED', since: ago(100), command: { ...command, at: ago(5) } }), kNow)).toBe('closed');
    expect(armOf(lane({ command }), kNow)).toBe('unknown');
  });
});

const site = (more: Partial<BoardSite>): BoardSite => ({ tenant: 'acme', site: 'north', registered: 10, online: 10, leaving: 0, offline: 0, causes: {}, alarms: 0, lanes: [], chargers: {}, ...more });

describe('an outcome that is unknown', () => {
  const command = (state: string) => ({ id: 'c', type: 'open', state, at: ago(60) });
  it('stands until a report, a late result or a person settles it', () => {
    const arm = (state: string) => armOf(lane({ position: 'CLOSED', since: ago(600), command: command(state) }), kNow);
    expect(arm('UNCERTAIN')).toBe('uncertain');
    expect(arm('SUCCEEDED')).toBe('contradiction');
    expect(arm('CLOSED')).toBe('closed');
  });
});

describe('the wall', () => {
  it('puts a dark site before a contradiction before single devices', () => {
    const dark = site({ online: 0, offline: 10 });
    const odd = site({ lanes: [lane({ position: 'BARRIER_FAULT', since: ago(1) })] });
    const one = site({ online: 9, offline: 1 });
    expect(isDark(dark)).toBe(true);
    expect(badness(dark, kNow)).toBeGreaterThan(badness(odd, kNow));
    expect(badness(odd, kNow)).toBeGreaterThan(badness(one, kNow));
    expect(badness(site({}), kNow)).toBe(0);
    expect(badness(site({ leaving: 1 }), kNow)).toBe(0);
    expect(badness(site({ leaving: 9 }), kNow)).toBeGreaterThan(badness(odd, kNow));
  });
  it('tells whose doing it is, each device once', () => {
    const a = awayOf([
      site({ online: 0, offline: 10, causes: { keep_alive: 10 } }),
      site({ online: 5, offline: 5, causes: { gateway: 2, keep_alive: 2, goodbye: 1 } }),
    ]);
    expect(a).toEqual({ all: 15, ours: 2, dark: 10, network: 2, other: 1 });
  });
});

describe('the time line', () => {
  const begin = kNow - 72 * 3_600_000;
  it('knows nothing of before the first event, and the state from then on', () => {
    const spans = spansOf(
      [
        { at: ago(600), type: 'connected', device: 'd' },
        { at: ago(1200), type: 'ended', device: 'd', cause: 'keep_alive' },
      ],
      undefined, begin, kNow,
    );
    expect(spans.map((s) => s.state)).toEqual(['on', 'gone', 'on']);
    expect(spans[1]!.cause).toBe('keep_alive');
    expect(spans.at(-1)!.to).toBe(kNow);
  });
  it('takes the presence of a device without events', () => {
    const p = { tenant: 't', site: 's', device: 'd', state: 'online' as const, since: ago(3600) };
    expect(spansOf([], p, begin, kNow).map((s) => s.state)).toEqual(['dunno', 'on']);
    expect(spansOf([], { ...p, since: '2020-01-01T00:00:00Z' }, begin, kNow).map((s) => s.state)).toEqual(['on']);
  });
  it('marks commands by their outcome', () => {
    const m = marksOf([{ at: ago(5), type: 'command', device: 'd', cause: 'open', detail: 'UNCERTAIN no_result' }], begin);
    expect(m).toMatchObject([{ at: kNow - 5000, kind: 'odd', of: { cause: 'open' } }]);
  });
});

describe('what happened to many at once', () => {
  const d = (more: Partial<Departed>): Departed => ({ at: ago(300), causes: { keep_alive: 10 }, sites: [{ tenant: 'a', site: 'n', count: 3 }, { tenant: 'a', site: 'm', count: 3 }], firmwares: [], ranges: [], ...more });
  it('is a site, a firmware, a range or ours, and nothing for a few', () => {
    expect(clustersOf([d({})])).toEqual([]);
    expect(clustersOf([d({ causes: { keep_alive: 3 } })])).toEqual([]);
    expect(clustersOf([d({ sites: [{ tenant: 'a', site: 'n', count: 9 }] })])[0]).toMatchObject({ by: 'site', name: 'n', count: 9, all: 10 });
    expect(clustersOf([d({ firmwares: [{ name: '1.2', count: 8 }] })])[0]).toMatchObject({ by: 'firmware', name: '1.2' });
    expect(clustersOf([d({ ranges: [{ name: '10.1.0.0/16', count: 8 }] })])[0]).toMatchObject({ by: 'range' });
    expect(clustersOf([d({ causes: { gateway: 9, keep_alive: 1 } })])[0]).toMatchObject({ by: 'ours' });
  });
  it('has a value for each time', () => {
    const s = seriesOf([d({ at: new Date(Math.floor(kNow / 300_000) * 300_000).toISOString() })], kNow - 900_000, kNow);
    expect(s.series).toHaveLength(1);
    expect(s.series[0]!.values.at(-1)).toBe(10);
    expect(s.times.length).toBe(s.series[0]!.values.length);
  });
});

describe('metrics', () => {
  const text = 'berth_x{le="a\\"b"} 3\nberth_x{le="c"} 4\nh_bucket{le="0.1"} 50\nh_bucket{le="1"} 100\nh_bucket{le="+Inf"} 100\n# HELP no\n';
  it('are read with their labels', () => {
    const all = parse(text);
    expect(sum(all, 'berth_x')).toBe(7);
    expect(sum(all, 'berth_x', { le: 'a"b' })).toBe(3);
    expect(sum(all, 'none')).toBeUndefined();
  });
  it('give a quantile within its bucket', () => {
    expect(quantile(0.5, 'h', parse(text))).toBeCloseTo(0.1);
    expect(quantile(0.75, 'h', parse(text))).toBeCloseTo(0.55);
    expect(quantile(0.5, 'nothing', [])).toBeUndefined();
  });
});

describe('deploys', () => {
  const passage = (more: Partial<Passage>): Passage => ({ begin: ago(9), end: ago(8), what: 'planned', of: 'engine 1', partitions: [0], edges: 1, held: 10, dropped: 0, gap_p99_ms: 80, gap_max_ms: 90, ...more });
  it('add up, also while late commands are not known', () => {
    expect(sumsOf([passage({ late_commands: 2 }), passage({ dropped: 3, gap_p99_ms: 400 })])).toEqual({ dropped: 3, late: 2, worst_ms: 400 });
    expect(sumsOf([])).toEqual({ dropped: 0, late: 0, worst_ms: 0 });
  });
  it('have words, but for what a later gateway says', () => {
    expect(whatOf(passage({ what: 'killed' }))).toBe('passageKilled');
    expect(whatOf(passage({ what: 'moon' }))).toBeUndefined();
    expect([passage({}), passage({ what: 'edge' }), passage({ what: 'link' })].map(isUnplanned)).toEqual([false, false, true]);
  });
});

describe('a report', () => {
  const report = (more: Partial<Report>): Report => ({ at: ago(1), type: 'report', device: 'cam', site: 'north', report: 'plate', body: {}, ...more });
  it('has the plate, the lane and the direction', () => {
    const plate = report({ plate: '粤B12345', body: { lane: 'E1', direction: 'IN', plate: { color: 'BLUE' }, openedBy: 'BY_SERVER' } });
    expect(reportName(plate)).toBe('识别车牌');
    expect(reportText(plate)).toBe('粤B12345 · 蓝牌 · 车道 E1 · 进 · 平台放行');
    expect(reportText(report({ body: { plate: { unplated: true } } }))).toBe('无牌车');
  });
  it('has the state of an arm, a charger and an alarm', () => {
    expect(reportText(report({ report: 'barrier', body: { position: 'OPEN', lane: '1' } }))).toBe('开 · 车道 1');
    expect(reportText(report({ report: 'barrier' }))).toBe('未知');
    expect(reportText(report({ report: 'charger', body: { connector: 2, state: 'CHARGING', powerKw: 7 } }))).toBe('枪 2 · 充电中 · 7 kW');
    expect(reportText(report({ report: 'alarm', body: { code: 'arm_blocked', severity: 'MAJOR', active: true, text: '杆被撞' } }))).toBe('严重 · arm_blocked · 杆被撞');
    expect(reportText(report({ report: 'alarm', body: { code: 'arm_blocked' } }))).toBe('已恢复 · arm_blocked');
    expect(reportText(report({ report: 'moon', child: 'gun-1' }))).toBe('gun-1');
  });
});

describe('facts of the status', () => {
  it('are words, numbers and counts', () => {
    expect(columnText('partition')).toBe('分区');
    expect(columnText('moon')).toBe('moon');
    expect([true, null, 'standby', 3, [1, 2], { pid: 7 }].map(factText)).toEqual(['是', '–', '待命', '3', '2', '进程号 7']);
  });
});
