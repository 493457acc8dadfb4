#!/usr/bin/env python3
"""Makes KubeSphere's Dashboards (monitoring.kubesphere.io/v1alpha2) from Grafana's of metrics/grafana.

  dashboards.py            prints them
  dashboards.py --write    writes dashboards.yaml beside this script

KubeSphere's panels have no variables of Grafana: a Dashboard shows the series of its project (namespace) alone, so the
variables `namespace` and `instance` are left out, and so are annotations; $__rate_interval is five minutes. Its only units are bytes and shares; the others are in
the title.
"""
import glob, json, os, re, sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"row": "row", "timeseries": "graph", "stat": "singlestat", "table": "table"}
FORMATS = {"bytes": "Byte", "Bps": "Byte", "percentunit": "percent (0.0-1.0)"}
COLORS = ["#60acfc", "#23c2db", "#64d5b2", "#d5ec5a", "#ffb64e", "#fb816d", "#d15c7f"]


def expression(text):
    text = re.sub(r'(namespace|instance)=~"\$\1",?', "", text).replace("{}", "").replace("$__rate_interval", "5m")
    if "$" in text:
        raise SystemExit(f"a variable that KubeSphere does not know: {text}")
    return text


def panel(p):
    unit = p.get("fieldConfig", {}).get("defaults", {}).get("unit")
    out = {"id": p["id"], "type": TYPES[p["type"]], "title": p["title"] + (" (s)" if unit == "s" else "")}
    if p["type"] == "row":
        return out
    out["targets"] = [{"refId": n, "expr": expression(t["expr"]), "legendFormat": t.get("legendFormat", ""), "step": "1m"}
                      for n, t in enumerate(p["targets"], 1)]
    if p["type"] == "timeseries":
        out |= {"lines": True, "colors": COLORS, "yaxes": [{"decimals": 3, "format": FORMATS.get(unit, "none")}]}
    elif p["type"] == "stat":
        out |= {"decimals": 3, "format": FORMATS.get(unit, "none")}
    return out


def dashboard(grafana):
    return {"apiVersion": "monitoring.kubesphere.io/v1alpha2", "kind": "Dashboard",
            "metadata": {"name": grafana["uid"], "labels": {"app.kubernetes.io/part-of": "berth"}},
            "spec": {"title": grafana["title"], "tags": grafana["tags"], "editable": True, "auto_refresh": grafana["refresh"],
                     "time": grafana["time"], "panels": [panel(p) for p in grafana["panels"]]}}


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def text():
    boards = []
    for path in sorted(glob.glob(os.path.join(HERE, "../../metrics/grafana/*.json"))):
        with open(path, encoding="utf-8") as f:
            boards.append(dashboard(json.load(f)))
    dump = yaml.dump_all(boards, Dumper=Plain, sort_keys=False, explicit_start=True, width=10**6, allow_unicode=True)
    return "# Made from metrics/grafana: `k8s/kubesphere/dashboards.py --write` makes it anew.\n" + re.sub(r"^---\n", "", dump)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(os.path.join(HERE, "dashboards.yaml"), "w", encoding="utf-8") as f:
            f.write(text())
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        print(text(), end="")
