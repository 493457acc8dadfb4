"""What the NetworkPolicies let through."""
from chart import named

FULL = {"profile": "cluster", "redis": {"existingSecret": "r"}}


def egress(chart, values, name):
    return named(chart.objects(values), "NetworkPolicy", name)["spec"]["egress"]


def ways_to(rules, port):
    """The peers of each rule with this port; None: everybody."""
    return [r.get("to") for r in rules if port in [p["port"] for p in r["ports"]]]


def tracing(chart, check):
    """The collector that the settings name can be reached, by the roles whose settings name it, and by no other."""
    at = lambda url: {"tracing": {"endpoint": url}}
    name = "http://otel.tracing.svc:4317/v1/traces"
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}]
    for values, policy, port, wanted in [
            ({"config": at(name)}, "berth", 4317, [None]), ({"single": {"config": at("http://otel/v1/traces")}}, "berth", 4318, [None]),
            ({**FULL, "config": at(name)}, "berth-edge", 4317, [None]), ({**FULL, "config": at(name)}, "berth-engine", 4317, [None]),
            ({**FULL, "engine": {"config": at(name)}}, "berth-engine", 4317, [None]), ({**FULL, "engine": {"config": at(name)}}, "berth-edge", 4317, []),
            ({**FULL, "edge": {"config": at(name)}}, "berth-edge", 4317, [None]), ({**FULL, "edge": {"config": at(name)}}, "berth-engine", 4317, []),
            ({**FULL, "cluster": {"config": at(name)}, "networkPolicy": {"tracingTo": peers}}, "berth-edge", 4317, [peers]),
            ({"config": at("http://192.0.2.7:4000")}, "berth", 4000, [[{"ipBlock": {"cidr": "192.0.2.7/32"}}]]),
            ({"config": at("http://[2001:db8::7]/v1/traces")}, "berth", 4318, [[{"ipBlock": {"cidr": "2001:db8::7/128"}}]]),
            ({"config": at("")}, "berth", 4318, []), (FULL, "berth-edge", 4318, [])]:
        found = ways_to(egress(chart, values, policy), port)
        check(found == wanted, f"{values}: {policy} to port {port}: {found}")
