"""Bars of a comparison (bench/beside.py) as SVG: a block for each row, the median of each server, with its spread as a line."""
import html
import statistics

WIDTH, LABEL, BAR, GAP, HEAD = 900, 230, 16, 5, 34


def bars(result):
    out, y = [], 10
    names = [p["name"] for p in result["peers"]]
    for row in result["rows"]:
        values = {n: [r["value"] for r in row["found"][n] if r["value"] is not None] for n in names}
        most = max([max(v) for v in values.values() if v], default=0) or 1
        out.append(f'<text x="10" y="{y + 16}" class="head">{html.escape(row["name"])}: {html.escape(row["unit"])}</text>')
        y += HEAD - 8
        for n in names:
            out.append(f'<text x="{LABEL - 8}" y="{y + BAR - 3}" text-anchor="end">{html.escape(n)}</text>')
            if values[n]:
                scale = lambda v: (WIDTH - LABEL - 110) * v / most
                middle = statistics.median(values[n])
                out.append(f'<rect x="{LABEL}" y="{y}" width="{max(scale(middle), 1):.1f}" height="{BAR}" class="{"own" if n.startswith("Berth") else "other"}"/>')
                out.append(f'<line x1="{LABEL + scale(min(values[n])):.1f}" x2="{LABEL + scale(max(values[n])):.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>')
                out.append(f'<text x="{LABEL + scale(max(values[n])) + 6:.1f}" y="{y + BAR - 3}">{middle:,.3g}</text>' if middle < 1000 else
                           f'<text x="{LABEL + scale(max(values[n])) + 6:.1f}" y="{y + BAR - 3}">{middle:,.0f}</text>')
            else:
                out.append(f'<text x="{LABEL + 6}" y="{y + BAR - 3}">failed</text>')
            y += BAR + GAP
        y += 14
    style = ("text{font:12px sans-serif;fill:#222}.head{font-weight:bold}rect.own{fill:#1f6feb}rect.other{fill:#9aa4b2}line{stroke:#222;stroke-width:1.5}"
             "svg{background:#fff}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
            f'aria-label="Berth beside other servers, {result["date"]}"><style>{style}</style><rect width="{WIDTH}" height="{y}" fill="#fff"/>' + "".join(out) + "</svg>\n")
