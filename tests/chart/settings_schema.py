"""The settings that the chart passes on (`config`, `edge.config` and the like) are of the schema that the gateway prints: a name or a
value that the gateway would refuse is refused by helm, before anything is replaced."""
import json, subprocess

HOLDERS = ((), ("single",), ("cluster",), ("edge",), ("engine",))


def of_gateway(berth):
    schema = json.loads(subprocess.run([berth, "config-schema"], check=True, text=True, capture_output=True, timeout=30).stdout)
    schema.pop("$schema")
    schema.pop("title")
    return without(schema, ("default", "x-applies"))


def without(tree, names):
    if isinstance(tree, list):
        return [without(t, names) for t in tree]
    if not isinstance(tree, dict):
        return tree
    return {k: without(v, names) for k, v in tree.items() if k not in names}


def holders(schema):
    for path in HOLDERS:
        s = schema
        for name in path:
            s = s["properties"][name]
        yield ".".join(path + ("config",)), s["properties"]["config"]


def write(path, berth):
    with open(path, encoding="utf-8") as f:
        schema = json.load(f)
    schema["definitions"] = {**schema.get("definitions", {}), "settings": of_gateway(berth)}
    for _, s in holders(schema):
        s["allOf"] = [{"$ref": "#/definitions/settings"}]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(schema, f, indent=1, ensure_ascii=False)
        f.write("\n")


def faults(schema, berth):
    if schema.get("definitions", {}).get("settings") != of_gateway(berth):
        yield "values.schema.json has other settings than the gateway: scripts/k8s-check --write --berth build/release/berth"
    for name, s in holders(schema):
        if s.get("allOf") != [{"$ref": "#/definitions/settings"}]:
            yield f"{name}: settings of any name are taken"


def refused(chart):
    """Values, and a word of helm's answer to each."""
    for config, word in (({"foo": {"bar": 1}}, "foo"), ({"log": {"levl": "info"}}, "levl"), ({"log": {"level": "verbose"}}, "level"),
                         ({"session": {"queue_messages": "abc"}}, "queue_messages"), ({"metrics": {"max_series": -5}}, "max_series")):
        for values in ({"config": config}, {"profile": "cluster", "redis": {"existingSecret": "r"}, "edge": {"config": config}}):
            yield values, word
