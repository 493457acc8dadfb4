#!/usr/bin/env python3
"""Gateway beside Mosquitto, interleaved in one run: CPU seconds per 100,000 messages and their ratio.

  bench/compare.py [--rounds 3] [--quick] [--only NAME] [--json FILE]
  bench/compare.py --before BINARY     another berth and this one, for changes on the packet path

Needs build/release/berth, build/release/berth-load and Debian's mosquitto. Ratios of one run can be
compared; single figures can't, the machine is shared.
"""
import argparse, json, os, platform, signal, socket, statistics, subprocess, sys, tempfile, time, shutil

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BERTH = os.path.join(ROOT, "build/release/berth")
LOAD = os.path.join(ROOT, "build/release/berth-load")

CPU_ROWS = [
    ("qos0 fan-in 100 pubs window 10", ["fanin", "--qos", "0", "--pubs", "100", "--window", "10", "--messages", "400000"], 0.08),
    ("qos1 fan-in 100 pubs window 10", ["fanin", "--qos", "1", "--pubs", "100", "--window", "10", "--messages", "200000"], 0.10),
    ("qos2 fan-in 100 pubs window 10", ["fanin", "--qos", "2", "--pubs", "100", "--window", "10", "--messages", "100000"], 0.11),
    ("qos1 fan-in 1000 pubs window 1", ["fanin", "--qos", "1", "--pubs", "1000", "--window", "1", "--messages", "200000"], 0.55),
    ("qos0 fan-out 1000 subs", ["fanout", "--qos", "0", "--subs", "1000", "--messages", "400000"], 0.40),
    ("qos1 fan-out 1000 subs", ["fanout", "--qos", "1", "--subs", "1000", "--messages", "200000"], 0.28),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    engine = None  # of an edge: the Server that is its engine

    def __init__(self, name, argv, port, cwd):
        self.name, self.port = name, port
        self.log = open(os.path.join(cwd, name.replace(" ", "-") + ".log"), "w")
        # as Mosquitto's max_queued_messages 0: the comparison must not drop
        env = dict(os.environ, BERTH_SESSION_QUEUE_MESSAGES="10000000", BERTH_SESSION_QUEUE_BYTES="4000000000")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log, cwd=cwd, env=env)
        deadline = time.time() + 30
        while time.time() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{name} did not start")

    def run(self, args):
        argv = [LOAD, args[0], "--port", str(self.port), "--pid", str(self.process.pid)] + args[1:]
        if self.engine:
            argv += ["--pid2", str(self.engine.process.pid)]
        out = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        if out.returncode != 0:
            raise SystemExit(f"{self.name}: {' '.join(argv)}\n{out.stderr}")
        return json.loads(out.stdout)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def mosquitto(directory):
    port = free_port()
    conf = os.path.join(directory, "mosquitto.conf")
    with open(conf, "w") as f:
        f.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
                "max_inflight_messages 0\nset_tcp_nodelay true\npersistence false\n")
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    return Server("mosquitto", [binary, "-c", conf], port, directory)


def berth(directory, name, *flags, binary=BERTH):
    port, admin = free_port(), free_port()
    data = os.path.join(directory, name.replace(" ", "-"))
    server = Server(name, [binary, "serve", "--mqtt", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}",
                         "--data", data, "--anonymous", "--log-level", "warn", *flags], port, directory)
    server.admin = f"127.0.0.1:{admin}"
    return server


def cluster(directory):
    """An edge and an engine of their own, joined by TCP on loopback."""
    links, port = free_port(), free_port()
    engine = Server("engine", [BERTH, "engine", "--anonymous", "--links", f"127.0.0.1:{links}", "--admin", "127.0.0.1:0",
                               "--data", os.path.join(directory, "cluster"), "--durability", "process",
                               "--log-level", "warn"], links, directory)
    edge = Server("cluster", [BERTH, "edge", "--engines", f"127.0.0.1:{links}", "--mqtt", f"127.0.0.1:{port}",
                              "--admin", "127.0.0.1:0", "--log-level", "warn"], port, directory)
    edge.engine = engine
    return edge


