#!/usr/bin/env python3
"""Uplinks (docs/uplinks.md): what devices were told to be taken is at the platform's broker, in order, after the death of the engine,
of the broker and of both; a queue is kept while the broker is away, and by a configuration that changes.

  uplink_test.py BERTH SOURCE
"""
import json, os, signal, socket, subprocess, sys, threading, time

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, Program, eventually, read, work  # noqa: E402
from mqtt import Mqtt  # noqa: E402
from upstream import Upstream  # noqa: E402

CONFIG = """
auth: {anonymous: always, failures_per_name: 0, failures_per_address: 0}
registry: {source: file, file: registry.yaml}
uplinks: {file: uplinks.yaml, files_dir: secrets}
presence: {offline_after_s: 1}
session: {restart_grace_s: 1}
"""
REGISTRY = """
tenants:
  - name: acme
    sites: [{name: north}]
    devices:
      - {name: cam, site: north, credentials: [{auth_id: cam, password: right}]}
      - {name: gate, site: north, credentials: [{auth_id: gate, password: right}]}
"""


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def uplinks_file(*ports, more=""):
    return "uplinks:\n" + "".join(
        f"  - {{name: up{i}, kind: mqtt, url: 'mqtt://127.0.0.1:{port}', select: [event, telemetry, presence]{more}}}\n" for i, port in enumerate(ports))


def write(text):
    """As an editor does it: the whole file at once."""
    path = os.path.join(work, "gateway/uplinks.yaml")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


def states(gateway):
    return {u["name"]: u for u in gateway.ask("GET", "/api/v1/uplinks")[1]["items"]}


def ctl(gateway, *words, code=0):
    done = subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", *words], text=True, capture_output=True, timeout=120)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout


class Load:
    """Two devices publish without a pause; `said`: what has its PUBACK, by device."""

    def __init__(self, gateway, names=("cam", "gate")):
        self.said, self._go = {n: [] for n in names}, True
        self._threads = [threading.Thread(target=self._run, args=(n, Mqtt(gateway.mqtt, n, f"{n}@acme", "right", [])), daemon=True)
                         for n in names]
        for t in self._threads:
            t.start()

    def _run(self, name, device):
        check(device.code == 0, f"log-in refused: {device.code}")
        while self._go:
            first = len(self.said[name])
            batch = [f"{name}-{first + i}" for i in range(20)]
            device.publish_all([("v1/event/parts", p) for p in batch])
            self.said[name] += batch
        device.goodbye()

    def count(self):
        return sum(len(v) for v in self.said.values())

    def end(self):
        self._go = False
        for t in self._threads:
            t.join()


def expect_all(upstream, load, what):
    """Each message that was acknowledged is there, in the order of its device."""
    def there():
        seen = upstream.firsts()
        return all([p for p in seen if p.startswith(n + "-")][:len(said)] == said for n, said in load.said.items())
    eventually(there, lambda: f"{what}: {len(set(upstream.payloads()))} of {load.count()}")


def through_deaths(gateway, upstream):
    load = Load(gateway)
    eventually(lambda: load.count() > 200, "messages")
    for _ in range(3):
        os.kill(gateway.engine(), signal.SIGKILL)
        begun = load.count()
        eventually(lambda: load.count() > begun + 200, "messages behind the next engine")
    upstream.kill()
    begun = load.count()
    eventually(lambda: load.count() > begun + 500, "devices do not notice that the platform is away")
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: load.count() > begun + 1000, "messages behind the next engine")
    eventually(lambda: states(gateway).get("up0", {}).get("queued", 0) > 500, lambda: states(gateway))
    eventually(lambda: states(gateway)["up0"]["error"], lambda: states(gateway))
    upstream.start()
    load.end()
    expect_all(upstream, load, "after deaths")
    eventually(lambda: states(gateway)["up0"]["queued"] == 0, lambda: states(gateway))
    topics = {m[0] for m in upstream.messages}
    check({"berth/v1/acme/north/cam/event/parts", "berth/v1/acme/north/gate/event/parts"} <= topics, f"{topics}")
    check(all(b"berth-id" in m[3] for m in upstream.messages), "a message without an id")
    eventually(lambda: any(m[0].endswith("cam/presence") and m[2] for m in upstream.messages), "presence, retained")


