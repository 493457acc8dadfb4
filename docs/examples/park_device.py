#!/usr/bin/env python3
"""A device of the Park protocol in plain Python, to read beside docs/park-protocol.md.

It is a barrier: it reports a plate, its state, and the result of each command (open, close).
It reconnects until Ctrl-C. Firmware may copy its rules; the comments name the document's
sections. park_wire.py has the frames.
"""
import argparse, base64, collections, hashlib, hmac, json, os, random, secrets, signal, ssl, time

from park_wire import (ACK, AGAIN, BYE, COMMAND, DESIRED, ERROR, EVENT, FRAME_MAX, GOAWAY, GREETING,
                       HELLO, IO_TIMEOUT_S, PING, PONG, RECEIVED, RESULT, RETAIN, STATE, WELCOME,
                       Fields, Link, number, text, timestamp, uptime)

UNKNOWN, EXECUTED, REJECTED, FAILED, DUPLICATE, EXPIRED = range(6)  # Outcome of envelope.proto
CLOSED, OPEN = 1, 3  # BarrierPosition
COMMANDS_KEPT = 256    # ids of commands
COMMANDS_MAX = 16      # commands that come before a RECEIVED
REPORTS_KEPT = 1000    # reports without an ACK
WAIT_MIN_S, WAIT_MAX_S = 1, 120
SLOW = {0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C}  # codes that only a change of the configuration ends


def log(text):
    print(text, flush=True)


class Ended(Exception):
    """The connection has ended. `after_s`: how long to wait at least; `endpoint`: where to go."""

    def __init__(self, why, planned=False, after_s=0.0, endpoint=""):
        super().__init__(why)
        self.planned, self.after_s, self.endpoint = planned, after_s, endpoint


# -- What a device remembers


