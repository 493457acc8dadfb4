"""An MQTT 3.1.1 client for tests in Python, on a socket and a thread: it subscribes, notes what comes, and calls back."""
import socket, struct, threading


def _text(s):
    b = s.encode()
    return struct.pack("!H", len(b)) + b


def _packet(first, body):
    n, size = len(body), b""
    while True:
        n, low = divmod(n, 128)
        size += bytes([low | (128 if n else 0)])
        if not n:
            return bytes([first]) + size + body


class Mqtt:
    """`on_message(client, topic, payload)` is called on the client's thread. It sends no PINGREQ."""

    def __init__(self, port, client_id, user, password, topics, on_message=None, keep_alive_s=600, clean=True):
        self.messages, self._acks, self._id = [], {}, 0
        self._changed, self._on_message = threading.Condition(), on_message
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.settimeout(None)  # its reader waits as long as the connection lives
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = self._socket.makefile("rb")
        self._socket.sendall(_packet(0x10, _text("MQTT") + bytes([4, 0xC2 if clean else 0xC0]) + struct.pack("!H", keep_alive_s)
                                     + _text(client_id) + _text(user) + _text(password)))
        kind, body = self._read()
        self.code = body[1] if kind == 0x20 else -1
        if self.code != 0:
            self._socket.close()
            return
        threading.Thread(target=self._run, daemon=True).start()
        if topics:
            self._socket.sendall(_packet(0x82, struct.pack("!H", 65535) + b"".join(_text(t) + b"\1" for t in topics)))
            self._await_ack(65535)

    def publish(self, topic, payload="", qos=1, retain=False):
        """Returns when PUBACK has come."""
        self._await_ack(self._send(topic, payload, qos, retain))

    def publish_all(self, messages):
        """[(topic, payload)] with QoS 1, in one write."""
        data, ids = b"", []
        for topic, payload in messages:
            self._id = self._id % 60000 + 1
            ids.append(self._id)
            data += _packet(0x32, _text(topic) + struct.pack("!H", self._id) + payload.encode())
        self._socket.sendall(data)
        for i in ids:
            self._await_ack(i)

    def wait(self, condition, seconds=30):
        """The first message (topic, payload) that fits; None: none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: any(condition(*m) for m in self.messages), seconds)
            return next((m for m in self.messages if condition(*m)), None)

    def reset(self):
        """The connection ends with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.shutdown(socket.SHUT_RD)
        self._in.close()
        self._socket.close()

    def goodbye(self):
        self._socket.sendall(b"\xe0\0")
        self._socket.shutdown(socket.SHUT_WR)

    # -- on any thread
    def _send(self, topic, payload, qos, retain):
        data = payload if isinstance(payload, bytes) else payload.encode()
        if qos:
            self._id = self._id % 60000 + 1
        ident = struct.pack("!H", self._id) if qos else b""
        self._socket.sendall(_packet(0x30 | qos << 1 | int(retain), _text(topic) + ident + data))
        return self._id if qos else 0

    def _await_ack(self, ident):
        if ident == 0:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: ident in self._acks, 30):
                raise SystemExit(f"no acknowledgement of {ident}")
            del self._acks[ident]

    # -- on the client's thread
    def _read(self):
        head = self._in.read(1)
        if not head:
            raise OSError("closed")
        size = shift = 0
        while True:
            b = self._in.read(1)[0]
            size |= (b & 127) << shift
            shift += 7
            if b < 128:
                break
        return head[0], self._in.read(size)

    def _run(self):
        try:
            while True:
                kind, body = self._read()
                if kind & 0xF0 == 0x30:
                    self._take(kind, body)
                elif kind in (0x40, 0x90):
                    with self._changed:
                        self._acks[struct.unpack("!H", body[:2])[0]] = True
                        self._changed.notify_all()
        except (OSError, ValueError, IndexError):
            pass

    def _take(self, kind, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if kind & 6:
            self._socket.sendall(_packet(0x40, rest[:2]))
            rest = rest[2:]
        with self._changed:
            self.messages.append((topic, rest.decode("utf-8", "replace")))
            self._changed.notify_all()
        if self._on_message:
            self._on_message(self, topic, rest)
