#!/usr/bin/env python3
"""Berth beside other servers, in turns in one run (scripts/compare): bench/beside.py BERTH [options]

  --short          a tenth of the messages, two rounds: some minutes
  --rounds N       of each row [3]
  --only TEXT      rows whose name has it
  --peers FILE     servers [bench/peers.yaml]
  --out DIRECTORY  for the table, the figures as JSON and a plot [bench/results/DATE]

Each row runs with every server in turns (A B C A B C …), the servers fresh for each row. Shown are the median and, behind it, the least and the
most. Only ratios of one run say something: the load takes its share of the same processors."""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import yaml

import plots

HERE = os.path.dirname(os.path.abspath(__file__))
START_MAX_S, END_MAX_S, RUN_MAX_S = 90, 30, 300

# Name, arguments of berth bench, what the figures are, and messages in the long form (none: by time).
ROWS = [
    ("QoS 0 fan-in, 100 publishers, window 10", "fanin-100-1-100-1K --qos 0 --window 10", "cost", 400_000),
    ("QoS 1 fan-in, 100 publishers, window 10", "fanin-100-1-100-1K --qos 1 --window 10", "cost", 400_000),
    ("QoS 2 fan-in, 100 publishers, window 10", "fanin-100-1-100-1K --qos 2 --window 10", "cost", 200_000),
    ("QoS 1 to 100 offline sessions, 160 under way", "fanin-16-100-100-1K-durable --offline --qos 1 --window 10", "cost", 200_000),
    ("QoS 1 to an offline session, one at a time", "fanin-1-1-1-1K-durable --offline --qos 1 --window 1", "ack", 4_000),
    ("p2p-1K-1K-1K-1K, 1,000 messages a second", "p2p-1K-1K-1K-1K --seconds {seconds}", "latency", None),
    ("idle connection with a subscription", "idle-15K --seconds 2", "memory", None),
    ("kill -9, 1,000 messages a second to 100 offline sessions", "durable-100 --seconds {seconds}", "lost", None),
]
UNITS = {"cost": "CPU seconds for 100,000 messages", "ack": "PUBACK p50, ms", "latency": "delivery p99, ms", "memory": "bytes a connection",
         "lost": "acknowledged messages lost"}


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def filled(value, names):
    if isinstance(value, dict):
        return {k: filled(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, names) for v in value]
    return str(value).format(**names)


