"""What the NetworkPolicies let through."""
import socket, tempfile

from chart import faults, named
from loopback import Cluster

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
            ({"config": at("https://otel.example/v1/traces")}, "berth", 443, [None]), ({"config": at("https://otel.example:4319/v1/traces")}, "berth", 4319, [None]),
            ({"config": at("")}, "berth", 4318, []), (FULL, "berth-edge", 4318, [])]:
        found = ways_to(egress(chart, values, policy), port)
        check(found == wanted, f"{values}: {policy} to port {port}: {found}")


def admin_port(chart, check):
    """Who reaches the admin port of pods to which devices connect, by each choice of edge.adminOn."""
    choice = lambda on: {**FULL, "edge": {"adminOn": on}, "monitoring": {"podMonitor": {"enabled": True}}}
    for on in ("all", "pod", "loopback"):
        objects = chart.objects(choice(on))
        for f in faults(objects):
            check(False, f"adminOn {on}: {f}")
        edge = named(objects, "Deployment", "berth-edge")["spec"]["template"]
        policy = named(objects, "NetworkPolicy", "berth-edge")["spec"]["ingress"]
        admitted = [r["from"] for r in policy if 9180 in [p["port"] for p in r["ports"]]]
        names = {o["metadata"]["name"] for o in objects if o["kind"] == "Service"}
        ports = {p["name"] for p in edge["spec"]["containers"][0]["ports"]}
        unreached = on == "loopback"
        check(len(admitted) == (not unreached) and all(admitted), f"adminOn {on}: the policy admits {admitted} to the admin port")
        check(("berth-edge" in names) != unreached and ("admin" in ports) != unreached, f"adminOn {on}: Services {names}, ports {ports}")
        check(not [p for p in named(objects, "Service", "berth")["spec"]["ports"] if p["port"] == 9180], "the admin port at the Service for devices")
        tests = {c["name"] for c in named(objects, "Pod", "berth-test")["spec"]["containers"]}
        check(("edge" in tests) != unreached and {"devices", "policies"} <= tests, f"adminOn {on}: helm test has {tests}")
    annotated = named(chart.objects({**FULL, "edge": {"adminOn": "loopback"}}), "Deployment", "berth-edge")["spec"]["template"]["metadata"]["annotations"]
    check("prometheus.io/scrape" not in annotated, "a Prometheus is sent to a port that nobody reaches")
    six = chart.objects({**choice("pod"), "service": {"ipFamilies": ["IPv6"]}})
    env = named(six, "Deployment", "berth-edge")["spec"]["template"]["spec"]["containers"][0]["env"]
    check({"name": "BERTH_ADMIN_LISTEN", "value": "[$(POD_ADDRESS)]:9180"} in env, f"IPv6: {env}")
    off = named(chart.objects({**FULL, "networkPolicy": {"enabled": False}}), "Pod", "berth-test")["spec"]["containers"]
    check("policies" not in [c["name"] for c in off], "helm test asks for policies that are not there")


def opens(address, port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex((address, port)) == 0


def admin_apart(chart, berth, check):
    """The same with the binary: a pod with the address 127.0.0.3 in the cluster's network, and 127.0.0.4 in one of devices."""
    pod, devices = "127.0.0.3", "127.0.0.4"
    for on, at in (("all", {pod, devices, "127.0.0.1"}), ("pod", {pod}), ("loopback", {"127.0.0.1"})):
        values = {"auth": {"anonymous": "always"}, "edge": {"adminOn": on}}
        with tempfile.TemporaryDirectory(dir=chart.scratch) as d, Cluster(chart, berth, d, values, pod, True) as c:  # its probes have answered
            found = {a for a in (pod, devices, "127.0.0.1") if opens(a, c.edge.admin_port())}
            check(found == at, f"adminOn {on}: the admin port answers at {sorted(found)}")
            check(opens(devices, c.mqtt), f"adminOn {on}: devices find no listener")
            c.edge.terminate()  # preStop asks by the socket
