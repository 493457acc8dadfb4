"""Frames of the Park protocol, and Protobuf by hand as far as park_device.py needs it.

A firmware has nanopb or the like for Protobuf. Sections are those of docs/park-protocol.md.
"""
import collections, socket, struct, time, zlib

GREETING, HELLO, WELCOME, PING, PONG, EVENT, TELEMETRY, STATE, RESULT = range(1, 10)
ACK, COMMAND, DESIRED, RECEIVED, GOAWAY, ERROR, BYE = range(10, 17)
CRC, ACK_WANTED, AGAIN, RETAIN = 1, 2, 4, 8
FRAME_MAX = 64 * 1024  # bytes of a frame that this device takes
IO_TIMEOUT_S = 10      # connect, TLS handshake, WELCOME, one send


def uptime():
    """Seconds of a clock that is never set, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def text(field, value):
    value = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def number(field, value):
    return varint(field << 3) + varint(int(value))


def timestamp(field):
    now = time.time()
    return text(field, number(1, now) + number(2, now % 1 * 1e9))


class Fields:
    """The fields of a message by number. An absent field is 0 or empty; ValueError: no message."""

    def __init__(self, data):
        self.data, self.at, self.all = data, 0, collections.defaultdict(list)
        while self.at < len(data):
            tag = self.take_varint()
            kind = tag & 7
            if kind == 0:
                value = self.take_varint()
            elif kind in (1, 5):
                value = int.from_bytes(self.take(8 if kind == 1 else 4), "little")
            elif kind == 2:
                value = self.take(self.take_varint())
            else:
                raise ValueError("not Protobuf")
            self.all[tag >> 3].append(value)

    def take(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("not Protobuf")
        self.at += n
        return self.data[self.at - n:self.at]

    def take_varint(self):
        v = shift = 0
        while True:
            b = self.take(1)[0]
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    def number(self, field):
        return self.all[field][-1] if self.all[field] else 0

    def bytes(self, field):
        return self.all[field][-1] if self.all[field] else b""

    def text(self, field):
        return self.bytes(field).decode()


# -- Frames (section 2)


class Link:
    """Frames over one connection. Part of a frame waits in `got` for its rest."""

    def __init__(self, address, tls):
        host, port = address.rsplit(":", 1)
        host = host.strip("[]")  # of an IPv6 address
        self.got, self.tls = b"", tls is not None
        self.sock = socket.create_connection((host, int(port)), timeout=IO_TIMEOUT_S)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:  # checks the authority, and that the certificate names the host
                self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        except BaseException:
            self.sock.close()
            raise

    def send(self, kind, payload=b"", seq=0, flags=0):
        head = b"PK" + bytes([kind, flags | CRC]) + struct.pack(">II", len(payload), seq)
        self.sock.settimeout(IO_TIMEOUT_S)  # a send that ends half done ends the connection
        self.sock.sendall(head + payload + struct.pack(">I", zlib.crc32(head + payload)))

    def receive(self, wait_s):
        """(type, flags, seq, payload), or None if no whole frame comes within `wait_s`."""
        until = uptime() + wait_s
        while True:
            frame = self.take_frame()
            if frame:
                return frame
            self.sock.settimeout(max(0.001, until - uptime()))
            try:
                part = self.sock.recv(65536)
            except socket.timeout:
                return None
            if not part:
                raise ConnectionError("the gateway closed the connection")
            self.got += part

    def take_frame(self):
        if len(self.got) < 12:
            return None
        magic, kind, flags, length, seq = struct.unpack(">2sBBII", self.got[:12])
        end = 12 + length
        whole = end + (4 if flags & CRC else 0)
        if magic != b"PK" or whole > FRAME_MAX or not (self.tls or flags & CRC):
            raise ValueError("not a frame, too large, or without a CRC")
        if len(self.got) < whole:
            return None
        if flags & CRC and self.got[end:whole] != struct.pack(">I", zlib.crc32(self.got[:end])):
            raise ValueError("wrong CRC")
        payload, self.got = self.got[12:end], self.got[whole:]
        return kind, flags, seq, payload
