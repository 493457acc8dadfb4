// From what the gateway counts each five minutes to a chart, and to what happened to many at once.
export interface Named {
  name: string;
  count: number;
}
export interface Departed {
  at: string;
  causes: Record<string, number>;
  sites: { tenant: string; site: string; count: number }[];
  firmwares: Named[];
  ranges: Named[];
}
export interface Cluster {
  at: string;
  by: 'site' | 'firmware' | 'range' | 'ours';
  name: string;
  tenant?: string;
  count: number;
  all: number;
}

const kEvery_s = 300;
const kMany = 5; // devices that leave together
const kShare = 0.6; // of all that left then

export function seriesOf(items: Departed[], from: number, to: number): { times: number[]; series: { name: string; values: number[] }[] } {
  const times: number[] = [];
  const first = Math.floor(from / 1000 / kEvery_s) * kEvery_s;
  for (let s = first; s * 1000 <= to; s += kEvery_s) times.push(s);
  const byTime = new Map(items.map((i) => [Date.parse(i.at) / 1000, i.causes]));
  const names = [...new Set(items.flatMap((i) => Object.keys(i.causes)))].sort();
  return { times, series: names.map((name) => ({ name, values: times.map((s) => byTime.get(s)?.[name] ?? 0) })) };
}

// The newest first. One cluster for each time: the narrowest thing that most of them had in common.
export function clustersOf(items: Departed[]): Cluster[] {
  const out: Cluster[] = [];
  for (const i of items) {
    const all = Object.values(i.causes).reduce((a, b) => a + b, 0);
    if (all < kMany) continue;
    const enough = (n: number | undefined) => n !== undefined && n >= kMany && n >= kShare * all;
    const ours = i.causes.gateway ?? 0;
    const site = i.sites[0];
    const firmware = i.firmwares[0];
    const range = i.ranges[0];
    if (enough(ours)) out.push({ at: i.at, by: 'ours', name: '', count: ours, all });
    else if (site && enough(site.count)) out.push({ at: i.at, by: 'site', name: site.site, tenant: site.tenant, count: site.count, all });
    // A firmware or a range that all devices have says nothing of those that left.
    else if (firmware && enough(firmware.count) && i.sites.length > 1) out.push({ at: i.at, by: 'firmware', name: firmware.name, count: firmware.count, all });
    else if (range && enough(range.count) && i.sites.length > 1) out.push({ at: i.at, by: 'range', name: range.name, count: range.count, all });
  }
  return out.reverse();
}
