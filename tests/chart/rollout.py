"""Which pods a change of the settings replaces."""
import json

from chart import named

FULL = {"profile": "cluster", "redis": {"existingSecret": "r"}}


def setting(key, value):
    section, _, name = key.rpartition(".")
    return {section: {name: value}} if section else {name: value}


def replaced(chart, before, after):
    """The roles whose pods differ."""
    pods = lambda values: {(o["kind"], o["metadata"]["name"]): o["spec"]["template"] for o in chart.objects(values) if o["kind"] in ("Deployment", "StatefulSet")}
    old, new = pods(before), pods(after)
    return {name for (_, name), pod in new.items() if old[_, name] != pod}


def settings(chart, check):
    """Each way in which a setting takes effect, at each place of the values where it may stand."""
    with open(chart.path + "/files/settings.json", encoding="utf-8") as f:
        how = json.load(f)
    edge, engine = "berth-edge", "berth-engine"
    for key, wanted in (("log.level", "reload"), ("mqtt.connects_per_s_per_address", "reload"), ("session.per_device", "engine"), ("commands.keep_days", "engine"),
                        ("sys_interval_s", "engine"), ("history.max_bytes", "engine"), ("mqtt.fresh_s", "restart"), ("registry.refresh_ms", "restart")):
        check(how[key] == wanted, f"{key}: {how[key]}")
    for values, wanted in [
            ({"config": setting("log.level", "debug")}, set()), ({"config": setting("mqtt.connects_per_s_per_address", 7)}, set()),
            ({"edge": {"config": setting("log.level", "debug"), "acceptPerSecond": 9}}, set()), ({"engine": {"config": setting("log.level", "debug")}}, set()),
            ({"config": setting("commands.keep_days", 3)}, {engine}), ({"cluster": {"config": setting("session.per_device", 3)}}, {engine}),
            ({"config": setting("sys_interval_s", 3)}, {engine}), ({"config": setting("mqtt.fresh_s", 3)}, {edge, engine}),
            ({"edge": {"config": setting("mqtt.fresh_s", 3)}}, {edge}), ({"engine": {"config": setting("registry.refresh_ms", 3000)}}, {engine}),
            ({"config": {**setting("commands.keep_days", 3), **setting("mqtt.fresh_s", 3)}}, {edge, engine})]:
        found = replaced(chart, FULL, {**FULL, **values})
        check(found == wanted, f"{values} replaces {sorted(found)}")
    # One pod with its own engine: a change of the file gives it no new engine.
    for values, wanted in [({"config": setting("log.level", "debug")}, set()), ({"config": setting("commands.keep_days", 3)}, {"berth"})]:
        found = replaced(chart, {}, values)
        check(found == wanted, f"single: {values} replaces {sorted(found)}")
    # What replaces no pod is in the file all the same.
    text = named(chart.objects({**FULL, "config": setting("log.level", "debug")}), "ConfigMap", edge)["data"]["berth.yaml"]
    check("level: debug" in text, "log.level is not in the file")
