"""What tests of uplinks share: a gateway with a registry and a file of uplinks, devices that publish, what has to arrive, and librdkafka's
mock of a Kafka cluster."""
import json, os, re, subprocess, threading

from gateway import Gateway, eventually, processes, work
from mqtt import Mqtt

CONFIG = """
auth: {anonymous: always, failures_per_name: 0, failures_per_address: 0}
registry: {source: file, file: registry.yaml}
uplinks: {file: uplinks.yaml}
"""
REGISTRY = """
tenants:
  - name: acme
{envelopes}    sites: [{{name: north}}]
    devices:
      - {{name: cam, site: north, credentials: [{{auth_id: cam, password: right}}]}}
      - {{name: gate, site: north, credentials: [{{auth_id: gate, password: right}}]}}
"""


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def write(text):
    path = os.path.join(work, "gateway/uplinks.yaml")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


def state(gateway, name="up"):
    return next((u for u in gateway.ask("GET", "/api/v1/uplinks")[1]["items"] if u["name"] == name), {})


def ctl(gateway, *words, code=0):
    done = subprocess.run([gateway.berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", *words], text=True, capture_output=True, timeout=120)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout) if code == 0 else done.stdout + done.stderr


def start(berth, uplink, envelopes=""):
    return Gateway(berth, {"berth.yaml": CONFIG, "registry.yaml": REGISTRY.format(envelopes=envelopes and f"    envelopes: {envelopes}\n"), "uplinks.yaml": uplink})


class Load:
    """Devices publish JSON, 20 messages at once, with or without a pause between; `said`: the numbers that have their PUBACK, by device."""

    def __init__(self, gateway, names=("cam", "gate"), pause_s=0.0):
        self.said, self._go, self._pause_s, self._ended = {n: 0 for n in names}, True, pause_s, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n, Mqtt(gateway.mqtt, n, f"{n}@acme", "right", [])), daemon=True)
                         for n in names]
        for t in self._threads:
            t.start()

    def _run(self, name, device):
        while self._go:
            first = self.said[name]
            device.publish_all([("v1/event/parts", json.dumps({name: first + i})) for i in range(20)])
            self.said[name] += 20
            self._ended.wait(self._pause_s)
        device.goodbye()

    def count(self):
        return sum(self.said.values())

    def more(self, n):
        begun = self.count()
        eventually(lambda: self.count() > begun + n, "messages")

    def end(self):
        self._go = False
        self._ended.set()
        for t in self._threads:
            t.join()


def firsts(payloads):
    """By device: its numbers, each where it came first."""
    out, seen = {}, set()
    for p in payloads:
        for name, n in (p if isinstance(p, dict) else json.loads(p)).items():
            if (name, n) not in seen:
                seen.add((name, n))
                out.setdefault(name, []).append(n)
    return out


def expect_all(payloads, load, what, seconds=60):
    wanted = {n: list(range(said)) for n, said in load.said.items()}
    eventually(lambda: firsts(payloads()) == wanted, lambda: f"{what}: { {n: len(v) for n, v in firsts(payloads()).items()} } of {load.said}, in this order?",
               seconds)


class Kafka:
    def __init__(self, program):
        self.path = os.path.join(work, "kafka.log")
        with open(self.path, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen([program, "berth.event", "4"], stdin=subprocess.PIPE, stdout=out, text=True)
        processes.append(self.process)
        self.brokers = eventually(lambda: re.search(r"^brokers (\S+)$", self.said(), re.M), "the cluster").group(1)

    def said(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        eventually(lambda: f"done {line}\n" in self.said(), line)

    def messages(self):
        """(partition, offset, key, headers, payload)"""
        out = []
        for line in self.said().split("\n")[:-1]:
            found = re.fullmatch(r"(\d+) (\d+) (\S+) (\S+) (.*)", line)
            if found:
                out.append(found.groups())
        return out

    def payloads(self):
        return [m[4] for m in self.messages()]