def cluster_cost(directory, a, report):
    """What edge and engine apart cost more than edge and engine under one roof."""
    servers = [berth(directory, "supervised c", "--durability", "process"), cluster(directory)]
    try:
        print(f"{'CPU s per 100k messages':34} {'superv.':>9} {'cluster':>8} {'ratio':>6}")
        for name, args, _ in CPU_ROWS:
            if a.quick:
                args = args[:-1] + [str(int(args[-1]) // 10)]
            runs = [[s.run(args)["cpu_s_per_100k"] for s in servers] for _ in range(a.rounds)]
            one, two = median([r[0] for r in runs]), median([r[1] for r in runs])
            ratio = median([r[1] / r[0] for r in runs])
            print(f"{name:34} {one:9.3f} {two:8.3f} {ratio:6.2f}", flush=True)
            report["rows"].append({"name": "cluster " + name, "supervised": one, "cluster": two, "ratio": ratio})
    finally:
        for s in servers:
            s.stop()
            if s.engine:
                s.engine.stop()


def versus(directory, a, report):
    """Another berth binary (of the commit before, say) and this one, in both shapes, interleaved."""
    for shape in ((), ("--single-process",)):
        flags = ("--durability", "process") + shape
        servers = [berth(directory, f"before {len(shape)}", *flags, binary=a.before), berth(directory, f"now {len(shape)}", *flags)]
        print(f"{'CPU s per 100k messages, ' + (shape[0] if shape else 'supervised'):45} {'before':>8} {'now':>8} {'ratio':>6}")
        for name, args, _ in CPU_ROWS:
            runs = {s.name: [] for s in servers}
            for _ in range(a.rounds):
                for s in servers:
                    runs[s.name].append(s.run(args)["cpu_s_per_100k"])
            one, two = (median(runs[s.name]) for s in servers)
            print(f"{name:45} {one:8.3f} {two:8.3f} {two / one:6.2f}", flush=True)
            report["rows"].append({"name": f"versus {name} {shape}", "before": one, "now": two, "ratio": two / one})
        for s in servers:
            s.stop()


def redis(directory):
    port = free_port()
    return Server("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
                            "--appendonly", "yes", "--appendfsync", "everysec"], port, directory)


def floor(directory):
    port = free_port()
    return Server("floor", [LOAD, "floor", "--port", str(port)], port, directory)


def fdatasync_us(directory, times=300):
    """p50 of appending 200 bytes and fdatasync, in microseconds: what one durable message costs at least."""
    took = []
    with open(os.path.join(directory, "sync"), "wb", buffering=0) as f:
        for _ in range(times):
            f.write(b"x" * 200)
            start = time.perf_counter()
            os.fdatasync(f.fileno())
            took.append((time.perf_counter() - start) * 1e6)
    return median(took)


def stolen():
    """Share of CPU time that the host took from this machine since boot."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return v[7], sum(v)


def median(values):
    return statistics.median(values)


def latency(servers, a, report):
    """Interleaved in slices of a quarter of a second. The host takes the processor away for
    milliseconds now and then, which a p99 shows and a server can't help: beside the median of the
    slices' p99 there is their lower quartile, of slices in which that did not happen."""
    slices = 8 if a.quick else 60
    runs = {s.name: [] for s in servers}
    for _ in range(slices):
        for s in servers:
            runs[s.name].append(s.run(["latency", "--messages", "250"]))

    def figures(name):
        p99 = sorted(x["p99_us"] for x in runs[name])
        return {"p50_us": median([x["p50_us"] for x in runs[name]]), "p99_us": median(p99), "p99_undisturbed_us": p99[len(p99) // 4]}

    base = figures(servers[0].name)
    for s in servers:
        row = figures(s.name)
        ratio = {k: v / base[k] for k, v in row.items()}
        print(f"latency {s.name:26} p50 {row['p50_us']:.0f} us ({ratio['p50_us']:.2f})  p99 {row['p99_us']:.0f} us ({ratio['p99_us']:.2f})"
              f"  p99 undisturbed {row['p99_undisturbed_us']:.0f} us ({ratio['p99_undisturbed_us']:.2f})", flush=True)
        report["rows"].append({"name": "latency " + s.name, **row, "ratio": ratio})


def connect(servers, a, report):
    runs = {s.name: [] for s in servers}
    for _ in range(a.rounds):
        for s in servers:
            runs[s.name].append(s.run(["connect", "--count", "2000" if a.quick else "10000"]))
    for s in servers:
        r = runs[s.name]
        row = {"name": "connect " + s.name, "per_s": median([x["per_s"] for x in r]), "cpu_us_each": median([x["cpu_s_per_100k"] for x in r]) * 10}
        print(f"{row['name']:34} {row['per_s']:.0f}/s  {row['cpu_us_each']:.1f} us CPU each", flush=True)
        report["rows"].append(row)
    servers[-1].stop()


def start_time(directory, a, report):
    """Stored sessions, kill -9, and the time until /readyz says so."""
    count = "10000" if a.quick else "100000"
    s = berth(directory, "restarted", "--single-process", "--durability", "process")
    s.run(["sessions", "--count", count])
    s.process.kill()
    s.process.wait()
    begin = time.time()
    again = berth(directory, "restarted", "--single-process", "--durability", "process")
    while subprocess.run([BERTH, "ctl", "--admin", again.admin, "ready"], capture_output=True).returncode != 0:
        time.sleep(0.01)
    took = time.time() - begin
    row = {"name": f"start with {count} sessions", "seconds": took}
    time.sleep(1)
    empty = berth(directory, "empty", "--single-process", "--durability", "process")
    row["bytes_each"] = (resident(again.process.pid) - resident(empty.process.pid)) // int(count)
    print(f"{row['name']:34} ready in {took:.2f} s; {row['bytes_each']} bytes resident each", flush=True)
    report["rows"].append(row)
    again.stop()
    empty.stop()


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) * 1024 for line in f if line.startswith(("Private_Dirty", "Private_Clean")))


def durable(servers, directory, a, report):
    n = "10000" if a.quick else "100000"
    sync = fdatasync_us(directory)
    print(f"fdatasync of 200 bytes: p50 {sync:.0f} us")
    report["rows"].append({"name": "fdatasync", "p50_us": sync})

    def show(name, s, runs):
        row = {"name": f"durable, {name}: {s.name}", "per_s": median([x["per_s"] for x in runs]),
               "p50_us": median([x["p50_us"] for x in runs]), "p99_us": median([x["p99_us"] for x in runs])}
        print(f"{row['name']:52} {row['per_s']:8.0f} acks/s  p50 {row['p50_us']:.0f} us  p99 {row['p99_us']:.0f} us", flush=True)
        report["rows"].append(row)
        return row["per_s"]

    for name, args in (("1 online persistent", ["durable", "--subs", "1", "--messages", n]),
                       ("100 offline persistent", ["durable", "--subs", "100", "--offline", "1", "--messages", n])):
        rates = [show(name, s, [s.run(args) for _ in range(a.rounds)]) for s in servers]
        half = int(rates[0] / 2)  # of what Mosquitto reaches
        for s in servers[1:]:
            show(f"{name}, at {half}/s", s, [s.run(args[:-1] + [str(half * 2), "--rate", str(half)]) for _ in range(a.rounds)])
    runs = {s.name: [] for s in servers}
    for _ in range(a.rounds):
        for s in servers:
            runs[s.name].append(s.run(["durable", "--subs", "1", "--offline", "1", "--pubs", "1", "--window", "1", "--messages", "1000"]))
        sync = min(sync, fdatasync_us(directory))
    for s in servers:
        show("one at a time, offline", s, runs[s.name])
    report["rows"].append({"name": "fdatasync, beside one at a time", "p50_us": sync})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--quick", action="store_true", help="a tenth of the messages")
    p.add_argument("--only", default="")
    p.add_argument("--before", default="", help="a berth binary to compare this one with, instead of Mosquitto")
    p.add_argument("--json", default="")
    a = p.parse_args()
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
              "commit": revision, "command": "bench/compare.py " + " ".join(sys.argv[1:]), "rows": []}
    print(f"machine: {report['machine']}; commit {revision}; {report['command']}")
    taken, total = stolen()
    with tempfile.TemporaryDirectory() as d:
        if a.before:
            return versus(d, a, report)
        if a.only == "cluster":
            return cluster_cost(d, a, report)
        servers = [mosquitto(d), berth(d, "single", "--single-process", "--durability", "process"),
                   berth(d, "supervised", "--durability", "process")]
        try:
            print(f"{'CPU s per 100k messages':34} {'mosquitto':>9} {'single':>8} {'ratio':>6} {'goal':>5} {'superv.':>8} {'/single':>7}")
            for name, args, goal in CPU_ROWS:
                if a.only and a.only not in name:
                    continue
                if a.quick:
                    args = args[:-1] + [str(int(args[-1]) // 10)]
                figures = {s.name: [] for s in servers}
                for _ in range(a.rounds):
                    for s in servers:
                        figures[s.name].append(s.run(args)["cpu_s_per_100k"])
                m, one, two = (median(figures[s.name]) for s in servers)
                ratio = median([x / y for x, y in zip(figures["single"], figures["mosquitto"])])
                over = median([x / y for x, y in zip(figures["supervised"], figures["single"])])
                print(f"{name:34} {m:9.3f} {one:8.3f} {ratio:6.2f} {goal:5.2f} {two:8.3f} {over:7.2f}", flush=True)
                report["rows"].append({"name": name, "mosquitto": m, "single": one, "supervised": two, "ratio": ratio, "goal": goal, "supervised_over_single": over})
            if not a.only or a.only == "latency":
                latency(servers, a, report)
            if not a.only or a.only == "connect":
                connect(servers + [floor(d)], a, report)
        finally:
            for s in servers:
                s.stop()
        if not a.only or a.only == "idle":
            for make in (mosquitto, lambda x: berth(x, "single", "--single-process"), lambda x: berth(x, "supervised")):
                s = make(d)
                try:
                    time.sleep(1)
                    r = s.run(["idle", "--count", "2000" if a.quick else "15000"])
                    print(f"{'idle connection ' + s.name:34} {r['bytes_each']} bytes resident", flush=True)
                    report["rows"].append({"name": "idle " + s.name, "bytes_each": r["bytes_each"]})
                finally:
                    s.stop()
        if not a.only or a.only == "start":
            start_time(d, a, report)
        if not a.only or a.only == "durable":
            servers = [mosquitto(d), berth(d, "single disk", "--single-process"), berth(d, "supervised disk")]
            try:
                durable(servers, d, a, report)
            finally:
                for s in servers:
                    s.stop()
        if not a.only or a.only == "cluster":
            cluster_cost(d, a, report)
        if a.only == "redis":  # sessions in Redis, its log synced every second; not in the ordinary run
            r = redis(d)
            servers = [mosquitto(d), berth(d, "single redis", "--single-process", "--store", f"redis://127.0.0.1:{r.port}")]
            try:
                durable(servers, d, a, report)
            finally:
                for s in servers + [r]:
                    s.stop()
    taken, total = stolen()[0] - taken, stolen()[1] - total
    print(f"CPU time that the host took away meanwhile: {100 * taken / max(total, 1):.1f} %")
    if a.json:
        with open(a.json, "w") as f:
            json.dump(report, f, indent=1)


if __name__ == "__main__":
    main()