def answers(port):
    """A device gets its CONNACK: some servers listen long before."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(bytes.fromhex("1011 0004 4d515454 04 02 003c 0005 7072 6f62 65"))
            return s.recv(4) == bytes.fromhex("20020000")
    except OSError:
        return False


class Peer:
    """A row of peers.yaml."""

    def __init__(self, row, berth):
        self.row, self.berth, self.name = row, berth, row["name"]
        self.version = ""

    def missing(self):
        return shutil.which(self.row["needs"].format(berth=self.berth)) is None

    def find_version(self):
        out = subprocess.run(filled(self.row["version"], {"berth": self.berth}), capture_output=True, text=True, timeout=60)
        self.version = next(iter((out.stdout + out.stderr).strip().splitlines()), "unknown")


class Server:
    """A process of a peer, with a directory and ports of its own, which a restart keeps."""

    def __init__(self, peer, durable, parent):
        row = {**peer.row, **(peer.row.get("durable", {}) if durable else {})}
        self.directory = tempfile.mkdtemp(dir=parent)
        self.port, other, third, fourth = free_ports(4)
        names = {"dir": self.directory, "port": self.port, "other": other, "third": third, "fourth": fourth, "berth": peer.berth}
        self.command = filled(row["command"], names)
        self.environment = {**os.environ, **filled(row.get("environment", {}), names)}
        for name, text in row.get("files", {}).items():
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as f:
                f.write(text.format(**names))
        self.log = open(os.path.join(self.directory, "output.log"), "ab")
        self.start()

    def start(self):
        # A process group of its own: what it starts dies with it.
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, env=self.environment, cwd=self.directory, start_new_session=True)
        end = time.monotonic() + START_MAX_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if answers(self.port):
                return
            time.sleep(0.05)
        self.stop()
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            raise RuntimeError("it does not start: " + f.read()[-300:])

    def group(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def kill(self):
        self.group(signal.SIGKILL)
        self.process.wait(END_MAX_S)

    def stop(self):
        """Its first process in order, then what that has left. (RabbitMQ's end needs its port mapper, and would start another one.)"""
        self.process.terminate()
        try:
            self.process.wait(END_MAX_S)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def remove(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def bench(berth, server, words, messages, scratch):
    out = os.path.join(scratch, "run.json")
    command = [berth, "bench", *words.split(), "--target", f"mqtt://127.0.0.1:{server.port}", "--server-pid", str(server.process.pid), "--quiet", "--json", out]
    return command + (["--messages", str(messages)] if messages else []), out


def run(berth, server, row, short, scratch):
    """The figures of berth bench; None: the server could not."""
    _, words, kind, messages = row
    words = words.format(seconds=10 if short else 60)
    command, out = bench(berth, server, words, messages and (messages // 10 if short else messages), scratch)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        if kind == "lost":  # in the middle of the load
            time.sleep(5 if short else 30)
            server.kill()
            server.start()
        said, _ = process.communicate(timeout=RUN_MAX_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode not in (0, 1) or not os.path.exists(out):
        return None, said[-300:]
    with open(out, encoding="utf-8") as f:
        figures = json.load(f)
    os.remove(out)
    return figures, ""


def figure(kind, f):
    return {"cost": f.get("cpu_s_per_100k"), "ack": f["ack_ms"]["p50"], "latency": f["delivery_ms"]["p99"],
            "memory": f.get("bytes_per_connection"), "lost": f["lost"]}[kind]


def started(peer, durable, scratch, why):
    """Twice, where a port was taken meanwhile by a connection of somebody else."""
    for _ in range(2):
        try:
            server = Server(peer, durable, scratch)
            why.pop(peer.name, None)
            return server
        except (RuntimeError, OSError) as e:
            why[peer.name] = str(e)
            if "in use" not in str(e) and "eaddrinuse" not in str(e):
                break
    return None


def measure(row, peers, a, scratch):
    name, words, kind, _ = row
    found = {p.name: [] for p in peers}
    why = {}
    for _ in range(a.rounds):
        for p in peers:
            if p.name in why:
                continue
            server = started(p, "durable" in words, scratch, why)
            if server is None:
                continue
            try:
                f, fault = run(a.berth, server, row, a.short, scratch)
            except subprocess.TimeoutExpired:
                f, fault = None, f"not done in {RUN_MAX_S} s"
            finally:
                server.remove()
            if f is None:
                why[p.name] = fault
            else:
                found[p.name].append({"value": figure(kind, f), "per_s": f["received_per_s"] or f["acked"] / f["wall_s"], "lost": f["lost"]})
                print(f"{name}: {p.name}: {found[p.name][-1]}", flush=True)
    return {"name": name, "arguments": words, "unit": UNITS[kind], "found": found, "failed": why}


def shown(runs, key):
    values = [r[key] for r in runs if r[key] is not None]
    if not values:
        return "–"
    number = lambda v: f"{v:,.0f}" if abs(v) >= 100 or v == int(v) else f"{v:.3f}"
    middle = number(statistics.median(values))
    return middle if min(values) == max(values) else f"{middle} ({number(min(values))}–{number(max(values))})"


def table(result):
    names = [p["name"] for p in result["peers"]]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row in result["rows"]:
        cells = ["failed" if n in row["failed"] else shown(row["found"][n], "value") for n in names]
        lines.append(f"| {row['name']}: {row['unit']} | " + " | ".join(cells) + " |")
        if row["unit"] == UNITS["cost"]:
            cells = ["failed" if n in row["failed"] else shown(row["found"][n], "per_s") for n in names]
            lines.append("| – messages a second | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(result):
    out = [f"# Berth beside other servers, {result['date']}", "",
           f"`{result['command']}` at revision {result['revision']}, on {result['machine']}. Medians of {result['rounds']} runs in turns (least–most).", "",
           table(result), "", "| server | version |", "|---|---|"]
    out += [f"| {p['name']} | {p['version']} |" for p in result["peers"]]
    for row in result["rows"]:
        out += [f"\n{row['name']}, {n}: {w.strip()}" for n, w in row["failed"].items()]
    return "\n".join(out) + "\n"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release().split('-')[0]}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("berth")
    p.add_argument("--short", action="store_true")
    p.add_argument("--rounds", type=int)
    p.add_argument("--only", default="")
    p.add_argument("--peers", default=os.path.join(HERE, "peers.yaml"))
    p.add_argument("--out", default=os.path.join(HERE, "results", datetime.date.today().isoformat()))
    a = p.parse_args()
    a.berth = os.path.abspath(a.berth)
    a.rounds = a.rounds or (2 if a.short else 3)
    with open(a.peers, encoding="utf-8") as f:
        peers = [Peer(row, a.berth) for row in yaml.safe_load(f)]
    for peer in [q for q in peers if q.missing()]:
        print(f"left out, {peer.row['needs']} is not there: {peer.name}")
    peers = [q for q in peers if not q.missing()]
    for q in peers:
        q.find_version()
    revision = subprocess.run([a.berth, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as scratch:
        rows = [measure(row, peers, a, scratch) for row in ROWS if a.only in row[0]]
    result = {"date": datetime.date.today().isoformat(), "command": " ".join(["scripts/compare", *sys.argv[2:]]), "revision": revision, "machine": machine(),
              "rounds": a.rounds, "peers": [{"name": q.name, "version": q.version} for q in peers], "rows": rows}
    os.makedirs(a.out, exist_ok=True)
    for name, content in (("results.json", json.dumps(result, indent=1) + "\n"), ("results.md", text(result)), ("results.svg", plots.bars(result))):
        with open(os.path.join(a.out, name), "w", encoding="utf-8") as f:
            f.write(content)
    print(text(result))


if __name__ == "__main__":
    main()
