"""The MQTT broker of a platform, for tests: it notes each PUBLISH, acknowledges it if it is told to, and can be killed and started
again on the same port."""
import socket, struct, threading


def _length(data, at):
    n, shift = 0, 0
    while True:
        b = data[at]
        n |= (b & 127) << shift
        at, shift = at + 1, shift + 7
        if not b & 128:
            return n, at


class Upstream:
    """`messages`: (topic, payload, retain, properties) in the order in which they came, again and again."""

    def __init__(self, acknowledges=True, host="127.0.0.1", port=0):
        self.messages, self.clients, self.logins, self.acknowledges = [], [], [], acknowledges
        self.receive_maximum = 0  # 0: it names none
        self.poison = None  # it ends the connection for topics that end so
        self._lock, self._open = threading.Lock(), []
        self._listener = None
        self.host, self.port = host, port
        self.start()

    def start(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self):
        """Every connection ends with a reset, and new ones are refused."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for s in self._open:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.shutdown(socket.SHUT_RDWR)
                    s.close()
                except OSError:
                    pass
            self._open = []

    def payloads(self):
        with self._lock:
            return [m[1].decode() for m in self.messages]

    def firsts(self):
        return list(dict.fromkeys(self.payloads()))

    def _accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        data, version = b"", 4
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    return
                data += more
                while len(data) >= 2:
                    try:
                        n, at = _length(data, 1)
                    except IndexError:
                        break
                    if len(data) < at + n:
                        break
                    first, body, data = data[0], data[at:at + n], data[at + n:]
                    version = self._packet(s, first, body, version)
        except OSError:
            with self._lock:
                if s in self._open:
                    self._open.remove(s)
            s.close()

    def _packet(self, s, first, body, version):
        kind = first >> 4
        if kind == 1:
            version = body[6]
            self._note_client(body, version)
            named = b"\x21" + struct.pack("!H", self.receive_maximum) if self.receive_maximum else b""
            s.sendall(bytes([0x20, 3 + len(named), 0, 0, len(named)]) + named if version == 5 else b"\x20\x02\0\0")
        elif kind == 3:
            n = struct.unpack("!H", body[:2])[0]
            topic, at = body[2:2 + n].decode(), 2 + n
            ident = body[at:at + 2] if first & 6 else b""
            at += len(ident)
            properties = b""
            if version == 5:
                size, at = _length(body, at)
                properties, at = body[at:at + size], at + size
            if self.poison and topic.endswith(self.poison):
                raise OSError
            with self._lock:
                self.messages.append((topic, body[at:], bool(first & 1), properties))
            if ident and self.acknowledges:
                s.sendall(b"\x40\x02" + ident)
        elif kind == 12:
            s.sendall(b"\xd0\0")
        return version

    def _note_client(self, body, version):
        at = 10
        if version == 5:
            size, at = _length(body, at)
            at += size
        start, n = at, struct.unpack("!H", body[at:at + 2])[0]
        texts, at = [], at + 2 + n
        while at + 2 <= len(body) and not body[7] & 4:  # no will
            size = struct.unpack("!H", body[at:at + 2])[0]
            texts.append(body[at + 2:at + 2 + size].decode())
            at += 2 + size
        with self._lock:
            self.clients.append(body[start + 2:start + 2 + n].decode())
            self.logins.append(tuple(texts))