def a_platform_that_hangs(gateway, upstream):
    """It takes everything and acknowledges nothing: what is on its way has a bound, and nothing is lost."""
    upstream.acknowledges = False
    before = len(upstream.messages)
    load = Load(gateway, ("cam",))
    eventually(lambda: load.count() > 4000, "messages")
    load.end()
    eventually(lambda: states(gateway)["up0"]["queued"] >= 4000, lambda: states(gateway))
    check(len(upstream.messages) - before <= 500 + 10, f"{len(upstream.messages) - before} are on their way")
    upstream.kill()
    upstream.acknowledges = True
    first = {m[1]: m[3] for m in upstream.messages[before:]}
    check(len(first) > 100, f"{len(first)} messages were on their way")
    del upstream.messages[:]  # its names begin anew
    upstream.start()
    expect_all(upstream, load, "after it has hung")
    again = {m[1]: m[3] for m in upstream.messages}
    check(all(again[p] == i for p, i in first.items()), "sent again with another id")


def a_configuration_that_changes(gateway, upstream):
    other = Upstream()
    write(uplinks_file(upstream.port, other.port))
    eventually(lambda: states(gateway).get("up1", {}).get("connected") == 1, lambda: states(gateway))
    del upstream.messages[:]
    load = Load(gateway, ("gate",))
    eventually(lambda: load.count() > 100, "messages")
    load.end()
    expect_all(upstream, load, "the first")
    expect_all(other, load, "the second")
    for bad, why in (("uplinks:\n  - {name: up0}\n", "uplinks.yaml:2: kind is missing"), ("", "one key is expected, uplinks")):
        write(bad)
        eventually(lambda: why in gateway.said(), lambda: f"{why}: {gateway.said()[-1000:]}")
    check(set(states(gateway)) == {"up0", "up1"}, "a bad file changes nothing")
    other.kill()
    load = Load(gateway, ("gate",))
    eventually(lambda: load.count() > 100, "messages")
    load.end()
    eventually(lambda: states(gateway)["up1"]["queued"] >= 100, lambda: states(gateway))
    ctl(gateway, "uplinks", "forget", "up1", code=1)
    write(uplinks_file(upstream.port, more=", connections: 3"))
    eventually(lambda: states(gateway)["up1"]["configured"] is False and states(gateway)["up0"]["connected"] == 3, lambda: states(gateway))
    check(states(gateway)["up1"]["queued"] >= 100, "a queue went with a line of a file")
    listed = json.loads(ctl(gateway, "uplinks"))["items"]
    check({u["name"] for u in listed} == {"up0", "up1"}, f"{listed}")
    ctl(gateway, "uplinks", "forget", "up1")
    check(set(states(gateway)) == {"up0"}, f"it is forgotten: {states(gateway)} {gateway.said()[-3000:]}")
    del upstream.messages[:]
    load = Load(gateway)
    eventually(lambda: load.count() > 2000, "messages")
    load.end()
    expect_all(upstream, load, "over three connections")
    check(len(set(upstream.clients[-3:])) == 3, f"client ids: {upstream.clients}")


def a_poisonous_message(gateway, upstream):
    """One for which the platform ends the connection goes; all others arrive."""
    write(uplinks_file(upstream.port))
    eventually(lambda: states(gateway)["up0"]["connections"] == 1 and states(gateway)["up0"]["connected"] == 1, lambda: states(gateway))
    del upstream.messages[:]
    upstream.poison = "/event/poison"
    cam, gate = (Mqtt(gateway.mqtt, n, f"{n}@acme", "right", []) for n in ("cam", "gate"))
    cam.publish_all([("v1/event/parts", "before"), ("v1/event/poison", "poison")] + [("v1/event/parts", f"behind-{i}") for i in range(50)])
    gate.publish("v1/event/parts", "of another")
    eventually(lambda: {"before", "of another", "behind-49"} <= set(upstream.payloads()), lambda: f"{upstream.payloads()} {states(gateway)}")
    check([p for p in upstream.firsts() if p.startswith("behind")] == [f"behind-{i}" for i in range(50)], f"{upstream.firsts()}")
    eventually(lambda: states(gateway)["up0"]["queued"] == 0 and states(gateway)["up0"]["refused_by_platform"] == 1, lambda: states(gateway))
    cam.publish("v1/event/" + "x" * 60, "fits")
    eventually(lambda: "fits" in upstream.payloads(), "the next one")
    upstream.poison = None
    for d in (cam, gate):
        d.goodbye()


