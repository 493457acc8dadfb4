#!/usr/bin/env python3
"""What presence, history and insights cost beside a QoS 1 fan-in of registered devices, in instructions.

  bench/presence.py [--devices 100] [--messages 20000] [--each 1000] [BERTH]

One gateway in one process under callgrind (needs valgrind), instrumented while the devices publish with ten messages
under way each and one service receives all of it. Then the same, and each device leaves and comes back after --each
messages. The share is what DeviceWatch (platform/device_watch.h) costs with all that it calls: records, events and the
messages to the platform are in it. Instructions do not depend on the machine's load."""
import argparse, os, re, select, socket, subprocess, sys, tempfile, time

from cluster_scale import BERTH, free_port
from registry import connect_packet, field

ENTRIES = ["online", "connection_ends", "refused", "limited", "offline", "finished", "ended", "end_turn", "tick",
           "happened", "reports_firmware"]


def length(n):
    out = b""
    while True:
        out += bytes([n % 128 | (0x80 if n >= 128 else 0)])
        n //= 128
        if n == 0:
            return out


def publish(topic, payload, packet_id):
    body = field(topic) + packet_id.to_bytes(2, "big") + payload
    return b"\x32" + length(len(body)) + body


class Client:
    def __init__(self, port, name):
        self.name, self.port, self.sent, self.acked, self.inside, self.left = name, port, 0, 0, b"", 0
        self.come()

    def come(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.settimeout(120)
        self.socket.sendall(connect_packet(self.name, self.name + "@acme", "secret"))
        answer = self.socket.recv(4)
        assert len(answer) == 4 and answer[3] == 0, answer
        self.inside = b""

    def packets(self):
        self.inside += self.socket.recv(65536)
        while len(self.inside) >= 2:
            n, shift, at = 0, 0, 1
            while at < len(self.inside):
                n |= (self.inside[at] & 127) << shift
                shift += 7
                at += 1
                if self.inside[at - 1] < 128:
                    break
            else:
                return
            if len(self.inside) < at + n:
                return
            packet = self.inside[0], self.inside[at:at + n]
            self.inside = self.inside[at + n:]
            yield packet


def run(port, service, devices, messages, each):
    """All devices publish `messages` together; each comes anew after `each` of its own (0: never)."""
    payload = b"x" * 64
    total = got = 0
    by_fd = {c.socket.fileno(): c for c in devices + [service]}

    def fill(c):
        nonlocal total
        out = b""
        while total < messages and c.sent - c.acked < 10:
            c.sent += 1
            total += 1
            out += publish("v1/telemetry/load", payload, c.sent % 60000 + 1)
        if out:
            c.socket.sendall(out)

    for c in devices:
        c.sent = c.acked = 0
        fill(c)
    until = time.time() + 1800
    while (got < messages or any(c.sent != c.acked for c in devices)) and time.time() < until:
        for fd in select.select(list(by_fd), [], [], 10)[0]:
            c = by_fd.get(fd)
            if c is None:
                continue
            acks = b""
            for kind, body in c.packets():
                if kind >> 4 == 3:
                    at = 2 + int.from_bytes(body[:2], "big")
                    topic = body[2:at]
                    got += topic.endswith(b"/load")
                    if kind & 6:
                        acks += b"\x40\x02" + body[at:at + 2]
                elif kind >> 4 == 4:
                    c.acked += 1
            if acks:
                c.socket.sendall(acks)
            if c is service:
                continue
            if each and c.acked == c.sent and c.sent >= each * (c.left + 1):
                c.left += 1
                c.socket.sendall(b"\xe0\x00")
                del by_fd[fd]
                c.socket.close()
                c.come()
                by_fd[c.socket.fileno()] = c
            if not each or c.sent < each * (c.left + 1):
                fill(c)
    assert got >= messages, (got, messages)


def share(out):
    """Instructions of all, and of DeviceWatch with what it calls."""
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--show-percs=no", out],
                          capture_output=True, text=True, check=True).stdout
    total = int(re.search(r"^\s*([\d,]+)\s+PROGRAM TOTALS", text, re.M)[1].replace(",", ""))
    mine = {}
    for line in text.splitlines():
        m = re.match(r"\s*([\d,]+)\s+.*berth::platform::DeviceWatch::(\w+)\(", line)
        if m and m[2] in ENTRIES:
            mine[m[2]] = max(mine.get(m[2], 0), int(m[1].replace(",", "")))
    # connection_ends and end_turn call happened(); it is counted alone for outcomes of commands only.
    mine.pop("happened", None)
    assert "end_turn" in mine, "no symbols: build with the release preset, and do not strip"
    return total, mine


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--devices", type=int, default=100)
    p.add_argument("--messages", type=int, default=20000)
    p.add_argument("--each", type=int, default=1000, help="messages of a device between two of its connections")
    p.add_argument("berth", nargs="?", default=BERTH)
    a = p.parse_args()
    for each in (0, a.each):
        with tempfile.TemporaryDirectory() as d:
            port = free_port()
            devices = "".join(f"      - {{name: d{i}, site: north, credentials: [{{auth_id: d{i}, password: secret}}]}}\n"
                              for i in range(a.devices))
            with open(f"{d}/registry.yaml", "w") as f:
                f.write("tenants:\n  - name: acme\n    sites: [{name: north}]\n    accounts:\n      - {name: back, role: service, "
                        f"credentials: [{{auth_id: back, password: secret}}]}}\n    devices:\n{devices}")
            with open(f"{d}/g.yaml", "w") as f:
                f.write("auth: {failures_per_address: 0, failures_per_name: 0}\nlog: {level: warn}\n"
                        f"registry: {{source: file, password_iterations: 3, file: {d}/registry.yaml}}\n")
            out = f"{d}/callgrind"
            argv = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", a.berth, "serve",
                    "--single-process", "--config", f"{d}/g.yaml", "--mqtt", f"127.0.0.1:{port}", "--admin",
                    f"127.0.0.1:{free_port()}", "--data", f"{d}/data"]
            with open(f"{d}/log", "w") as log:
                server = subprocess.Popen(argv, stdout=log, stderr=log)
            try:
                until = time.time() + 120
                while True:
                    try:
                        service = Client(port, "back")
                        break
                    except (OSError, AssertionError):
                        if time.time() > until or server.poll() is not None:
                            sys.exit(open(f"{d}/log").read()[-2000:])
                        time.sleep(0.2)
                service.socket.sendall(b"\x82" + length(2 + 2 + 4 + 1) + b"\x00\x01" + field("v1/#") + b"\x01")
                clients = [Client(port, f"d{i}") for i in range(a.devices)]
                subprocess.run(["callgrind_control", "-i", "on", str(server.pid)], check=True, capture_output=True)
                run(port, service, clients, a.messages, each)
                subprocess.run(["callgrind_control", "-i", "off", str(server.pid)], check=True, capture_output=True)
            finally:
                server.terminate()
                server.wait(120)
            total, mine = share(out)
            what = f"each leaves and comes back after {each}" if each else "all stay connected"
            cost = sum(mine.values())
            print(f"{a.devices} devices, {a.messages} messages, {what}: {total / a.messages:,.0f} instructions a message, "
                  f"presence, history and insights {cost / a.messages:,.1f}: {100 * cost / total:.2f} %", flush=True)
            print("  " + ", ".join(f"{k} {v / a.messages:,.1f}" for k, v in sorted(mine.items())), flush=True)


if __name__ == "__main__":
    main()
