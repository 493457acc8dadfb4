"""Values of the chart at random, from its schema."""
import random

# Words that fit a pattern of the schema, or a field without one.
BY_PATTERN = [("sha256", ["", "sha256:" + "a" * 64]), ("ms|s|m", ["15s", "1m"]), ("redis", ["", "redis://r:6379", "rediss://u:p@r/0", "redis-sentinel://a,b/m"]),
              ("Mi|Gi|Ti", ["1Gi", "20Gi"]), ("https?", ["", "https://example.com/docs"]), ("h$", ["1000h", "2160h"]), ("^/.+", ["/run/berth", "/var/run/b"]),
              ("fA-F", ["192.0.2.0/24", "2001:db8::/32"]), ("a-z0-9", ["", "some-name"])]
BY_NAME = {"tolerations": [{"key": "k", "operator": "Exists"}], "affinity": {}, "issuerRef": {"name": "ca", "kind": "ClusterIssuer"},
           "extraEnv": [{"name": "TZ", "value": "UTC"}], "config": {"log": {"level": "debug"}, "mqtt": {"max_packet_bytes": 8388608}},
           "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}],
           "extraEgress": [{"ports": [{"protocol": "TCP", "port": 443}]}], "adminHost": "$(NODE_ADDRESS)", "resources": None, "global": None,
           "requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
PEERS = ("devicesFrom", "adminFrom", "linksFrom", "redisTo", "uplinksTo", "tracingTo", "dnsTo")


def pick(r, name, schema):
    if name in BY_NAME:
        return BY_NAME[name]
    if name in PEERS:
        return r.choice([[], [{"ipBlock": {"cidr": "10.0.0.0/8"}}], [{"podSelector": {}}]])
    kind = schema["type"]
    if "enum" in schema:
        return r.choice(schema["enum"])
    if kind == "boolean":
        return r.random() < 0.5
    if name == "nodePort":
        return r.choice([0, 1024, 65535, r.randint(30000, 32767)])
    if kind == "integer":
        return r.choice([schema["minimum"], schema["maximum"], r.randint(schema["minimum"], schema["maximum"])])
    if kind == "string":
        for part, words in BY_PATTERN:
            if part in schema.get("pattern", ""):
                return r.choice(words)
        return r.choice(["word", "a-b"])
    if kind == "array":
        n = r.randint(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
        found = [pick(r, "", schema["items"]) for _ in range(n)]
        return list(dict.fromkeys(found)) if schema.get("uniqueItems") else found
    return {"a.example/b": "c", "d": "true"} if r.random() < 0.5 else {}


def some(r, schema, share):
    """A part of the fields of an object, and of its objects."""
    out = {}
    for name, s in schema["properties"].items():
        if s["type"] == "object" and s.get("additionalProperties") is False and name not in BY_NAME:
            inner = some(r, s, share)
            if inner:
                out[name] = inner
        elif r.random() < share:
            value = pick(r, name, s)
            if value is not None:
                out[name] = value
    return out


def values(seed, schema):
    r = random.Random(seed)
    v = some(r, schema, r.choice([0.05, 0.15, 0.3]))
    v["profile"] = r.choice(["single", "cluster"])
    # What the chart refuses in most cases, if it is left to chance.
    for key in ("nameOverride", "fullnameOverride"):
        v.pop(key, None)
    v["redis"] = {**v.get("redis", {}), "url": "", "existingSecret": "berth-redis" if v["profile"] == "cluster" else ""}
    v["tls"] = {**v.get("tls", {}), "existingSecret": "device-tls", "certManager": {"enabled": False}}
    for name, listener in v.get("listeners", {}).items():
        listener.pop("port", None)
    v["redis"].get("bundled", {}).pop("existingSecret", None)
    if r.random() < 0.7:
        v["tls"]["userName"] = "connect"
    return v


def leaves(schema, path=()):
    for name, s in schema["properties"].items():
        if "properties" in s:
            yield from leaves(s, path + (name,))
        else:
            yield path + (name,), s


def put(tree, path, value):
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def of_wrong_types(schema):
    """Each leaf has a value of another type; and the paths, which helm's answer must name."""
    tree, paths = {}, []
    for path, s in leaves(schema):
        put(tree, path, {"string": 7.5, "integer": "seven", "boolean": "perhaps", "array": "text", "object": "text"}[s["type"]])
        paths.append(".".join(path))
    return tree, paths


def with_misspelt(schema):
    """Each object of known fields has a field more."""
    tree, paths = {"misspelt": 1}, ["(root)"]
    for path, s in leaves(schema):
        if len(path) > 1 and ".".join(path[:-1]) not in paths:
            put(tree, path[:-1] + ("misspelt",), 1)
            paths.append(".".join(path[:-1]))
    return tree, paths


# What Kubernetes would refuse, and the schema does.
REFUSED = [(("fullnameOverride",), "Berth_X"), (("fullnameOverride",), "a" * 41), (("fullnameOverride",), "1a"), (("fullnameOverride",), "a.b"),
           (("nameOverride",), "Berth"), (("nameOverride",), "-a"), (("listeners", "mqtt", "nodePort"), 80), (("listeners", "parks", "nodePort"), 65536),
           *((("podLabels", "app.kubernetes.io/" + n), "z") for n in ("name", "instance", "component", "part-of")),
           *((("commonLabels", k), "z") for k in ("app.kubernetes.io/component", "app.kubernetes.io/version", "helm.sh/chart", "berth.io/metrics")),
           (("commonLabels", "a"), "two words"), (("podAnnotations", "checksum/config"), "z"),
           (("monitoring", "podMonitor", "labels", "app.kubernetes.io/name"), "z"), (("monitoring", "dashboards", "label"), "helm.sh/chart")]


def tree_of(path, value):
    tree = {}
    put(tree, path, value)
    return tree
