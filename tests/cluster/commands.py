#!/usr/bin/env python3
"""A platform and its devices: commands over REST, and what became of each; see scripts/cluster-test.

  commands.py HOST MQTT_PORT ADMIN_PORT TOKEN_FILE DEVICES RATE STREAM_HOST,…

Devices dev-0 … of the tenant `oracle` (registry_yaml()) answer each command: two of three at once, the third after
200 ms, as an arm that moves, so that troubles find commands under way. The platform sends `open` with a ttl
of 500 ms or 2 s, and now and then a queued `white_list`, to a device with no command under way, and asks until the
command has its outcome. Prints "connected", works until a line comes on standard input, waits for
the outcomes, prints a report as one line of JSON. Needs nothing beside Python.

The platform has a broker too (UPLINK_PORT of this pod), to which an uplink sends results and presence: it dies and comes back now and
then, and must have heard of each outcome in the end.
"""
import asyncio
import collections
import json
import os
import socket
import struct
import sys
import time

import seen
from stream import Stream

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from upstream import Upstream  # noqa: E402

TENANT, SERVICE_USER = "oracle", "platform@oracle"
KEEP_ALIVE_S = 30
ARM_S = 0.2          # of every third device
ANSWER_S = 4.0       # a request that has no answer by then is asked again, with the same id
SETTLE_S = 60.0
TOLD_S = 20.0        # for results that came too late
LATE_MS = 50         # between an edge's check and its write lies the scheduler of a loaded machine
SLOW_MS = 100        # a device that answered so near the deadline may not have been heard in time
UPLINK_PORT = 1884
UPLINK_LIVES_S, UPLINK_DEAD_S = 4.0, 1.5
SO_TIMESTAMPNS = 35  # of each read, when the kernel took the bytes


def registry_yaml(devices):
    text = f"tenants:\n  - name: {TENANT}\n    sites: [{{name: north}}]\n    devices:\n"
    for i in range(devices):
        text += f"      - {{name: dev-{i}, site: north, credentials: [{{auth_id: dev-{i}, password: secret}}]}}\n"
    return text + ("    accounts:\n      - {name: platform, role: service, credentials: "
                   "[{auth_id: platform, password: secret}]}\n")


def uplinks_yaml(address):
    return (f"uplinks:\n  - {{name: platform, kind: mqtt, url: 'mqtt://{address}:{UPLINK_PORT}', tenants: [{TENANT}], "
            "select: [result, presence], connections: 2}\n")


def text_field(s):
    b = s.encode()
    return struct.pack(">H", len(b)) + b


def packet(first, body):
    n, length = len(body), b""
    while True:
        n, digit = n // 128, n % 128
        length += bytes([digit | (128 if n else 0)])
        if not n:
            return bytes([first]) + length + body


