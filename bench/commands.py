#!/usr/bin/env python3
"""Commands of a platform over REST (docs/platform.md): latency, and what becomes of them under kills.

  bench/commands.py [--idle 10000] [--rate 1000] [--seconds 20] [--kills 10000] [--berth build/release/berth]

rate: `open` over keep-alive connections with ?wait to devices that answer at once, beside idle connections of other
devices (berth-load opens). The gateway's share is from when the request was due to the device's receipt, and from the
device's answer to the response; acceptance and result are on disk meanwhile.
kills: `open` with a ttl of 500 ms while the engine is killed (kill -9) again and again; checked as in tests/cluster.
"""
import argparse, asyncio, contextlib, json, os, platform, random, signal, socket, subprocess, sys
import tempfile, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/cluster"))
import commands as swarm  # noqa: E402

DEVICES = 300  # that answer
LINKS = 48     # keep-alive connections; the admin port has 64 at most


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    def __init__(self, berth):
        self.directory = tempfile.TemporaryDirectory(prefix="berth-bench-")
        d = self.directory.name
        self.mqtt, self.admin = free_port(), free_port()
        with open(f"{d}/registry.yaml", "w") as f:
            f.write(swarm.registry_yaml(DEVICES))
        with open(f"{d}/berth.yaml", "w") as f:
            f.write(f"mqtt: {{listen: '127.0.0.1:{self.mqtt}'}}\nadmin: {{listen: '127.0.0.1:{self.admin}'}}\n"
                    f"store: {{directory: {d}/data}}\nauth: {{anonymous: always}}\n"
                    f"registry: {{source: file, file: {d}/registry.yaml}}\n"
                    "commands: {per_service_per_s: 0, per_device_per_s: 0}\n")
        self.log = open(f"{d}/log", "w")
        self.process = subprocess.Popen([berth, "serve", "--config", f"{d}/berth.yaml"], stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while not self.status():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(open(f"{d}/log").read()[-2000:])
            time.sleep(0.1)
        with open(f"{d}/data/admin.token") as f:
            self.token = f.read().strip()

    def status(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/api/v1/status", timeout=2) as r:
                return json.load(r)
        except OSError:
            return {}

    def engine(self):
        found = [e["pid"] for e in self.status().get("engines", []) if e.get("state") == "serving"]
        return found[0] if found else None

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        self.directory.cleanup()


def fdatasync_ms(directory):
    """Of 300 bytes appended, as the store does for each commit: p50, p99."""
    took, f = [], os.open(f"{directory}/sync", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(f, 0, 1 << 20)
    for i in range(500):
        os.pwrite(f, b"x" * 300, i * 300)
        begun = time.monotonic()
        os.fdatasync(f)
        took.append(1000 * (time.monotonic() - begun))
    os.close(f)
    return swarm.quantile(took, .5), swarm.quantile(took, .99)


def rate(g, a):
    """berth-load has the devices and the platform: one thread that needs a small part of a core."""
    disk = fdatasync_ms(g.directory.name)
    said = subprocess.run([os.path.join(os.path.dirname(a.berth), "berth-load"), "opens", "--port", str(g.mqtt), "--admin", str(g.admin),
                           "--token", g.token, "--pid", str(g.process.pid), "--idle", str(a.idle), "--devices", str(DEVICES),
                           "--links", str(LINKS), "--rate", str(a.rate), "--seconds", str(a.seconds)], stdout=subprocess.PIPE, text=True)
    r = json.loads(said.stdout)
    print(f"rate: {r['per_s']} commands/s beside {r['connections']} connections, {r['commands']} commands, SUCCEEDED {r['succeeded']}, "
          f"refused {r['refused']}, without an answer {r['no_answer']}\n  gateway's share  p50 {r['p50_us'] / 1000:.2f} ms  "
          f"p99 {r['p99_us'] / 1000:.2f} ms  max {r['max_us'] / 1000:.1f} ms; in it two commits: this disk's fdatasync takes p50 "
          f"{disk[0]:.2f} ms  p99 {disk[1]:.2f} ms\n  CPU of the gateway {10 * r['cpu_s_per_100k']:.0f} us a command", flush=True)


async def kills(g, a):
    p = swarm.Platform("127.0.0.1", g.mqtt, g.admin, g.token, DEVICES, a.kill_rate)
    p.kind_of = lambda number: ("open", 500)
    clients = p.devices + [p.listener]
    tasks = [asyncio.create_task(c.run()) for c in clients]
    await asyncio.wait_for(asyncio.gather(*(c.ready.wait() for c in clients)), 60)
    work, killed, r = asyncio.create_task(p.work()), 0, random.Random(a.seed)
    begun = time.monotonic()
    loop = asyncio.get_running_loop()
    while len(p.commands) < a.kills:
        await asyncio.sleep(0.2 + 2 * r.random())
        pid = await loop.run_in_executor(None, g.engine)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    p.stopping = True
    await work
    took = time.monotonic() - begun
    settled = await p.settle()
    report, problems = swarm.judged(p)
    n = max(1, report["cmd_accepted"])
    print(f"kills: {len(p.commands)} commands in {took:.0f} s, {killed} engines killed; refused or asked again "
          f"{dict(p.refusals)}; settled: {settled}\n  accepted {n}, late {report['cmd_late']}, twice "
          f"{report['cmd_twice']}, without outcome {report['cmd_no_outcome']}, outcome or event wrong "
          f"{report['cmd_wrong'] + report['cmd_wrong_events']}, connections broken {sum(len(d.ends) for d in p.devices)}\n  "
          + ", ".join(f"{k[12:].upper()} {v} ({100 * v / n:.2f} %)" for k, v in sorted(report.items())
                      if k.startswith("cmd_outcome_"))
          + f"\n  UNCERTAIN without a broken connection: {report['cmd_unexplained']}, of a device that answered at the "
          f"deadline: {report['cmd_slow_device']}", flush=True)
    for text in problems[:10]:
        print("  " + text)
    for t in tasks:
        t.cancel()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--berth", default=os.path.join(ROOT, "build/release/berth"))
    p.add_argument("--idle", type=int, default=10_000)
    p.add_argument("--rate", type=int, default=1000)
    p.add_argument("--seconds", type=int, default=20)
    p.add_argument("--kills", type=int, default=10_000, help="commands")
    p.add_argument("--kill-rate", type=float, default=200, help="commands a second meanwhile")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, kernel {platform.release()}, load "
          f"{os.getloadavg()[0]:.1f} at the beginning")
    for wanted, act in ((a.seconds, lambda g: rate(g, a)), (a.kills, lambda g: asyncio.run(kills(g, a)))):
        if not wanted:
            continue
        g = Gateway(a.berth)
        try:
            act(g)
        finally:
            g.close()


if __name__ == "__main__":
    main()
