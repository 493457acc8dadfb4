#!/usr/bin/env python3
"""How long devices wait when the engine of a cluster is killed, by the number of sessions; and one engine
with 50,000 connections of three edges.

  bench/cluster_scale.py [--sizes 1000,2500,5000,10000,16000] [--large 50000] [--json FILE]

Real processes on loopback: a Redis (appendfsync everysec), two engines, an edge (three for --large), oracle
devices (tests/cluster/oracle.cc) that publish 1000 messages a second. Needs build/release.
"""
import argparse, json, os, platform, signal, socket, subprocess, sys, tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BERTH = os.path.join(ROOT, "build/release/berth")
ORACLE = os.path.join(ROOT, "build/release/tests/berth-oracle")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise SystemExit(f"timed out: {what}")
        time.sleep(0.05)


class Process:
    def __init__(self, argv, directory, name):
        self.admin = free_port()
        log = open(os.path.join(directory, name + ".log"), "w")
        self.process = subprocess.Popen([a.replace("ADMIN", str(self.admin)) for a in argv], stdout=log, stderr=log)

    def get(self, target):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{target}", timeout=2).read().decode()
        except OSError:
            return ""

    def metric(self, name):
        return next((float(l.split()[-1]) for l in self.get("/metrics").splitlines() if l.startswith(name + " ")), 0.0)

    def serving(self):
        return '"state":"serving"' in self.get("/api/v1/status")

    def end(self):
        self.process.kill()
        self.process.wait()


def run(devices, edges, rate):
    with tempfile.TemporaryDirectory() as d:
        started = []
        try:
            redis, links, ports = free_port(), [free_port(), free_port()], [free_port() for _ in range(edges)]
            started.append(Process(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--dir", d, "--save", "",
                                    "--appendonly", "yes", "--appendfsync", "everysec"], d, "redis"))
            engines = [Process([BERTH, "engine", "--anonymous", "--links", f"127.0.0.1:{p}", "--admin", "127.0.0.1:ADMIN",
                                "--store", f"redis://127.0.0.1:{redis}"], d, f"engine{p}") for p in links]
            where = ",".join(f"127.0.0.1:{p}" for p in links)
            held = [Process([BERTH, "edge", "--engines", where, "--mqtt", f"127.0.0.1:{p}", "--admin", "127.0.0.1:ADMIN"],
                            d, f"edge{p}") for p in ports]
            started += engines + held
            for e in engines + held:
                wait_for("ready", lambda: e.get("/readyz") == "ok\n")
            oracles = [subprocess.Popen([ORACLE, "127.0.0.1", str(p), f"c{p}", str(devices // edges), str(rate / edges)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for p in ports]
            started += [type("Oracle", (), {"end": lambda self, o=o: (o.kill(), o.wait())})() for o in oracles]
            for o in oracles:
                if o.stdout.readline().strip() != "connected":
                    raise SystemExit("devices could not connect")
            time.sleep(3)
            active = next(e for e in engines if e.serving())
            rss = active.metric('process_resident_memory_bytes{role="engine"}')
            cpu = active.metric('process_cpu_seconds_total{role="engine"}')
            time.sleep(2)
            cpu = (active.metric('process_cpu_seconds_total{role="engine"}') - cpu) / 2
            active.process.send_signal(signal.SIGKILL)
            wait_for("the other engine", lambda: any(e.serving() for e in engines if e is not active))
            time.sleep(2)
            gap = 1000 * max(e.metric("berth_engine_last_gap_seconds") for e in held)
            restore = 1000 * max(e.metric("berth_restore_seconds") for e in engines if e is not active)
            for o in oracles:
                o.stdin.write("stop\n")
                o.stdin.flush()
            reports = [json.loads(o.stdout.readline()) for o in oracles]
            return {"connections": devices, "edges": edges, "gap_ms": gap, "restore_ms": restore,
                    "engine_rss_mb": round(rss / 1e6, 1), "engine_cpu": round(cpu, 2),
                    "closed": sum(r["closed"] for r in reports), "lost": sum(r["lost"] for r in reports),
                    "ack_max_ms": max(r["max_ms"] for r in reports), "ack_p50_ms": max(r["p50_ms"] for r in reports)}
        finally:
            for s in reversed(started):
                s.end()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sizes", default="1000,2500,5000,10000,16000")
    p.add_argument("--large", type=int, default=50000)
    p.add_argument("--json")
    a = p.parse_args()
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, Linux {platform.release()}; commit {revision}; "
          f"bench/cluster_scale.py {' '.join(sys.argv[1:])}")
    print(f"{'connections':>12} {'edges':>5} {'gap ms':>7} {'restore':>8} {'ack max':>8} {'p50':>6} {'engine MB':>9} {'CPU':>5} {'closed':>6} {'lost':>5}")
    rows = []
    plan = [(int(s), 1) for s in a.sizes.split(",") if s] + ([(a.large, 3)] if a.large else [])
    for devices, edges in plan:
        r = run(devices, edges, 1000)
        rows.append(r)
        print(f"{r['connections']:12} {edges:5} {r['gap_ms']:7.0f} {r['restore_ms']:8.0f} {r['ack_max_ms']:8.0f} {r['ack_p50_ms']:6.1f} "
              f"{r['engine_rss_mb']:9} {r['engine_cpu']:5} {r['closed']:6} {r['lost']:5}", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
