#!/usr/bin/env python3
"""Uplinks of each kind in a cluster on Redis (docs/uplinks.md): engines are killed while all of them carry, and a platform with one of
them. What devices were told to be taken is at each platform, in the order of each device; what comes twice has its event's id.

  uplink_redis_test.py BERTH SOURCE BERTH_KAFKA
"""
import json, os, signal, sys

try:
    import pika  # noqa: F401  Debian's, and this may be another Python
except ImportError:
    if sys.executable == "/usr/bin/python3":
        raise SystemExit("python3-pika is missing")
    os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(sys.argv[0])] + sys.argv[1:])

berth, source, kafka_program = (os.path.abspath(a) for a in sys.argv[1:4])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import eventually, work  # noqa: E402
from hook import Hook  # noqa: E402
from rabbit import Rabbit  # noqa: E402
from redis_cluster import Cluster  # noqa: E402
from uplinks import CONFIG, Kafka, Load, check, expect_all  # noqa: E402
from upstream import Upstream  # noqa: E402

DEVICES = [f"cam{i}" for i in range(6)]  # of both partitions
REGISTRY = ("tenants:\n  - name: acme\n    envelopes: json\n    sites: [{name: north}]\n    devices:\n" + "".join(
    f"      - {{name: {d}, site: north, credentials: [{{auth_id: {d}, password: right}}]}}\n" for d in DEVICES))


def uplinks_yaml(mqtt, hook, kafka, rabbit):
    return ("uplinks:\n"
            f"  - {{name: mqtt, kind: mqtt, url: 'mqtt://127.0.0.1:{mqtt.port}', select: [event]}}\n"
            f"  - {{name: hook, kind: webhook, url: 'http://127.0.0.1:{hook.port}/', secret_file: {work}/secret, select: [event]}}\n"
            f"  - {{name: kafka, kind: kafka, url: 'kafka://{kafka.brokers}', select: [event]}}\n"
            f"  - {{name: rabbit, kind: rabbitmq, url: 'amqp://127.0.0.1:{rabbit.port}', select: [event]}}\n")


def states(cluster):
    return [(u["name"], u["partition"], u["queued"], u["error"]) for u in cluster.ask("GET", "/api/v1/uplinks")[1]["items"]]


def sent(cluster):
    """By uplink and partition."""
    return {(u["name"], u["partition"]): u["sent"] for u in cluster.ask("GET", "/api/v1/uplinks")[1]["items"]}


def all_carry(cluster):
    """Each uplink of each partition has sent more than it had."""
    before = eventually(lambda: (s := sent(cluster)) and len(s) == 8 and s, lambda: states(cluster))
    eventually(lambda: len(s := sent(cluster)) == 8 and all(n > before[u] for u, n in s.items()), lambda: f"{before} {sent(cluster)}")


def main():
    with open(work + "/secret", "w", encoding="utf-8") as f:
        f.write("secret\n")
    mqtt, hook, kafka, rabbit = Upstream(), Hook(), Kafka(kafka_program), Rabbit()
    rabbit.bind("all", "berth", "event.#")
    cluster = Cluster(berth, {"berth.yaml": CONFIG, "registry.yaml": REGISTRY, "uplinks.yaml": uplinks_yaml(mqtt, hook, kafka, rabbit)})
    load = Load(cluster, DEVICES, pause_s=0.1)
    platforms = [(lambda: None, lambda: None), (hook.kill, hook.start), (mqtt.kill, mqtt.start), (rabbit.kill, rabbit.start)]
    for i, (platform_dies, platform_begins) in enumerate(platforms):
        all_carry(cluster)
        platform_dies()
        load.more(300)
        victim = cluster.engines[i % 2]
        check(victim.held() or i > 0, "both serve")
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait(30)
        load.more(300)
        platform_begins()
        cluster.replace(i % 2)
        cluster.serves()
    all_carry(cluster)
    load.end()
    check(all(said > 0 for said in load.said.values()), f"{load.said}")
    taken = []

    def of_rabbit():
        taken.extend(body for _, _, body in rabbit.take_all("all"))
        return taken
    found = {"mqtt": mqtt.payloads, "hook": lambda: [m["payload"] for m in list(hook.messages)], "kafka": kafka.payloads, "rabbit": of_rabbit}
    for name, payloads in found.items():
        def envelopes(payloads=payloads):
            return [p if isinstance(p, dict) else json.loads(p) for p in payloads()]
        expect_all(lambda: [e["json"] for e in envelopes()], load, name)
        ids = {}
        for e in envelopes():
            ids.setdefault(json.dumps(e["json"]), set()).add(e["eventId"])
        check(all(len(v) == 1 for v in ids.values()), f"{name}: copies with another event id: {[v for v in ids.items() if len(v[1]) > 1][:3]}")
        print(f"{name}: {load.count()} events, {len(envelopes()) - load.count()} copies")
    eventually(lambda: all(s[2] == 0 and s[3] == "" for s in states(cluster)), lambda: states(cluster))
    kafka.process.stdin.close()
    kafka.process.wait(30)


main()
print("what was acknowledged is at each platform, in order")
