#!/usr/bin/env python3
"""What a report costs the gateway over the Park protocol, beside the same Envelope as an MQTT QoS 1 PUBLISH.

  bench/park.py [--messages 200000] [--rounds 5] [--pubs 100] [--window 10]

CPU of all processes of the gateway, a platform (mosquitto_sub, QoS 1) hears everything, rounds of the two interleaved; the
median of each, and their ratio.
"""
import argparse, json, os, platform, statistics, subprocess, tempfile

from cluster_scale import BERTH, ROOT, Process, free_port, wait_for

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
    for shape, flags in [("single-process", ["--single-process"]), ("supervised", [])]:
        with tempfile.TemporaryDirectory() as d:
            mqtt, park = free_port(), free_port()
            os.environ["BERTH_PARK_LISTEN"] = f"127.0.0.1:{park}"
            gateway = Process([BERTH, "serve", "--mqtt", f"127.0.0.1:{mqtt}", "--admin", "127.0.0.1:ADMIN", "--data", d + "/data",
                               "--anonymous"] + flags, d, "gateway")
            try:
                wait_for("the gateway", lambda: gateway.get("/readyz"))
                platform_ = subprocess.Popen(["mosquitto_sub", "-V", "5", "-p", str(mqtt), "-q", "1", "-t", "v1/#", "-N"],
                                             stdout=subprocess.DEVNULL)
                wait_for("its subscriber", lambda: gateway.metric("berth_subscriptions") == 1)
                costs = {"mqtt": [], "park": []}
                for _ in range(a.rounds):
                    for name, where in [("mqtt", ["--port", str(mqtt)]), ("park", ["--park-port", str(park)])]:
                        costs[name].append(cost(where, gateway.process.pid, a))
                median = {k: statistics.median(v) for k, v in costs.items()}
                print(f"{shape:15} MQTT QoS 1 {median['mqtt']:.2f} us, Park {median['park']:.2f} us a report:"
                      f" {median['park'] / median['mqtt']:.2f} x")
            finally:
                platform_.kill()
                gateway.end()


def cost(where, pid, a):
    """Microseconds a report."""
    out = subprocess.run([LOAD, "reports", *where, "--pid", str(pid), "--messages", str(a.messages), "--pubs", str(a.pubs),
                          "--window", str(a.window)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)["cpu_s_per_100k"] * 10


if __name__ == "__main__":
    main()