def a_small_window(gateway, upstream):
    """A platform with a small Receive Maximum (Mosquitto's is 20): no more is on its way, and no time is lost."""
    upstream.kill()
    upstream.receive_maximum, upstream.acknowledges = 10, False
    del upstream.messages[:]
    load = Load(gateway, ("gate",))
    eventually(lambda: load.count() > 3000, "messages")
    load.end()
    upstream.start()
    eventually(lambda: len(upstream.messages) >= 10, "ten on their way")
    check(len(upstream.messages) == 10, f"{len(upstream.messages)} are on their way")
    upstream.kill()
    upstream.acknowledges = True
    upstream.start()
    eventually(lambda: states(gateway)["up0"]["connected"] == 1, lambda: states(gateway))
    eventually(lambda: states(gateway)["up0"]["queued"] == 0, lambda: states(gateway), 20)
    expect_all(upstream, load, "ten at a time")
    upstream.receive_maximum = 0


def what_expires_does_not_go(gateway, upstream):
    upstream.kill()
    eventually(lambda: states(gateway)["up0"]["connected"] == 0, lambda: states(gateway))
    subprocess.run(["mosquitto_pub", "-p", str(gateway.mqtt), "-V", "5", "-u", "cam@acme", "-P", "right", "-i", "expires", "-q", "1", "-t", "v1/event/parts",
                    "-m", "too late", "-D", "publish", "message-expiry-interval", "1"], check=True)
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/parts", "in time")
    begun = time.monotonic()
    eventually(lambda: time.monotonic() - begun > 1.5, "a second and a half")
    upstream.start()
    eventually(lambda: "in time" in upstream.payloads(), "the other one")
    check("too late" not in upstream.payloads(), "an expired message went")
    eventually(lambda: states(gateway)["up0"]["expired"] == 1, lambda: states(gateway))
    device.goodbye()


def a_planned_end(gateway, upstream):
    """An engine that is replaced waits for what is on its way: nothing comes twice."""
    del upstream.messages[:]
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    said, go = [], [True]

    def run():
        while go[0]:
            device.publish("v1/event/parts", f"planned-{len(said)}")
            said.append(f"planned-{len(said)}")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    for _ in range(3):
        begun = len(said)
        ctl(gateway, "restart-engine")
        eventually(lambda: len(said) > begun + 50, "messages behind the next engine")
    go[0] = False
    thread.join()
    eventually(lambda: upstream.firsts() == said, lambda: f"{len(upstream.firsts())} of {len(said)}")
    check(len(upstream.payloads()) == len(said), f"{len(upstream.payloads()) - len(said)} of {len(said)} came twice")
    device.goodbye()


def a_real_broker(gateway):
    """Mosquitto, with a password, TLS and MQTT 3.1.1."""
    d = os.path.join(work, "broker")
    os.makedirs(d)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", d + "/key", "-out", d + "/crt"], check=True, capture_output=True)
    subprocess.run(["mosquitto_passwd", "-c", "-b", d + "/users", "berth", "secret"], check=True)
    for path, text in (("password", "secret\n"), ("conf", f"listener {port} 127.0.0.1\ncertfile {d}/crt\nkeyfile {d}/key\npassword_file {d}/users\nuser root\n")):
        with open(f"{d}/{path}", "w", encoding="utf-8") as f:
            f.write(text)
    Program(["mosquitto", "-c", d + "/conf"], "broker").says("running")
    heard = Program(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "--cafile", d + "/crt", "-u", "berth", "-P", "secret", "-q", "1", "-t", "#", "-d"], "heard")
    heard.says("SUBACK")
    write(f"uplinks:\n  - {{name: tls, kind: mqtt, url: 'mqtts://127.0.0.1:{port}', version: 4, user_name: berth, password_file: {d}/password, ca_file: {d}/crt}}\n")
    eventually(lambda: states(gateway).get("tls", {}).get("connected") == 1, lambda: f"{states(gateway)} {gateway.said()[-2000:]}")
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/parts", "over-tls")
    heard.says("over-tls")
    write(f"uplinks:\n  - {{name: tls, kind: mqtt, url: 'mqtts://127.0.0.1:{port}', user_name: berth, password_file: {d}/password}}\n")
    eventually(lambda: states(gateway)["tls"]["connected"] == 0 and states(gateway)["tls"]["failures"] > 0, "a certificate that nobody knows is refused")
    device.goodbye()


