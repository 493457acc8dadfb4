#!/usr/bin/env python3
"""What an uplink costs and carries, with the gateway, Mosquitto as the platform, and berth-load on this machine.

  intake      reports that are stored for one session: without an uplink, with an uplink whose platform is away, and with one that works
  catch-up    the platform dies for --away s while devices say --live messages a second: how quickly it has everything afterwards beside
              them, what is lost, and whether each device's messages are in order
  absence     so many messages as a long absence leaves (--messages five times): memory and disk of the gateway before and after
  kinds       each kind of uplink has --messages in its queue, and its platform comes: events a second, and the gateway's CPU for each
              event. Mosquitto; a webhook that only answers; RabbitMQ with a durable queue; librdkafka's mock of a Kafka cluster
  connections MQTT with 1, 2 and 4 connections to Mosquitto, and as many clients of Paho alone, one after the other

  bench/uplinks.py [--berth BINARY] [--load BINARY] [--kafka BINARY] [--paho BINARY] [--away 60] [--live 500]
                   [--part intake|catch-up|absence|kinds|connections]
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
from mqtt import Mqtt  # noqa: E402
from upstream import Upstream  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit(f"not within {seconds} s: {what() if callable(what) else what}")


class Broker:
    def __init__(self, d):
        self.port, self.d, self.process = free_port(), d, None
        with open(d + "/mosquitto.conf", "w") as f:
            f.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\nuser root\n")

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-c", self.d + "/mosquitto.conf"])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Gateway:
    def __init__(self, berth, d, broker, connections=1):
        self.mqtt, self.admin = free_port(), free_port()
        text = "uplinks: []\n"
        if broker:
            text = (f"uplinks:\n  - {{name: up, kind: mqtt, url: 'mqtt://127.0.0.1:{broker.port}', topics: ['t/#'], connections: {connections}, "
                    "queue_messages: 10000000, queue_bytes: 10000000000}\n")
        with open(d + "/uplinks.yaml", "w") as f:
            f.write(text)
        with open(d + "/berth.yaml", "w") as f:
            f.write(f"uplinks: {{file: {d}/uplinks.yaml}}\nsession: {{queue_messages: 10000000, queue_bytes: 10000000000}}\n")
        self.data = tempfile.mkdtemp(dir=d)
        self.log = open(d + "/log", "a")
        self.process = subprocess.Popen([berth, "serve", "--config", d + "/berth.yaml", "--mqtt", f"127.0.0.1:{self.mqtt}", "--admin",
                                         f"127.0.0.1:{self.admin}", "--data", self.data], stdout=self.log, stderr=self.log)
        until(self.ready, 30, "ready")

    def get(self, target):
        with open(self.data + "/admin.token") as f:
            token = f.read().strip()
        r = urllib.request.Request(f"http://127.0.0.1:{self.admin}{target}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(r, timeout=10) as answer:
            return answer.read().decode()

    def ready(self):
        try:
            return self.get("/readyz") == "ok\n"
        except OSError:
            return False

    def uplink(self):
        return json.loads(self.get("/api/v1/uplinks"))["items"][0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def load(a, g, messages, rate=0):
    words = [a.load, "fanin", "--port", str(g.mqtt), "--pid", str(g.process.pid), "--qos", "1", "--pubs", "50", "--window", "20", "--messages", str(messages)]
    if rate:
        words += ["--rate", str(rate)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def intake(a, d, broker):
    rows = []
    for what, up, runs in (("no uplink", None, False), ("its platform is away", broker, False), ("its platform is there", broker, True)):
        if runs:
            broker.start()
        g = Gateway(a.berth, d, up)
        sleeper = Mqtt(g.mqtt, "sleeper", "x", "x", ["t/#"], clean=False)
        sleeper.goodbye()
        r = load(a, g, a.messages)
        row = {"what": what, "per_s": r["per_s"], "cpu_s_per_100k": r["cpu_s_per_100k"]}
        if rows:
            row["percent_of_no_uplink"] = round(100 * r["per_s"] / rows[0]["per_s"])
        if runs:
            begun = time.monotonic()
            until(lambda: g.uplink()["queued"] == 0, 300, "the platform has everything")
            row["platform_per_s"] = round(a.messages / (r["wall_s"] + time.monotonic() - begun))
        rows.append(row)
        g.end()
        if runs:
            broker.kill()
    return rows


class Devices:
    """So many messages a second of twenty devices, with QoS 1; `said`: how many of each have their PUBACK."""

    def __init__(self, port, per_s):
        self.said, self.batch, self.ended = [0] * 20, max(1, per_s // 20 // 5), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i, Mqtt(port, f"d{i}", "x", "x", [])), daemon=True) for i in range(20)]
        for t in self.threads:
            t.start()

    def run(self, i, device):
        at = time.monotonic()
        while not self.ended.is_set():
            first = self.said[i]
            device.publish_all([(f"t/{i}", f"{i} {first + n}") for n in range(self.batch)])
            self.said[i] += self.batch
            at += 0.2
            self.ended.wait(max(0.0, at - time.monotonic()))

    def end(self):
        self.ended.set()
        for t in self.threads:
            t.join()


def catch_up(a, d, broker):
    """The platform is a small broker in Python, which notes what comes: it dies under load, and the load goes on."""
    platform = Upstream()
    broker.port = platform.port
    g = Gateway(a.berth, d, broker, a.connections)
    devices = Devices(g.mqtt, a.live)
    until(lambda: len(platform.messages) > a.live, 60, "it carries")
    platform.kill()
    begun = sum(devices.said)
    time.sleep(a.away)
    live = (sum(devices.said) - begun) / a.away
    platform.start()
    until(lambda: g.uplink()["connected"] == a.connections, 60, "it is connected again")
    waiting, said, start = g.uplink()["queued"], sum(devices.said), time.monotonic()
    until(lambda: g.uplink()["queued"] < live / 5, 600, "the platform has caught up")  # what is on its way now
    took = time.monotonic() - start
    sent = waiting + sum(devices.said) - said
    devices.end()
    until(lambda: g.uplink()["queued"] == 0, 60, "the rest")
    g.end()
    firsts = [p.split() for p in platform.firsts()]
    came = [[int(n) for i, n in firsts if int(i) == device] for device in range(20)]
    return {"away_s": a.away, "live_per_s": round(live), "waiting": waiting, "caught_up_s": round(took, 2), "per_s": round(sent / took),
            "times_live": round(sent / took / live, 1), "acknowledged": sum(devices.said),
            "lost": sum(len(set(range(said)) - set(c)) for said, c in zip(devices.said, came)),
            "out_of_order": sum(c != sorted(c) for c in came), "copies": len(platform.messages) - len(firsts)}


def cpu_s(pid):
    """Of a process and its children."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        children = f.read().split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + sum(cpu_s(int(c)) for c in children)