class Memory:
    """In RAM, and with a path in a file too, as firmware has it in flash: over a restart."""

    def __init__(self, path):
        self.path, self.token, self.count = path, b"", 0
        self.commands = {}  # "CHILD/ID": [outcome, code]; [UNKNOWN, "BEGUN"] until it is finished
        self.reports = collections.deque()  # [type, flags, envelope], oldest first
        self.complete = False  # `commands` has each recent command that was sent to this device
        try:
            with open(path or os.devnull) as f:
                kept = json.loads(f.read() or "{}")
        except (FileNotFoundError, ValueError):
            kept = {}
        if kept:
            self.token, self.commands = bytes.fromhex(kept["token"]), kept["commands"]
            self.reports.extend([k, f | AGAIN, bytes.fromhex(e)] for k, f, e in kept["reports"])
            self.count, self.complete = kept["count"], True

    def save(self):
        if not self.path:
            return
        with open(self.path + ".new", "w") as f:
            json.dump({"token": self.token.hex(), "count": self.count, "commands": self.commands,
                       "reports": [[k, f_, e.hex()] for k, f_, e in self.reports]}, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(self.path + ".new", self.path)

    def begin(self, command):
        self.commands[command] = [UNKNOWN, "BEGUN"]
        while len(self.commands) > COMMANDS_KEPT:
            del self.commands[next(iter(self.commands))]  # the oldest
        self.save()


# -- The device


class Device:
    def __init__(self, client_id, auth_id, key, password, tls, memory, every_s):
        self.client_id, self.auth_id, self.key, self.password = client_id, auth_id, key, password
        self.tls, self.memory, self.every_s = tls, memory, every_s
        self.start, self.position = secrets.token_hex(4), CLOSED
        self.link, self.welcome_at, self.plate_at = None, None, uptime()
        for command, (outcome, code) in memory.commands.items():
            if (outcome, code) == (UNKNOWN, "BEGUN"):  # the power went while it was executed
                memory.commands[command] = [UNKNOWN, "INTERRUPTED"]
                self.result(command, UNKNOWN, "INTERRUPTED")

    # Handshake (section 3). Proof: the device has the key; the key itself is not sent.
    def connect(self, address):
        self.welcome_at = None
        self.link = Link(address, self.tls)
        nonce = self.expect(GREETING).bytes(1)
        hello = text(1, self.client_id) + number(2, 1) + text(3, self.auth_id)
        if self.key:
            said = b"park1" + nonce + self.auth_id.encode() + b"\0" + self.client_id.encode()
            hello += text(4, hmac.new(self.key, said, hashlib.sha256).digest())
        elif self.password:
            hello += text(5, self.password)
        hello += text(8, self.memory.token) + number(10, COMMANDS_MAX) + number(11, FRAME_MAX)
        asked_at = uptime()
        self.link.send(HELLO, hello + text(12, "park_device.py 2"))
        welcome = self.expect(WELCOME)
        self.welcome_at = uptime()
        self.memory.token = welcome.bytes(1)
        self.memory.save()
        self.heartbeat_s, self.window = welcome.number(5), max(1, welcome.number(6))
        self.acked = self.sent = 0  # reports are numbered from 1 on each connection
        self.ping_at, self.pinged_at = self.welcome_at, None
        self.set_clock(welcome.number(8), asked_at)
        log(f"connected resumed={welcome.number(2)} heartbeat_s={self.heartbeat_s}")
        if not welcome.number(2):
            self.report_state()

    def expect(self, kind):
        frame = self.link.receive(IO_TIMEOUT_S)
        if frame is None:
            raise Ended("the gateway is silent")
        if frame[0] in (GOAWAY, ERROR):
            self.on_end(frame[0], Fields(frame[3]))
        if frame[0] != kind:
            raise ValueError(f"frame of type {frame[0]} in the handshake")
        return Fields(frame[3])

    # Counted from the moment of the question: at that moment the gateway's clock showed this time
    # or an earlier one, however long the answer was under way. So no command is begun too late.
    def set_clock(self, server_time_ms, asked_at):
        self.clock_ms = server_time_ms - asked_at * 1000

    def too_late(self, deadline_ms):
        return deadline_ms != 0 and self.clock_ms + uptime() * 1000 >= deadline_ms

    # Reports (section 5)
    def report(self, kind, body, child="", flags=0):
        m = self.memory
        if len(m.reports) >= REPORTS_KEPT:
            return log("report dropped: too many wait for an ACK")
        m.count += 1
        head = text(1, f"{self.client_id}-{self.start}-{m.count}") + text(6, child) + timestamp(7)
        head += number(10, self.welcome_at is None) + number(11, m.count)  # replay: it waits; seq
        m.reports.append([kind, flags, head + body])
        m.save()

    def report_state(self):
        self.report(STATE, text(25, text(1, "lane-1") + number(2, self.position)), flags=RETAIN)

    def report_plate(self):
        plate = text(1, "粤B12345") + number(2, 1)
        self.report(EVENT, text(22, text(1, "lane-1") + text(2, plate)))

    def result(self, command, outcome, code):
        child, ident = command.split("/", 1)
        body = text(1, ident) + number(2, outcome) + text(3, code) + timestamp(5)
        self.report(RESULT, text(36, body), child)
        log(f"result {ident} outcome={outcome} code={code}")

    def send_reports(self):
        while self.sent < min(len(self.memory.reports), self.window):
            report = self.memory.reports[self.sent]
            kind, flags, envelope = report
            self.sent += 1
            if flags & AGAIN:  # late: replay is true. Of a field that comes twice the last one counts
                envelope += number(10, True)
            report[1] |= AGAIN  # if there is a next time
            self.link.send(kind, envelope, self.acked + self.sent, flags)

    def on_ack(self, seq, ack):
        if not self.acked <= seq <= self.acked + self.sent:
            raise ValueError("ACK of a report that was not sent")
        refused = {r.number(1): r for r in map(Fields, ack.all[1])}
        while self.acked < seq:
            self.acked, self.sent = self.acked + 1, self.sent - 1
            event_id = Fields(self.memory.reports.popleft()[2]).text(1)
            r = refused.get(self.acked)  # refused for ever: saying it again does not help
            log(f"refused {event_id} code={r.number(2):#x} text={r.text(3)!r}" if r
                else f"acknowledged {event_id}")
        self.memory.save()

    # Commands (section 6)
    def on_command(self, flags, seq, c):
        m, ident, name = self.memory, c.text(1), c.text(2)
        command = c.text(4) + "/" + ident
        known = m.commands.get(command)
        if known is None:
            m.begin(command)  # before RECEIVED: a command that was received is not forgotten
        if seq:
            self.link.send(RECEIVED, seq=seq)
        if known:
            outcome = DUPLICATE if known[0] == EXECUTED else known[0]
            return self.result(command, outcome, known[1])
        if seq and not flags & AGAIN:
            m.complete = True  # what was sent before this device started has come before
        if flags & AGAIN and not m.complete:
            outcome, code = UNKNOWN, "RESTARTED"  # it may have been executed before the restart
        elif self.too_late(c.number(6)):
            outcome, code = EXPIRED, ""
        else:
            outcome, code = self.execute(name, ident, c.bytes(5))
        m.commands[command] = [outcome, code]
        self.result(command, outcome, code)

    def execute(self, name, ident, payload):
        if name not in ("open", "close", "open_barrier", "close_barrier"):
            return REJECTED, "UNKNOWN_COMMAND"
        log(f"execute {name} {ident} {payload!r}")
        self.position = OPEN if name.startswith("open") else CLOSED
        self.report_state()
        return EXECUTED, "OK"

    # The end (section 7)
    def on_end(self, kind, f):
        if kind == GOAWAY:
            raise Ended(f"GOAWAY code={f.number(1):#x}", True, f.number(2) / 1000, f.text(3))
        code, after_s = f.number(1), f.number(4) / 1000
        if code in SLOW:
            after_s = max(after_s, WAIT_MAX_S)
        raise Ended(f"ERROR code={code:#x} text={f.text(2)!r} quota={f.text(3)!r}", False, after_s)

    # One turn of the loop of a connection: a heartbeat (section 4), reports, at most one frame.
    def turn(self):
        now = uptime()
        if now >= self.ping_at:  # also while reports are acknowledged: their ACKs have no clock
            if self.pinged_at is not None:
                raise Ended("no PONG within the heartbeat")
            self.link.send(PING)
            self.pinged_at, self.ping_at = now, now + self.heartbeat_s
        if self.plate_at is not None and now >= self.plate_at:
            self.report_plate()
            self.plate_at = now + self.every_s if self.every_s else None
        self.send_reports()
        due = self.ping_at if self.plate_at is None else min(self.ping_at, self.plate_at)
        frame = self.link.receive(max(0, due - uptime()))
        if frame is None:
            return
        kind, flags, seq, payload = frame
        if kind == ACK:
            self.on_ack(seq, Fields(payload))
        elif kind == PONG and self.pinged_at is not None:
            self.set_clock(Fields(payload).number(1), self.pinged_at)
            self.pinged_at = None
        elif kind == COMMAND:
            self.on_command(flags, seq, Fields(payload))
        elif kind == DESIRED:
            if seq:
                self.link.send(RECEIVED, seq=seq)
            log(f"desired {Fields(payload).bytes(5)!r}")  # empty: nothing is desired any more
        elif kind in (GOAWAY, ERROR):
            self.on_end(kind, Fields(payload))
        # Other types are of a newer gateway: ignored (section 2).

    def close(self, bye=False):
        try:
            if bye and self.link and self.welcome_at:
                self.link.send(BYE)
        except OSError:
            pass
        if self.link:
            self.link.sock.close()
        lived_s = uptime() - self.welcome_at if self.welcome_at else 0
        self.link = self.welcome_at = None
        return lived_s


def run(device, address):
    wait_s, where = WAIT_MIN_S, address
    while True:
        end = None
        try:
            device.connect(where)
            while True:
                device.turn()
        except Ended as e:
            end = e
        except (OSError, ValueError) as e:
            end = Ended(f"{type(e).__name__}: {e}")
        welcome = device.welcome_at is not None
        if device.close() > 60:
            wait_s = WAIT_MIN_S
        where = end.endpoint or address
        if end.planned and welcome:
            pause_s = end.after_s
        else:
            pause_s = max(wait_s * random.uniform(0.75, 1.25), end.after_s)
            wait_s = min(wait_s * 2, WAIT_MAX_S)
        log(f"connection ended: {end}; next try in {pause_s:.1f} s at {where}")
        time.sleep(pause_s)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("address", metavar="HOST:PORT", help="park.listen, or parks.listen with --ca")
    p.add_argument("client_id", metavar="CLIENT_ID", help="names the session: a serial number")
    p.add_argument("auth_id", metavar="AUTH_ID", nargs="?", default="", help="ID@TENANT")
    p.add_argument("key", metavar="KEY", nargs="?", default="", help="base64, as in the registry")
    p.add_argument("--password-file", metavar="FILE", help="instead of KEY; with TLS only")
    p.add_argument("--ca", metavar="FILE", help="TLS: the authority that signed the gateway's "
                   "certificate, PEM; 'system': those of this machine")
    p.add_argument("--cert", metavar="FILE", help="TLS: this device's certificate and key, PEM")
    p.add_argument("--memory", metavar="FILE", help="what has to outlive a restart (flash)")
    p.add_argument("--every", metavar="S", type=float, default=0, help="a plate each S seconds")
    a = p.parse_args()
    if ":" not in a.address or not a.address.rsplit(":", 1)[1].isdigit():
        p.error("HOST:PORT is not HOST:PORT")
    try:
        key = base64.b64decode(a.key, validate=True)
        password = open(a.password_file).read().rstrip("\n") if a.password_file else ""
        ca = None if a.ca == "system" else a.ca
        tls = ssl.create_default_context(cafile=ca) if a.ca else None
        if tls and a.cert:
            tls.load_cert_chain(a.cert)
    except (OSError, ValueError) as e:
        p.error(f"KEY, --password-file, --ca or --cert: {e}")
    if (password or a.cert) and not tls:
        p.error("--password-file and --cert need --ca: a password without TLS is refused")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    device = Device(a.client_id, a.auth_id, key, password, tls, Memory(a.memory), a.every)
    try:
        run(device, a.address)
    except KeyboardInterrupt:
        device.close(bye=True)


if __name__ == "__main__":
    main()