def made_over_rest(gateway, upstream):
    """An uplink that stands in no file: made, sends, outlives the engine, changed, gone with its queue."""
    other = Upstream()
    path = "/api/v1/uplinks/made"
    wanted = {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{other.port}", "select": ["event"]}
    for bad, why in (({"kind": "mqtt"}, "url is missing"), (dict(wanted, no=1), "unknown key 'no'"), (dict(wanted, name="else"), "name: not that of the path"),
                     (dict(wanted, user_name="b", password_file="/etc/shadow"), "without a path"), (dict(wanted, password_file="../x"), "without a path"),
                     (dict(wanted, password_file=".."), "without a path")):
        status, said = gateway.ask("PUT", path, bad)
        check(status == 422 and why in said["detail"], f"{bad}: {status} {said}")
    check(gateway.ask("PUT", "/api/v1/uplinks/up0", wanted)[0] == 409, "a name of the file")
    check(gateway.ask("PUT", "/api/v1/uplinks/a%2Fb", wanted)[0] == 422, "a name that is none")
    check(gateway.ask("PUT", path, wanted) == (201, {"created": True}), "made")
    check(gateway.ask("GET", path)[1] == {"definition": wanted, "partitions_that_differ": 0, "partitions_without_answer": 0}, f"{gateway.ask('GET', path)}")
    eventually(lambda: states(gateway).get("made", {}).get("connected") == 1, lambda: states(gateway))
    check(states(gateway)["made"]["defined"] == "rest" and states(gateway)["up0"]["defined"] == "file", f"{states(gateway)}")
    load = Load(gateway, ("gate",))
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: load.count() > 200, "messages")
    load.end()
    expect_all(other, load, "of an uplink that was made over REST")
    os.makedirs(os.path.join(work, "gateway/secrets"))
    with open(os.path.join(work, "gateway/secrets/password"), "w", encoding="utf-8") as f:
        f.write("right\n")
    check(gateway.ask("PUT", path, dict(wanted, user_name="berth", password_file="password"))[0] == 200, "changed")
    eventually(lambda: other.logins and other.logins[-1] == ("berth", "right"), lambda: f"{other.logins} {states(gateway)}")
    other.kill()
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/parts", "waits")
    eventually(lambda: states(gateway)["made"]["queued"] == 1, lambda: states(gateway))
    ctl(gateway, "uplinks", "forget", "made")
    check("made" not in states(gateway), f"{states(gateway)}")
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: "up0" in states(gateway), "the next engine")
    check("made" not in states(gateway) and gateway.ask("GET", path)[0] == 404, "it is gone for good")
    device.goodbye()


def main():
    upstream = Upstream()
    gateway = Gateway(berth, {"berth.yaml": CONFIG, "registry.yaml": REGISTRY, "uplinks.yaml": uplinks_file(upstream.port)})
    through_deaths(gateway, upstream)
    a_platform_that_hangs(gateway, upstream)
    a_configuration_that_changes(gateway, upstream)
    a_poisonous_message(gateway, upstream)
    a_small_window(gateway, upstream)
    what_expires_does_not_go(gateway, upstream)
    a_planned_end(gateway, upstream)
    a_real_broker(gateway)
    write(uplinks_file(upstream.port))
    eventually(lambda: states(gateway).get("up0", {}).get("configured"), lambda: states(gateway))
    made_over_rest(gateway, upstream)
    gateway.end()
    check(gateway.process.returncode == 0, f"it ended with {gateway.process.returncode}")
    print("what was acknowledged is at the platform, in order, once but for deaths and lost connections")


main()