class Client:
    """MQTT 3.1.1 with a session that stays; connects again whenever its connection ends."""

    def __init__(self, host, port, user, name, topics):
        self.at, self.user, self.name, self.topics = (host, port), user, name, topics
        self.ready = asyncio.Event()
        self.ends = []  # when connections ended, as time.time()
        self.longest_away = 0.0
        self.closing = False
        self.unacked = collections.OrderedDict()  # our QoS 1 messages
        self.next_id = 0
        self.out = None

    async def run(self):
        while not self.closing:
            try:
                await self.connection()
            except (OSError, asyncio.TimeoutError):
                pass
            if self.ready.is_set():
                self.ends.append(time.time())
                self.ready.clear()
            await asyncio.sleep(0.1)

    async def connection(self):
        loop = asyncio.get_running_loop()
        s = socket.socket()
        try:
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            await asyncio.wait_for(loop.sock_connect(s, self.at), 3)
            self.out = s
            self.send(packet(0x10, text_field("MQTT") + bytes([4, 0xC0]) + struct.pack(">H", KEEP_ALIVE_S) +
                             text_field(self.name) + text_field(self.user) + text_field("secret")))
            await self.read(loop, s)
        finally:
            self.out = None
            s.close()

    async def read(self, loop, s):
        have, heard, said = b"", time.time(), time.time()
        readable = asyncio.Event()
        loop.add_reader(s, readable.set)
        try:
            while not self.closing:
                try:
                    await asyncio.wait_for(readable.wait(), 1)
                except asyncio.TimeoutError:
                    now = time.time()
                    if now - said > KEEP_ALIVE_S / 3:
                        self.send(packet(0xC0, b""))
                        said = now
                    if now - heard > 2 * KEEP_ALIVE_S or (not self.ready.is_set() and now - heard > 10):
                        return
                    continue
                readable.clear()
                try:
                    data, ancillary, _, _ = s.recvmsg(65536, 256)
                except BlockingIOError:  # told of it twice
                    continue
                if not data:
                    return
                heard = time.time()
                arrived = heard
                for level, kind, value in ancillary:
                    if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(value) >= 16:
                        seconds, ns = struct.unpack("qq", value[:16])
                        arrived = seconds + ns / 1e9 if seconds else heard
                have = self.take(have + data, arrived)
                if have is None:
                    return
        finally:
            loop.remove_reader(s)

    def send(self, data):
        if self.out is None:
            return
        try:
            self.out.send(data)  # a few hundred bytes: they fit, or the connection is of no use
        except OSError:
            pass

    def publish(self, topic, text):
        self.next_id = self.next_id % 65000 + 1
        body = text_field(topic) + struct.pack(">H", self.next_id) + text.encode()
        self.unacked[self.next_id] = body
        if self.ready.is_set():
            self.send(packet(0x32, body))

    def take(self, data, arrived):
        while len(data) >= 2:
            length, shift, at = 0, 0, 1
            while at < len(data):
                length |= (data[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if not data[at - 1] & 128:
                    break
            else:
                return data
            if len(data) < at + length:
                return data
            if not self.on_packet(data[0], data[at:at + length], arrived):
                return None
            data = data[at + length:]
        return data

    def on_packet(self, first, body, arrived):
        kind = first >> 4
        if kind == 2:
            if body[1] != 0:
                return False
            self.send(packet(0x82, struct.pack(">H", 65535) + b"".join(text_field(t) + b"\1" for t in self.topics)))
        elif kind == 9:
            if self.ends:
                self.longest_away = max(self.longest_away, time.time() - self.ends[-1])
            self.ready.set()
            for unacked in self.unacked.values():
                self.send(packet(0x3A, unacked))
        elif kind == 4:
            self.unacked.pop(struct.unpack(">H", body[:2])[0], None)
        elif kind == 3:
            n = struct.unpack(">H", body[:2])[0]
            topic, rest = body[2:2 + n].decode(), body[2 + n:]
            if first & 6:
                self.send(packet(0x40, rest[:2]))
                rest = rest[2:]
            self.on_message(topic, rest, bool(first & 8), arrived)
        return True


class Device(Client):
    def __init__(self, host, port, number):
        name = f"dev-{number}"
        super().__init__(host, port, f"{name}@{TENANT}", f"commands-{name}", ["v1/cmd/#"])
        self.device = name
        self.arm_s = ARM_S if number % 3 == 2 else 0
        self.busy = False
        self.received = collections.defaultdict(list)  # id -> (when it came, connection, DUP, ms after deadline)
        self.answered = {}                             # id -> when

    def on_message(self, topic, payload, dup, arrived):
        command = topic.split("/")[2]
        said = json.loads(payload)
        deadline = int(said.get("deadlineUnixMs", said.get("deadline_unix_ms", 0)))
        self.received[command].append((arrived, len(self.ends), dup, arrived * 1000 - deadline if deadline else 0.0))
        asyncio.get_running_loop().call_later(self.arm_s, self.answer, command)

    def answer(self, command):
        self.publish(f"v1/cmd/{command}/res", '{"outcome":"EXECUTED","code":"200"}')
        self.answered.setdefault(command, time.time())


class Listener(Client):
    """The platform's service account: outcomes and presence as events."""

    def __init__(self, host, port):
        super().__init__(host, port, SERVICE_USER, "commands-platform", ["v1/+/+/command/+/result", "v1/+/+/presence"])
        self.events = collections.defaultdict(set)
        self.presence = collections.defaultdict(dict)  # device -> event id -> state

    def on_message(self, topic, payload, dup, arrived):
        said = json.loads(payload) if payload else {}
        if topic.endswith("/presence"):
            if said:
                self.presence[said["device"]][said.get("eventId", said.get("event_id"))] = said["presence"]["state"]
            return
        body = said.get("commandOutcome", said.get("command_outcome", {}))
        if not body.get("late"):
            self.events[topic.split("/")[4]].add(body.get("outcome"))


class Rest:
    def __init__(self, host, port, token):
        self.host, self.port, self.token = host, port, token

    async def ask(self, method, target, body="", within=ANSWER_S):
        """(status, answer); status 0: none came."""
        try:
            return await asyncio.wait_for(self.once(method, target, body), within)
        except (OSError, asyncio.TimeoutError, ValueError, IndexError, EOFError):
            return 0, {}

    async def once(self, method, target, body):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write((f"{method} {target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
                          f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                          f"Connection: close\r\n\r\n{body}").encode())
            head, _, content = (await reader.read(-1)).partition(b"\r\n\r\n")
            return int(head.split()[1]), json.loads(content)
        finally:
            writer.close()


class Command:
    def __init__(self, number, device, kind, ttl_ms):
        self.id, self.device, self.kind, self.ttl_ms = f"c{os.getpid()}-{number}", device, kind, ttl_ms
        self.sent = time.time()
        self.accepted_ms = None
        self.record = None
        self.refusal = None
        self.over = None


class Platform:
    def __init__(self, host, mqtt, admin, token, devices, rate):
        self.rest = Rest(host, admin, token)
        self.devices = [Device(host, mqtt, i) for i in range(devices)]
        self.listener = Listener(host, mqtt)
        self.rate = rate
        self.commands = []
        self.tasks = set()
        self.refusals = collections.Counter()
        self.stopping = False
        self.stream = None
        self.upstream = Upstream(host="0.0.0.0", port=UPLINK_PORT)

    async def trouble_upstream(self):
        while not self.stopping:
            await asyncio.sleep(UPLINK_LIVES_S)
            self.upstream.kill()
            await asyncio.sleep(UPLINK_DEAD_S)
            self.upstream.start()

    def not_upstream(self):
        """Commands with an outcome of which the platform's broker has not heard."""
        heard = {topic.split("/")[6] for topic, _, _, _ in list(self.upstream.messages) if topic.endswith("/result") and "/command/" in topic}
        return [c.id for c in self.commands if c.over and c.id not in heard]

    async def uplink_settled(self):
        end = time.monotonic() + SETTLE_S
        while self.not_upstream() and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return self.not_upstream()

    # -- one command, until its outcome

    async def command(self, c):
        c.device.busy = True
        try:
            if await self.accepted(c):
                while not (c.record or {}).get("final"):
                    status, said = await self.rest.ask("GET", self.target(c) + "&wait=3000", within=3 + ANSWER_S)
                    if status == 200:
                        c.record = said
                    else:
                        await asyncio.sleep(0.1)
                c.over = time.time()
        finally:
            c.device.busy = False

    def target(self, c):
        return f"/api/v1/commands/{c.id}?tenant={TENANT}"

    async def accepted(self, c):
        """Until it is known whether it was accepted: what had no answer is asked again."""
        body = json.dumps({"tenant": TENANT, "device": c.device.device, "id": c.id, "type": c.kind, "ttl_ms": c.ttl_ms})
        first = True
        while True:
            begun = time.time()
            status, said = await self.rest.ask("POST", "/api/v1/commands", body)
            if status in (200, 202):
                if first:
                    c.accepted_ms = 1000 * (time.time() - begun)
                c.record = said
                return True
            code = said.get("code", str(status))
            self.refusals[code] += 1
            if 400 <= status < 500:
                c.refusal = code
                return False
            first = False
            await asyncio.sleep(0.1)

    async def work(self):
        number, turn, next_at = 0, 0, time.monotonic()
        while not self.stopping:
            next_at += 1 / self.rate
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            free = [d for d in self.devices if not d.busy and (d.ready.is_set() or self.kind_of(number)[0] != "open")]
            if not free:
                continue
            turn += 1
            device = free[turn % len(free)]
            c = Command(number, device, *self.kind_of(number))
            number += 1
            self.commands.append(c)
            self.start(self.command(c))

    def kind_of(self, number):
        """Type and ttl."""
        return ("white_list", 5000) if number % 5 == 4 else ("open", 500 if number % 2 else 2000)

    def start(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settle(self):
        """True: each accepted command has an outcome, and its event came."""
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            mine = [c for c in self.commands if c.refusal is None]
            if all(c.over and c.id in self.listener.events for c in mine):
                end = time.monotonic() + TOLD_S
                return all([await self.told(c, end) for c in mine if untold(c)])
            await asyncio.sleep(0.05)
        return False

    async def told(self, c, end):
        """A result that was given in time, and that the home could not hear in time, comes beside the outcome."""
        while time.monotonic() < end:
            status, said = await self.rest.ask("GET", self.target(c))
            if status == 200 and said.get("outcome") == "UNCERTAIN" and "late_result" in said:
                c.record = said
                return True
            await asyncio.sleep(0.1)
        return False

    async def again(self):
        """What each command is now, by lists: an outcome never changes."""
        now, cursor, end = {}, "", time.monotonic() + SETTLE_S
        mine = {c.id: c for c in self.commands if c.over}
        while not mine.keys() <= now.keys() and time.monotonic() < end:
            more = f"&cursor={cursor}" if cursor else ""
            status, said = await self.rest.ask("GET", f"/api/v1/commands?tenant={TENANT}&site=north&limit=200{more}")
            if status != 200:
                await asyncio.sleep(0.1)
                continue
            now.update((x["id"], x.get("outcome")) for x in said["commands"])
            cursor = said.get("next", "")
            if not cursor:
                break
        return [f"{c.id} was {c.record.get('outcome')}, the list says {now.get(c.id, 'nothing')}"
                for c in mine.values() if now.get(c.id) != c.record.get("outcome")]


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else 0.0


def untold(c):
    """UNCERTAIN, though the device has answered: its edge, its engine or the store could not be reached until the
    deadline."""
    return c.record.get("outcome") == "UNCERTAIN" and c.record.get("code") == "no_result" and c.id in c.device.answered


def judge(c, events, report):
    """Counts what became of one accepted command; problems, if any."""
    outcome = (c.record or {}).get("outcome")
    came = c.device.received.get(c.id, [])
    report["cmd_accepted"] += 1
    report["cmd_outcome_" + str(outcome).lower()] = report.get("cmd_outcome_" + str(outcome).lower(), 0) + 1
    problems = []

    def problem(key, text):
        report[key] += 1
        problems.append(f"{c.id} ({c.kind}, {c.device.device}): {text}")

    if outcome is None:
        problem("cmd_no_outcome", f"state {(c.record or {}).get('state')}, no outcome")
    if len(events) != 1 or outcome not in events:
        problem("cmd_wrong_events", f"{outcome}, but events say {sorted(map(str, events)) or 'nothing'}")
    late = max((ms for _, _, _, ms in came), default=0.0)
    report["cmd_late_max_ms"] = max(report["cmd_late_max_ms"], late)
    if late > LATE_MS:
        problem("cmd_late", f"received {late:.0f} ms after its deadline")
    # MQTT sends a queued one again to the next connection, marked as such; an immediate one never.
    doubled = [x for i, x in enumerate(came) if i > 0 and (c.kind == "open" or not x[2] or x[1] == came[i - 1][1])]
    if doubled:
        problem("cmd_twice", f"received {len(came)} times")
    report["cmd_resent"] += len(came) - 1 - len(doubled) if came else 0
    if outcome == "SUCCEEDED" and not came:
        problem("cmd_wrong", "SUCCEEDED, never received")
    if outcome in ("NOT_DELIVERED", "EXPIRED") and came:
        problem("cmd_wrong", f"{outcome} ({c.record.get('code')}), but received")
    if outcome in ("FAILED", "REJECTED"):
        problem("cmd_wrong", f"{outcome}, which no device has said")
    if outcome == "UNCERTAIN":
        code = c.record.get("code")
        answered = c.device.answered.get(c.id)
        broke = any(c.sent - 0.5 <= t <= c.over + 0.5 for t in c.device.ends)
        deadline = came[0][0] - came[0][3] / 1000 if came and came[0][3] else c.sent + c.ttl_ms / 1000
        if not broke and answered is not None and answered > deadline - SLOW_MS / 1000:
            report["cmd_slow_device"] += 1
        elif not broke and untold(c) and (c.record.get("late_result") or {}).get("outcome") == "SUCCEEDED":
            report["cmd_untold"] += 1
        elif not broke:
            problem("cmd_unexplained", f"UNCERTAIN ({code}) on a connection that did not break; "
                    f"received {'yes' if came else 'no'}, transitions {c.record.get('transitions')}")
    return problems


def judged(p):
    report = dict.fromkeys(("cmd_accepted", "cmd_no_outcome", "cmd_wrong_events", "cmd_late", "cmd_twice", "cmd_resent",
                            "cmd_wrong", "cmd_slow_device", "cmd_untold", "cmd_unexplained", "cmd_unasked"), 0)
    report["cmd_late_max_ms"] = 0.0
    problems = []
    for c in p.commands:
        if c.refusal is None:
            problems += judge(c, p.listener.events.get(c.id, set()), report)
        elif c.device.received.get(c.id):
            report["cmd_unasked"] += 1
            problems.append(f"{c.id}: refused with {c.refusal}, but received")
    return report, problems


async def main():
    host, mqtt, admin, token_file, devices, rate, hosts = sys.argv[1:8]
    with open(token_file) as f:
        token = f.read().strip()
    p = Platform(host, int(mqtt), int(admin), token, int(devices), float(rate))
    clients = p.devices + [p.listener]
    p.stream = Stream(hosts.split(","), int(admin), token, f"tenant={TENANT}&site=north&types=command")
    tasks = [asyncio.get_running_loop().create_task(c.run()) for c in clients + [p.stream]]
    await asyncio.wait_for(asyncio.gather(*(c.ready.wait() for c in clients)), 30)
    connected_at = time.time()
    print("connected", flush=True)
    work = asyncio.get_running_loop().create_task(p.work())
    trouble = asyncio.get_running_loop().create_task(p.trouble_upstream())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    p.stopping = True
    await work
    await trouble
    settled = await p.settle()
    missing = await p.uplink_settled()
    changed = await p.again()
    report, problems = judged(p)
    seen_report, seen_problems = await seen.judged(p, TENANT, connected_at)
    report.update(seen_report)
    problems += changed + seen_problems + [f"{one}: the uplink has not told its outcome" for one in missing]
    accept = [c.accepted_ms for c in p.commands if c.accepted_ms is not None]
    latency = [c.record["latency_ms"] for c in p.commands
               if c.kind == "open" and (c.record or {}).get("outcome") == "SUCCEEDED"]
    report.update(cmd_settled=settled, cmd_changed=len(changed), cmd_uplink_missing=len(missing), cmd_asked=len(p.commands), cmd_refused=dict(p.refusals),
                  cmd_uncertain=report.get("cmd_outcome_uncertain", 0), cmd_broken=sum(len(d.ends) for d in p.devices),
                  cmd_accept_p50_ms=quantile(accept, 0.5), cmd_accept_p99_ms=quantile(accept, 0.99),
                  cmd_open_p50_ms=quantile(latency, 0.5), cmd_open_p99_ms=quantile(latency, 0.99),
                  cmd_problems=problems[:20])
    print(json.dumps(report), flush=True)
    for c in clients:
        c.closing = True
    for t in tasks:
        t.cancel()


if __name__ == "__main__":
    asyncio.run(main())
