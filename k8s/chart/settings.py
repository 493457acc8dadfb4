#!/usr/bin/env python3
"""Makes k8s/chart/berth/files/settings.json: each setting of the gateway, and by what a change of it takes effect: reload (of the file),
engine (a new engine) or restart (of the process). From config/berth.yaml, which has every key, and gateway/config/config_change.cc. The
unit test Config.TheChartKnowsHowEachKeyApplies compares it with what is compiled.

  settings.py            prints it
  settings.py --write    writes it
"""
import json, os, re, sys

import yaml

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LISTENERS = ("mqtt", "mqtts", "ws", "wss", "park", "parks")
OF_EACH_LISTENER = ("listen", "proxy_protocol")


def words_of(text, name):
    return re.findall(r'"([a-z_.]+)"', re.search(rf"\b{name}\{{(.*?)\}};", text, re.S).group(1))


def settings(source=SOURCE):
    with open(source + "/config/berth.yaml", encoding="utf-8") as f:
        documented = yaml.safe_load(f)
    with open(source + "/gateway/config/config_change.cc", encoding="utf-8") as f:
        code = f.read()
    keys = {f"{section}.{key}" if isinstance(value, dict) else section for section, value in documented.items()
            for key in (value if isinstance(value, dict) else [""])}
    keys |= {f"{l}.{k}" for l in LISTENERS for k in OF_EACH_LISTENER}
    reload, engine, groups = (words_of(code, n) for n in ("kReload", "kEngine", "kEngineGroups"))

    def how(key):
        if key in reload:
            return "reload"
        return "engine" if key in engine or key.startswith(tuple(groups)) else "restart"

    unknown = {*reload, *engine} - keys
    if unknown:
        raise SystemExit(f"config_change.cc names what config/berth.yaml does not have: {', '.join(sorted(unknown))}")
    return {k: how(k) for k in sorted(keys)}


def text(source=SOURCE):
    return json.dumps(settings(source), indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(SOURCE + "/k8s/chart/berth/files/settings.json", "w", encoding="utf-8") as f:
            f.write(text())
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        print(text(), end="")
