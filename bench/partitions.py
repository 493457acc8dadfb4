#!/usr/bin/env python3
"""What partitions cost: CPU of engines and Redis for each message, by how many partitions and engines; and
how many QoS 1 messages a second 100 publishers can bring to one subscriber.

  bench/partitions.py [--devices 300] [--rate 3000] [--seconds 10] [--rounds 3] [--json FILE]

Real processes on loopback: a Redis (appendfsync everysec), engines, one edge, oracle devices
(tests/cluster/oracle.cc): each publishes to its neighbour, a third each of QoS 0, 1 and 2, half of them with
persistent sessions. With P partitions (P - 1) / P of the messages go from one to another. The shapes take turns
in every round; the ratios are of medians. Needs build/release.
"""
import argparse, json, os, platform, statistics, subprocess, tempfile, time

from compare import LOAD
from cluster_scale import BERTH, ORACLE, ROOT, Process, free_port, wait_for

SHAPES = [(1, 1), (2, 1), (4, 1), (4, 2)]  # partitions, engines


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def run(partitions, engines, a):
    with tempfile.TemporaryDirectory() as d:
        started = []
        try:
            redis, links, port = free_port(), [free_port() for _ in range(engines)], free_port()
            store = Process(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--dir", d, "--save", "",
                             "--appendonly", "yes", "--appendfsync", "everysec"], d, "redis")
            where = ["--engines", ",".join(f"127.0.0.1:{p}" for p in links), "--partitions", str(partitions)]
            # as in compare.py: nothing may be dropped where the subscriber is slower than all publishers together
            os.environ.update(BERTH_CLUSTER_REBALANCE_MS="500", BERTH_SESSION_QUEUE_MESSAGES="10000000",
                              BERTH_SESSION_QUEUE_BYTES="4000000000")
            held = [Process([BERTH, "engine", "--anonymous", "--links", f"127.0.0.1:{p}", "--admin", "127.0.0.1:ADMIN",
                             "--store", f"redis://127.0.0.1:{redis}"] + where, d, f"engine{p}") for p in links]
            edge = Process([BERTH, "edge", "--mqtt", f"127.0.0.1:{port}", "--admin", "127.0.0.1:ADMIN"] + where, d, "edge")
            started = [store, edge] + held
            wait_for("ready", lambda: edge.get("/readyz") == "ok\n")
            share = partitions // engines
            wait_for("shared out", lambda: all(e.metric("berth_engine_serving") == share for e in held))
            oracle = subprocess.Popen([ORACLE, "127.0.0.1", str(port), "o", str(a.devices), str(a.rate)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append(type("Oracle", (), {"end": lambda self: (oracle.kill(), oracle.wait())})())
            if oracle.stdout.readline().strip() != "connected":
                raise SystemExit("devices could not connect")
            time.sleep(1)
            pids = {"engines": [e.process.pid for e in held], "redis": [store.process.pid], "edge": [edge.process.pid]}
            before = {k: sum(map(cpu_ms, v)) for k, v in pids.items()}
            taken = sum(e.metric('berth_partition_messages_total{result="taken"}') for e in held)
            time.sleep(a.seconds)
            used = {k: sum(map(cpu_ms, v)) - before[k] for k, v in pids.items()}
            taken = sum(e.metric('berth_partition_messages_total{result="taken"}') for e in held) - taken
            oracle.stdin.write("stop\n")
            oracle.stdin.flush()
            r = json.loads(oracle.stdout.readline())
            for bad in ("lost", "closed", "resent_live", "out_of_order", "qos0_doubled", "qos2_doubled"):
                if r[bad]:
                    raise SystemExit(f"{bad}: {r[bad]} {r['first_problem']}")
            load = subprocess.run([LOAD, "fanin", "--port", str(port), "--pid", str(edge.process.pid), "--qos", "1", "--pubs", "100",
                                   "--window", "10", "--messages", str(a.messages)], capture_output=True, text=True, timeout=300)
            if load.returncode != 0:
                raise SystemExit(load.stderr)
            n = a.rate * a.seconds
            return {"fanin": json.loads(load.stdout)["per_s"], "us": {k: 1000 * v / n for k, v in used.items()}, "crossed": taken / n, "p50": r["p50_ms"], "p99": r["p99_ms"]}
        finally:
            for p in reversed(started):
                p.end()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--devices", type=int, default=300)
    p.add_argument("--rate", type=int, default=3000)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--messages", type=int, default=50000, help="of the fan-in")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json")
    a = p.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, commit {commit}, devices {a.devices}, {a.rate} messages/s, "
          f"{a.seconds} s, {a.rounds} rounds")
    rows = {s: [] for s in SHAPES}
    for _ in range(a.rounds):
        for s in SHAPES:
            rows[s].append(run(*s, a))
    print(f"{'partitions':>10} {'engines':>8} {'crossed':>8} {'engine us':>10} {'redis us':>9} {'edge us':>8} {'ratio':>6}"
          f" {'ack p50':>8} {'p99 ms':>7} {'fan-in/s':>9}")
    report = []
    for (partitions, engines), rs in rows.items():
        def median(f):
            return statistics.median(f(r) for r in rs)
        us = {k: median(lambda r: r["us"][k]) for k in rs[0]["us"]}
        row = {"partitions": partitions, "engines": engines, "crossed": median(lambda r: r["crossed"]), "us": us,
               "total": sum(us.values()), "p50": median(lambda r: r["p50"]), "p99": median(lambda r: r["p99"]),
               "fanin": median(lambda r: r["fanin"])}
        report.append(row)
        print(f"{partitions:>10} {engines:>8} {row['crossed']:>8.2f} {us['engines']:>10.1f} {us['redis']:>9.1f} {us['edge']:>8.1f} "
              f"{row['total'] / report[0]['total']:>6.2f} {row['p50']:>8.1f} {row['p99']:>7.1f} "
              f"{row['fanin']:>9.0f}")
    if a.json:
        with open(a.json, "w") as f:
            json.dump(report, f, indent=1)


if __name__ == "__main__":
    main()
