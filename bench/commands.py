#!/usr/bin/env python3
"""Commands of a platform over REST (docs/platform.md): latency, and what becomes of them under kills.

  bench/commands.py [--idle 10000] [--rate 1000] [--seconds 20] [--kills 10000] [--berth build/release/berth]

rate: `open` over keep-alive connections with ?wait to devices that answer at once, beside idle connections of other
devices. The gateway's share is from the request's write to the device's receipt and from the device's answer to the
response, by the kernel's times of receipt: without the time of the devices and of this program.
kills: `open` with a ttl of 500 ms while the engine is killed (kill -9) again and again; checked as in tests/cluster.
"""
import argparse, asyncio, contextlib, json, os, platform, random, resource, signal, socket, struct, subprocess, sys
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


def idle(port, wanted):
    """Connections that say nothing, as many as descriptors allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for i in range(min(wanted, hard - 2000)):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(swarm.packet(0x10, swarm.text_field("MQTT") + b"\4\2\0\0" + swarm.text_field(f"idle-{i}")))
        if s.recv(4)[3:] != b"\0":
            s.close()
            break
        held.append(s)
    return held


class KeepAlive:
    """One HTTP connection; times of receipt are the kernel's."""

    def __init__(self, port, token):
        self.port, self.head = port, (f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
                                      "Content-Type: application/json\r\n")
        self.socket = None

    async def post(self, target, body):
        loop = asyncio.get_running_loop()
        if self.socket is None:
            self.socket = socket.socket()
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, swarm.SO_TIMESTAMPNS, 1)
            await loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        begun = time.time()
        self.socket.send(f"POST {target} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        data, arrived, readable = b"", begun, asyncio.Event()
        loop.add_reader(self.socket, readable.set)
        try:
            while True:
                await asyncio.wait_for(readable.wait(), 10)
                readable.clear()
                try:
                    some, ancillary, _, _ = self.socket.recvmsg(65536, 256)
                except BlockingIOError:
                    continue
                if not some:
                    raise OSError("closed")
                data += some
                for _, kind, value in ancillary:
                    if kind == swarm.SO_TIMESTAMPNS:
                        seconds, ns = struct.unpack("qq", value[:16])
                        arrived = seconds + ns / 1e9
                head, blank, content = data.partition(b"\r\n\r\n")
                length = [int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")]
                if blank and length and len(content) >= length[0]:
                    return int(head.split()[1]), json.loads(content), begun, arrived
        finally:
            loop.remove_reader(self.socket)


async def rate(g, a):
    p = swarm.Platform("127.0.0.1", g.mqtt, g.admin, g.token, DEVICES, a.rate)
    for d in p.devices:
        d.arm_s = 0
    tasks = [asyncio.create_task(c.run()) for c in p.devices]
    await asyncio.wait_for(asyncio.gather(*(d.ready.wait() for d in p.devices)), 60)
    share, whole, outcomes, skipped, number = [], [], {}, 0, 0
    links = asyncio.Queue()
    for _ in range(LINKS):
        links.put_nowait(KeepAlive(g.admin, g.token))

    async def one(d, name):
        d.busy = True
        link = await links.get()
        try:
            body = json.dumps({"tenant": swarm.TENANT, "device": d.device, "id": name, "type": "open", "ttl_ms": 2000})
            status, said, begun, arrived = await link.post("/api/v1/commands?wait=5000", body)
            outcome = said.get("outcome", said.get("code", status))
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if outcome == "SUCCEEDED":
                came, answered = d.received[name][0][0], d.answered[name]
                share.append(1000 * (came - begun + max(0.0, arrived - answered)))
                whole.append(1000 * (arrived - begun))
        except (OSError, asyncio.TimeoutError):
            outcomes["no answer"] = outcomes.get("no answer", 0) + 1
            link = KeepAlive(g.admin, g.token)
        finally:
            links.put_nowait(link)
            d.busy = False

    begun = next_at = time.monotonic()
    while time.monotonic() < begun + a.seconds:
        next_at += 1 / a.rate
        if next_at > time.monotonic():
            await asyncio.sleep(next_at - time.monotonic())
        d = p.devices[number % DEVICES]
        number += 1
        if d.busy:
            skipped += 1
        else:
            p.start(one(d, f"r{number}"))
    took = time.monotonic() - begun
    while p.tasks:
        await asyncio.wait(p.tasks, timeout=10)
    q = swarm.quantile
    print(f"rate: {sum(outcomes.values()) / took:.0f} commands/s ({skipped} of {number} not sent: the device had one), "
          f"{outcomes}\n  gateway's share  p50 {q(share, .5):.2f} ms  p90 {q(share, .9):.2f}  p99 {q(share, .99):.2f}  "
          f"max {q(share, 1):.0f}\n  with the devices p50 {q(whole, .5):.2f} ms  p99 {q(whole, .99):.2f}", flush=True)
    for t in tasks:
        t.cancel()


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
    p.add_argument("--rate", type=float, default=1000)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--kills", type=int, default=10_000, help="commands")
    p.add_argument("--kill-rate", type=float, default=200, help="commands a second meanwhile")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, kernel {platform.release()}, load "
          f"{os.getloadavg()[0]:.1f} at the beginning")
    for act, wanted in ((rate, a.idle if a.seconds else 0), (kills, 0)):
        if (act is rate and not a.seconds) or (act is kills and not a.kills):
            continue
        g = Gateway(a.berth)
        try:
            held = idle(g.mqtt, wanted)
            if wanted:
                print(f"{len(held)} idle connections, {DEVICES} devices that answer")
            asyncio.run(act(g, a))
        finally:
            g.close()


if __name__ == "__main__":
    main()
