#!/usr/bin/env python3
"""A device of the Park protocol in plain Python, to read beside docs/park-protocol.md.

  park_device.py HOST:PORT CLIENT_ID [AUTH_ID KEY]

Reports one plate, answers commands until the gateway or you end it (Ctrl-C), comes back after a
while when the connection breaks. KEY is the key's bytes in base64, as the registry has it.
"""
import base64, hashlib, hmac, random, socket, struct, sys, time, zlib

GREETING, HELLO, WELCOME, PING, PONG, EVENT, TELEMETRY, STATE, RESULT = range(1, 10)
ACK, COMMAND, DESIRED, RECEIVED, GOAWAY, ERROR, BYE = range(10, 17)
CRC = 1


def frame(kind, payload=b"", seq=0):
    head = b"PK" + bytes([kind, CRC]) + struct.pack(">II", len(payload), seq)
    return head + payload + struct.pack(">I", zlib.crc32(head + payload))


def exactly(sock, n):
    got = b""
    while len(got) < n:
        part = sock.recv(n - len(got))
        if not part:
            raise ConnectionError("closed by the gateway")
        got += part
    return got


def read_frame(sock):
    head = exactly(sock, 12)
    kind, flags, length, seq = struct.unpack(">2xBBII", head)
    payload = exactly(sock, length)
    if flags & CRC and struct.unpack(">I", exactly(sock, 4))[0] != zlib.crc32(head + payload):
        raise ConnectionError("bad CRC")
    return kind, seq, payload


# Protobuf by hand, as far as it is needed here: a firmware has nanopb or the like.
def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def text(number, value):
    value = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def number(field, value):
    return varint(field << 3) + varint(value)


def fields(data):
    at, out = 0, {}

    def take():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        tag = take()
        if tag & 7 == 0:
            out[tag >> 3] = take()
        elif tag & 7 == 2:
            n = take()
            out[tag >> 3] = data[at:at + n]
            at += n
        else:
            n = 8 if tag & 7 == 1 else 4
            out[tag >> 3] = data[at:at + n]
            at += n
    return out


def event_time(number_):
    now = time.time()
    return text(number_, number(1, int(now)) + number(2, int(now % 1 * 1e9)))


class Device:
    def __init__(self, address, client_id, auth_id="", key=b""):
        self.address, self.client_id, self.auth_id, self.key = address, client_id, auth_id, key
        self.token, self.waiting, self.events = b"", [], 0

    def report(self, kind, envelope):
        self.events += 1
        event_id = text(1, f"{self.client_id}-{int(time.time())}-{self.events}")
        self.waiting.append((kind, event_id + event_time(7) + envelope))

    def connect(self):
        host, port = self.address.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind, _, payload = read_frame(self.sock)
        assert kind == GREETING
        nonce = fields(payload)[1]
        hello = text(1, self.client_id) + number(2, 1) + text(3, self.auth_id) + text(8, self.token)
        if self.key:
            said = b"park1" + nonce + self.auth_id.encode() + b"\0" + self.client_id.encode()
            hello += text(4, hmac.new(self.key, said, hashlib.sha256).digest())
        self.sock.sendall(frame(HELLO, hello))
        kind, _, payload = read_frame(self.sock)
        if kind != WELCOME:
            raise ConnectionError(f"refused: {fields(payload).get(2, b'').decode()}")
        welcome = fields(payload)
        self.token, self.heartbeat, self.acked, self.sent = welcome[1], welcome[5], 0, 0
        self.set_clock(welcome.get(8, 0))
        print(f"connected resumed={welcome.get(2, 0)} heartbeat_s={self.heartbeat}", flush=True)

    # The gateway's clock beside one that is never set: commands have deadlines by it.
    def set_clock(self, server_time_ms):
        self.clock_ms = server_time_ms - time.monotonic() * 1000

    def too_late(self, deadline_ms):
        return deadline_ms != 0 and self.clock_ms + time.monotonic() * 1000 > deadline_ms

    def send_waiting(self):
        while self.sent < len(self.waiting):
            kind, envelope = self.waiting[self.sent]
            self.sent += 1
            self.sock.sendall(frame(kind, envelope, self.acked + self.sent))

    def turn(self):
        self.send_waiting()
        self.sock.settimeout(self.heartbeat)
        try:
            kind, seq, payload = read_frame(self.sock)
        except socket.timeout:
            self.sock.sendall(frame(PING))
            return
        if kind == ACK:
            done = seq - self.acked
            del self.waiting[:done]
            self.sent -= done
            self.acked = seq
            print(f"acknowledged {seq}", flush=True)
        elif kind == PONG:
            self.set_clock(int.from_bytes(fields(payload)[1], "little"))
        elif kind in (COMMAND, DESIRED):
            self.sock.sendall(frame(RECEIVED, seq=seq)) if seq else None
            command = fields(payload)
            if kind == COMMAND:
                name, ident = command[2].decode(), command[1].decode()
                print(f"command {name} {ident} {command.get(5, b'')!r}", flush=True)
                late = self.too_late(int.from_bytes(command.get(6, b""), "little"))
                result = text(1, ident) + number(2, 5 if late else 1)  # EXPIRED, EXECUTED
                self.report(RESULT, text(36, result))
        elif kind in (GOAWAY, ERROR):
            raise ConnectionError(f"code {fields(payload).get(1, 0):#x}")


def main():
    address, client_id, *rest = sys.argv[1:]
    device = Device(address, client_id, rest[0] if rest else "",
                    base64.b64decode(rest[1]) if rest else b"")
    plate = text(1, "lane-1") + text(2, text(1, "粤B12345") + number(2, 1))
    device.report(EVENT, text(22, plate))
    wait = 1.0
    while True:
        try:
            device.connect()
            wait = 1.0
            while True:
                device.turn()
        except (OSError, ConnectionError) as e:
            print(f"connection ended: {e}", flush=True)
        time.sleep(wait * random.uniform(0.75, 1.25))
        wait = min(wait * 2, 120)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
