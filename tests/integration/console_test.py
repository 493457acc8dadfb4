#!/usr/bin/env python3
"""The console (docs/console.md) in a real browser, against a gateway with a simulated lot and 100,000 registered devices: each screen
in both languages, log-in and rights, a death of the engine while it is open. The steps are in console/e2e/.

  console_test.py BERTH SOURCE WORK [--shots DIRECTORY]     WORK: build/console/work, made by scripts/build-console

Skipped (77) where Node.js, Chromium or the bundle is missing; an error with BERTH_CONSOLE_NEEDED=1.
"""
import json, os, shutil, socket, subprocess, sys, threading, time

berth, source, built = (os.path.abspath(a) for a in sys.argv[1:4])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, Program, eventually, work  # noqa: E402
from mqtt import Mqtt  # noqa: E402

CONFIG = """
auth: {failures_per_name: 0, failures_per_address: 0}
registry: {source: store}
"""


def skip(why):
    if os.environ.get("BERTH_CONSOLE_NEEDED"):
        raise SystemExit(why)
    print(why + ": skipped")
    sys.exit(77)


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def registered(gateway, name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    done = subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", "registry", "import", path], capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")


def many_devices(tenants, sites, devices):
    lines = ["tenant,site,device,display_name"]
    for i in range(devices):
        site = i % sites
        lines.append(f"big-{site % tenants},site-{site:03},device-{i:06},设备{i}")
    return "\n".join(lines) + "\n"


def cpu_s(gateway):
    """Of the edge and its engines, so far."""
    pids = [gateway.process.pid] + [int(p) for p in subprocess.run(["pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True).stdout.split()]
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            ticks += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def cost_of_consoles(gateway, consoles=10, seconds=5.0):
    """What one open console costs the gateway, of a core: boards of all sites, with a lot at work."""
    def passed():
        before = cpu_s(gateway)
        time.sleep(seconds)  # of the time that is measured
        return cpu_s(gateway) - before
    without = passed()
    streams, heard = [], []

    def read(s):
        while s.recv(65536):
            heard.append(s)
    for _ in range(consoles):
        s = socket.create_connection(("127.0.0.1", gateway.admin))
        s.sendall(f"GET /api/v1/board/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {gateway.token}\r\n\r\n".encode())
        streams.append(s)
        threading.Thread(target=read, args=(s,), daemon=True).start()
    eventually(lambda: len(set(heard)) == consoles, "each stream has said something")
    with_them = passed()
    for s in streams:
        s.shutdown(socket.SHUT_RDWR)
    without = min(without, passed())  # the lot may have been busier before
    cost = max(0.0, with_them - without) / seconds / consoles
    check(cost < 0.02, f"an open console costs {100 * cost:.1f} % of a core")
    print(f"an open console costs the gateway {100 * cost:.2f} % of a core")


def main():
    chromium = shutil.which("chromium")
    if not shutil.which("node") or not os.path.exists(os.path.join(built, "node_modules/playwright-core")):
        skip("Node.js or the console's packages are missing")
    if not chromium:
        skip("Chromium is missing")
    gateway = Gateway(berth, {"berth.yaml": CONFIG})
    lot = os.path.join(source, "config/lots/small.yaml")
    registered(gateway, "lot.yaml", subprocess.run([berth, "sim", lot, "--registry"], capture_output=True, text=True, check=True).stdout)
    registered(gateway, "people.yaml", """
tenants:
  - name: demo
    accounts:
      - {name: guard, role: operator, api: [read], credentials: [{auth_id: guard, password: look-only}]}
      - {name: back, role: service, api: [read, plates, change, command], credentials: [{auth_id: back, password: may-command}]}
    sites: [{name: mute, display_name: 哑车场, time_zone: Asia/Shanghai}]
    devices:
      - {name: mute-gate, site: mute, display_name: 哑道闸, credentials: [{auth_id: mute-gate, password: right}]}
  - name: other
    accounts:
      - {name: theirs, role: service, api: [read], credentials: [{auth_id: theirs, password: their-own}]}
    sites: [{name: far}]
""")
    tenants = 5
    registered(gateway, "sites.yaml", "tenants:\n" + "".join(
        f"  - name: big-{t}\n    sites: [{', '.join('{name: site-%03d}' % s for s in range(300) if s % tenants == t)}]\n" for t in range(tenants)))
    registered(gateway, "many.csv", many_devices(tenants, 300, 100_000))
    sim = Program([berth, "sim", lot, "--mqtt", f"127.0.0.1:{gateway.mqtt}", "--park", f"127.0.0.1:{gateway.park}", "--for", "600"], "sim")
    eventually(lambda: any(s["site"] == "north" and s["online"] > 20 for s in gateway.ask("GET", "/api/v1/board?tenant=demo")[1]["items"]),
               "the lot's devices")
    cost_of_consoles(gateway)
    # It takes a command and never answers: its outcome can't be known.
    device = Mqtt(gateway.mqtt, "mute-gate", "mute-gate@demo", "right", ["v1/cmd/#"])
    status, said = gateway.ask("POST", "/api/v1/commands?wait=true", {"id": "lost-1", "tenant": "demo", "device": "mute-gate", "type": "open", "ttl_ms": 1000})
    check(status == 200 and said["outcome"] == "UNCERTAIN", f"{status} {said}")
    steps = {"url": f"http://127.0.0.1:{gateway.admin}", "token": gateway.token, "chromium": chromium, "profile": os.path.join(work, "browser")}
    if "--shots" in sys.argv:
        steps["shots"] = os.path.abspath(sys.argv[sys.argv.index("--shots") + 1])
        os.makedirs(steps["shots"], exist_ok=True)
    done = subprocess.run(["node", "e2e/run.mjs", json.dumps(steps)], cwd=built, timeout=280)
    check(done.returncode == 0, f"the browser's part ended with {done.returncode}\n{gateway.said()[-3000:]}")
    # Power is lost at the site: the board says so at once, long before the devices are told as offline.
    sim.process.kill()
    board = "/api/v1/board?tenant=demo&site=north"
    gone = eventually(lambda: next((s for s in gateway.ask("GET", board)[1]["items"] if s["leaving"] == s["online"] > 20), None), "all are leaving", seconds=5)
    check(not any(lane["online"] for lane in gone["lanes"]), f"{gone['lanes'][:3]}")
    device.goodbye()
    gateway.end()
    check(gateway.process.returncode == 0, f"it ended with {gateway.process.returncode}")


main()