class Hook:
    """Answers each POST with 200."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    @staticmethod
    def serve(s):
        data = b""
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                more = s.recv(1 << 20)
                if not more:
                    return
                data += more
                continue
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(rest) < size:
                rest += s.recv(1 << 20)
            data = rest[size:]
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def tree(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [p for c in f.read().split() for p in tree(int(c))]


def rss_mb(pid):
    total = 0
    for p in tree(pid):
        with open(f"/proc/{p}/status") as f:
            total += int(next(line for line in f if line.startswith("RssAnon:")).split()[1])
    return round(total / 1024, 1)


def disk_mb(path):
    return round(sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(path) for f in files) / 1e6, 1)


def absence(a, d, broker):
    g = Gateway(a.berth, d, broker)
    before = rss_mb(g.process.pid), disk_mb(g.data)
    for i in range(5):
        load(a, g, a.messages)
        u = g.uplink()
        yield {"away": "its platform", "queued": u["queued"], "queued_mb": round(u["queued_bytes"] / 1e6, 1), "memory_mb": rss_mb(g.process.pid),
               "disk_mb": disk_mb(g.data), "memory_mb_before": before[0], "disk_mb_before": before[1]}
    g.end()


def platforms(a, d, broker):
    """(kind, its keys), each with its platform running while it is used."""
    broker.start()
    yield "mqtt", f"kind: mqtt, url: 'mqtt://127.0.0.1:{broker.port}', plain_topic: '{{topic}}'"
    broker.kill()
    with open(d + "/secret", "w") as f:
        f.write("secret")
    yield "webhook", f"kind: webhook, url: 'http://127.0.0.1:{Hook().port}/', secret_file: {d}/secret"
    kafka = subprocess.Popen([a.kafka, "berth.bench", "4", "--count"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    brokers = kafka.stdout.readline().split()[1]
    threading.Thread(target=kafka.stdout.read, daemon=True).start()
    yield "kafka", f"kind: kafka, url: 'kafka://{brokers}', plain_topic: berth.bench"
    kafka.kill()
    try:
        import rabbit  # pika is Debian's: run this with /usr/bin/python3
    except ImportError as e:
        print(f"no RabbitMQ: {e}", file=sys.stderr)
        return
    r = rabbit.Rabbit()
    r.bind("all", "berth", "other.#")
    yield "rabbitmq", f"kind: rabbitmq, url: 'amqp://127.0.0.1:{r.port}'"


def drained(a, d, keys):
    """--messages are in the queue, and their platform comes: (events a second, CPU of the gateway for all of them)"""
    g = Gateway(a.berth, d, None)

    def use(text):
        with open(d + "/uplinks.new", "w") as f:
            f.write(f"uplinks:\n  - {{name: up, topics: ['t/#'], queue_messages: 10000000, queue_bytes: 10000000000, {text}}}\n")
        os.rename(d + "/uplinks.new", d + "/uplinks.yaml")
    use("kind: mqtt, url: 'mqtt://127.0.0.1:1'")
    until(lambda: json.loads(g.get("/api/v1/uplinks"))["items"], 30, "the uplink")
    load(a, g, a.messages)
    until(lambda: g.uplink()["queued"] == a.messages, 30, "all are stored")
    cpu = cpu_s(g.process.pid)
    use(keys)
    until(lambda: g.uplink()["queued"] < a.messages, 60, lambda: f"{keys}: {g.uplink()}")
    begun, first = time.monotonic(), g.uplink()["queued"]
    until(lambda: g.uplink()["queued"] == 0, 300, lambda: f"{keys}: {g.uplink()}")
    took, cpu = time.monotonic() - begun, cpu_s(g.process.pid) - cpu
    g.end()
    return first / took, cpu


def kinds(a, d, broker):
    for kind, keys in platforms(a, d, broker):
        per_s, cpu = drained(a, d, keys)
        yield {"kind": kind, "events": a.messages, "per_s": round(per_s), "cpu_us_per_event": round(cpu / a.messages * 1e6, 1)}


def connections(a, d, broker):
    broker.start()
    for n in (1, 2, 4):
        alone = json.loads(subprocess.run([a.paho, str(broker.port), str(a.messages), str(n)], check=True, capture_output=True, text=True).stdout)["per_s"]
        per_s, _ = drained(a, d, f"kind: mqtt, url: 'mqtt://127.0.0.1:{broker.port}', plain_topic: '{{topic}}', connections: {n}")
        yield {"connections": n, "paho_alone_per_s": alone, "uplink_per_s": round(per_s), "percent": round(100 * per_s / alone)}
    broker.kill()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--berth", default=os.path.join(ROOT, "build/release/berth"))
    p.add_argument("--load", default=os.path.join(ROOT, "build/release/berth-load"))
    p.add_argument("--kafka", default=os.path.join(ROOT, "build/release/tests/berth-kafka"))
    p.add_argument("--paho", default=os.path.join(ROOT, "build/release/tests/berth-paho"))
    p.add_argument("--part", choices=("intake", "catch-up", "absence", "kinds", "connections"))
    p.add_argument("--messages", type=int, default=200_000)
    p.add_argument("--away", type=int, default=60)
    p.add_argument("--live", type=int, default=500)
    p.add_argument("--connections", type=int, default=1)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as d:
        broker = Broker(d)
        for part, run in (("intake", intake), ("absence", absence), ("kinds", kinds), ("connections", connections)):
            if a.part in (None, part):
                for row in run(a, d, broker):
                    print(json.dumps(row), flush=True)
        if a.part in (None, "catch-up"):
            print(json.dumps(catch_up(a, d, broker)))


if __name__ == "__main__":
    main()
