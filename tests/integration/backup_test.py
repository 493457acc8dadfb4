#!/usr/bin/env python3
"""`berth ctl backup` and `restore` (docs/operations.md, "Backup and restore"): made while devices publish, at any moment of which the
engine may die; restored, sessions, retained messages and devices are those of the backup, and what is lost is counted.

  backup_test.py BERTH SOURCE
"""
import os, signal, subprocess, sys, threading

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, eventually, work  # noqa: E402
from mqtt import Mqtt  # noqa: E402

CONFIG = """
auth: {anonymous: always, failures_per_name: 0, failures_per_address: 0}
store: {backups_kept: 2}
registry: {source: store}
session: {restart_grace_s: 1, queue_messages: 1000000, queue_bytes: 100000000}
"""
RECORDS = """
tenants:
  - name: acme
    sites: [{name: north}]
    devices:
      - {name: DEVICE, site: north, credentials: [{auth_id: DEVICE, password: right}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: right}]}
"""
DATA = os.path.join(work, "gateway/data")
# What a data directory holds and a backup does not: what the store itself remakes, or what belongs to this run.
NOT_SAVED = {"admin.token", "last-good", "quarantine", "backups"}


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def run(*words, code=0):
    done = subprocess.run([berth, "ctl", *words], text=True, capture_output=True, timeout=120)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def ctl(gateway, *words, code=0):
    return run("--admin", f"127.0.0.1:{gateway.admin}", *words, code=code)


def register(gateway, device):
    path = os.path.join(work, device + ".yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(RECORDS.replace("DEVICE", device))
    ctl(gateway, "registry", "import", path)


def backups(gateway):
    return [b["name"] for b in gateway.ask("GET", "/api/v1/backups")[1]["items"]]


class Load:
    """Publishes without a pause; every message of it has its PUBACK."""

    def __init__(self, gateway, topic):
        self.count, self._go = 0, True
        self._device = Mqtt(gateway.mqtt, "load", "gate@acme", "right", [])
        check(self._device.code == 0, f"log-in refused: {self._device.code}")
        self._thread = threading.Thread(target=self._run, args=(topic,))
        self._thread.start()

    def _run(self, topic):
        while self._go:
            self._device.publish_all([(topic, str(self.count + i)) for i in range(20)])
            self.count += 20

    def end(self):
        self._go = False
        self._thread.join()
        self._device.goodbye()


def main():
    gateway = Gateway(berth, {"berth.yaml": CONFIG})
    register(gateway, "gate")
    sleeper = Mqtt(gateway.mqtt, "sleeper", "platform@acme", "right", ["v1/north/gate/event/parts"], clean=False)
    sleeper.goodbye()
    load = Load(gateway, "v1/event/parts")
    eventually(lambda: load.count > 200, "messages")

    at_least = load.count
    path = ctl(gateway, "backup").strip()
    at_most = load.count + 20
    first = os.path.basename(path)
    check(os.path.isdir(path) and backups(gateway) == [first], f"{path}: {backups(gateway)}")
    left_out = {n for n in os.listdir(DATA) if not n.startswith("registry.db-")} - set(os.listdir(path)) - NOT_SAVED
    check(not left_out, f"in the data directory, and not in a backup: {left_out}")
    check(ctl(gateway, "backup", "list").count(first) == 1, "it is not listed")

    # The engine dies while one is made: devices notice nothing, nothing half is left behind.
    begun = []
    eventually(lambda: begun.append(gateway.ask("POST", "/api/v1/backups")) or begun[-1][0] == 202, lambda: begun[-1])
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: gateway.ask("GET", "/api/v1/backups")[0] == 200, "the next engine")
    here = backups(gateway)
    check(set(here) <= {first, begun[-1][1]["name"]}, f"{here}")
    last = os.path.basename(ctl(gateway, "backup").strip())
    check(last in backups(gateway) and len(backups(gateway)) <= 2, f"two are kept: {backups(gateway)}")
    check(not [n for n in os.listdir(DATA + "/backups") if n.startswith(".")], "a part of one is left behind")
    load.end()

    # An earlier one that has been put elsewhere meanwhile is as good.
    register(gateway, "later")
    check("a gateway runs on" in run("restore", last, "--data", DATA, code=1), "restored under a gateway that runs")
    before = load.count
    gateway.end()
    said = run("restore", last, "--data", DATA)
    check("replaced-" in said, said)
    check(not os.path.exists(DATA + "/.restoring"), "a copy is left behind")
    os.remove(gateway.path)  # its ports are those of the one before
    gateway = Gateway(berth, {"berth.yaml": CONFIG})
    woken = Mqtt(gateway.mqtt, "sleeper", "platform@acme", "right", [], clean=False)
    check(woken.code == 0, "the device is gone")
    check(Mqtt(gateway.mqtt, "later", "later@acme", "right", []).code != 0, "a device that was registered after the backup")
    eventually(lambda: len(woken.messages) >= at_least, lambda: f"{len(woken.messages)} messages of {at_least} to {before}")
    numbers = [int(payload) for _, payload in woken.messages]
    check(numbers[:at_least] == list(range(at_least)), f"out of order or missing: {numbers[:50]}")
    check(len(numbers) <= before and at_most <= before, f"{len(numbers)} of {before}")

    gateway.end()
    with open(os.path.join(DATA, "backups", last, "backup.json"), "w", encoding="utf-8") as f:
        f.write("{}")
    check("no backup" in run("restore", last, "--data", DATA, code=1), "what is no backup was restored")
    print("backups under load are whole, a dead engine leaves none half, a restore proves its copy first")


main()
