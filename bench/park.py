#!/usr/bin/env python3
"""What a report costs the gateway over the Park protocol, beside the same Envelope as an MQTT QoS 1 PUBLISH.

  bench/park.py [--messages 200000] [--rounds 5] [--pubs 100] [--window 10]

Twice: devices in no registry, whose PUBLISHes are passed on as they are; and registered ones whose platform gets Envelopes,
which the gateway then checks and completes for both. CPU of all processes of the gateway, a platform (mosquitto_sub, QoS 1) hears everything, rounds of the two interleaved; the
median of each, and their ratio.
"""
import argparse, base64, json, os, platform, statistics, subprocess, tempfile

from cluster_scale import BERTH, ROOT, Process, free_port, wait_for

KEY = "0123456789abcdef"
LOAD = os.path.join(os.path.dirname(BERTH), "berth-load")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--messages", type=int, default=200000)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--pubs", type=int, default=100)
    p.add_argument("--window", type=int, default=10)
    a = p.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, commit {commit}, {a.messages} reports of {a.pubs} devices,"
          f" {a.window} under way each")
    for registered in [False, True]:
        for shape, flags in [("single-process", ["--single-process"]), ("supervised", [])]:
            compare(shape, flags, registered, a)


def registry(path, devices):
    """A registry file with so many devices, who log in by password or key."""
    with open(path, "w") as f:
        f.write("tenants:\n  - name: t\n    envelopes: protobuf\n    sites: [{name: s}]\n    accounts:\n"
                "      - {name: p, role: service, credentials: [{auth_id: p, password: p}]}\n    devices:\n")
        for i in range(devices):
            f.write(f"      - {{name: dev{i}, site: s, credentials: [{{auth_id: dev{i}, password: p}},"
                    f" {{auth_id: key-dev{i}, key: {base64.b64encode(KEY.encode()).decode()}}}]}}\n")


def compare(shape, flags, registered, a):
    with tempfile.TemporaryDirectory() as d:
        mqtt, park = free_port(), free_port()
        os.environ["BERTH_PARK_LISTEN"] = f"127.0.0.1:{park}"
        who, platform_as = [], []
        if registered:
            registry(d + "/registry.yaml", a.pubs)
            os.environ.update(BERTH_REGISTRY_SOURCE="file", BERTH_REGISTRY_FILE=d + "/registry.yaml")
            who = ["--tenant", "t", "--password", "p", "--key", KEY]
            platform_as = ["-u", "p@t", "-P", "p"]
        gateway = Process([BERTH, "serve", "--mqtt", f"127.0.0.1:{mqtt}", "--admin", "127.0.0.1:ADMIN", "--data", d + "/data",
                           "--anonymous"] + flags, d, "gateway")
        platform_ = None
        try:
            wait_for("the gateway", lambda: gateway.get("/readyz"))
            platform_ = subprocess.Popen(["mosquitto_sub", "-V", "5", "-p", str(mqtt), "-q", "1", "-t", "v1/#", "-N"] + platform_as,
                                         stdout=subprocess.DEVNULL)
            wait_for("its subscriber", lambda: gateway.metric("berth_subscriptions") == 1)
            costs = {"mqtt": [], "park": []}
            for _ in range(a.rounds):
                for name, where in [("mqtt", ["--port", str(mqtt)]), ("park", ["--park-port", str(park)])]:
                    costs[name].append(cost(where + who, gateway.process.pid, a))
            median = {k: statistics.median(v) for k, v in costs.items()}
            what = "Envelopes of registered devices" if registered else "as they are"
            print(f"{shape:15} {what:32} MQTT QoS 1 {median['mqtt']:.2f} us, Park {median['park']:.2f} us a report:"
                  f" {median['park'] / median['mqtt']:.2f} x", flush=True)
        finally:
            if platform_ is not None:
                platform_.kill()
            gateway.end()


def cost(where, pid, a):
    """Microseconds a report."""
    out = subprocess.run([LOAD, "reports", *where, "--pid", str(pid), "--messages", str(a.messages), "--pubs", str(a.pubs),
                          "--window", str(a.window)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)["cpu_s_per_100k"] * 10


if __name__ == "__main__":
    main()
