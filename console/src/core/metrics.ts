// The text format of /metrics, as far as the console reads it.
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export function parse(text: string): Sample[] {
  const out: Sample[] = [];
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const m = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!m) continue;
    const labels: Record<string, string> = {};
    for (const l of (m[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[l[1]!] = l[2]!.replace(/\\(.)/g, '$1');
    out.push({ name: m[1]!, labels, value: Number(m[3]) });
  }
  return out;
}

export function sum(all: Sample[], name: string, labels: Record<string, string> = {}): number | undefined {
  let n: number | undefined;
  for (const s of all) {
    if (s.name !== name || !Object.entries(labels).every(([k, v]) => s.labels[k] === v)) continue;
    n = (n ?? 0) + s.value;
  }
  return n;
}

// The quantile of a histogram between two scrapes, by linear interpolation in its bucket.
export function quantile(q: number, name: string, now: Sample[], before: Sample[] = []): number | undefined {
  const buckets = new Map<number, number>();
  const add = (all: Sample[], sign: number) => {
    for (const s of all) {
      if (s.name !== name + '_bucket') continue;
      const le = s.labels.le === '+Inf' ? Infinity : Number(s.labels.le);
      buckets.set(le, (buckets.get(le) ?? 0) + sign * s.value);
    }
  };
  add(now, 1);
  add(before, -1);
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const all = sorted.at(-1)?.[1] ?? 0;
  if (all <= 0) return undefined;
  let below = 0;
  let from = 0;
  for (const [le, n] of sorted) {
    if (n >= q * all) {
      if (le === Infinity) return from;
      const inside = n - below;
      return inside === 0 ? le : from + (le - from) * ((q * all - below) / inside);
    }
    below = n;
    from = le;
  }
  return from;
}
