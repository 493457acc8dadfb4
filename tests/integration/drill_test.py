#!/usr/bin/env python3
"""The drill of docs/operations.md runs as it stands there, beside a gateway with a registry: it passes, and it does not pass when the
export has lost a record.

  drill_test.py BERTH SOURCE
"""
import os, re, signal, socket, subprocess, sys, tempfile, time, urllib.request

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def drill():
    with open(source + "/docs/operations.md", encoding="utf-8") as f:
        part = f.read().split("\n### A drill\n")[1].split("\n## ")[0]
    lines = [l[4:] for l in part.splitlines() if l.startswith("    ")]
    check(len(lines) >= 7, f"the drill is {len(lines)} lines")
    return "\n".join(lines) + "\n"


def ready(admin, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5) as r:
                if r.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)  # between looks
    raise SystemExit("the gateway is not ready")


def main():
    text = drill()
    with tempfile.TemporaryDirectory() as d:
        mqtt, admin = free_port(), free_port()
        os.mkdir(d + "/bin")
        os.symlink(berth, d + "/bin/berth")
        gateway = subprocess.Popen([berth, "serve", "--mqtt", f"127.0.0.1:{mqtt}", "--admin", f"127.0.0.1:{admin}", "--data", d + "/data"],
                                   env={**os.environ, "BERTH_REGISTRY_SOURCE": "store"}, stdout=open(d + "/log", "w"), stderr=subprocess.STDOUT)
        try:
            ready(admin)
            with open(d + "/records.yaml", "w", encoding="utf-8") as f:
                f.write("tenants:\n  - name: acme\n    sites: [{name: north}]\n    devices:\n"
                        "      - {name: gate, site: north, credentials: [{auth_id: gate, password: right}]}\n"
                        "      - {name: disabled, site: north, enabled: false}\n")
            subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{admin}", "registry", "import", d + "/records.yaml"], check=True, capture_output=True, timeout=60)

            def run(script):
                os.makedirs(d + "/work", exist_ok=True)
                script = (script.replace("2883", str(free_port())).replace("2180", str(free_port())).replace("DEVICE@TENANT", "gate@acme").replace("PASSWORD", "right")
                          .replace("sleep 1", "sleep 0.1").replace("berth ctl registry export", f"berth ctl --admin 127.0.0.1:{admin} registry export"))
                return subprocess.run(["bash", "-c", script], cwd=d + "/work", text=True, capture_output=True, timeout=120,
                                      env={**os.environ, "PATH": f"{d}/bin:{os.environ['PATH']}"})

            done = run(text)
            check(re.search(r"^passed$", done.stdout, re.M), f"{done.stdout}{done.stderr}")
            check(not os.listdir(d + "/work") or os.listdir(d + "/work") == ["registry.yaml"], f"left behind: {os.listdir(d + '/work')}")
            # A backup that has lost a device.
            done = run(text.replace("> registry.yaml)", "| sed 's/gate/gone/g' > registry.yaml)"))
            check(not re.search(r"^passed$", done.stdout, re.M), "passed with a backup without the device")
            print("the drill passes, and finds a backup that has lost a device")
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(60)


main()
