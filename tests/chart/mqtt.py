"""As much of an MQTT 3.1.1 client as the test of the chart needs: QoS 1, one connection, blocking."""
import socket, struct


class Client:
    def __init__(self, port, client_id, clean, seconds=10, user=None, password=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.rest, self.packet_id = b"", 0
        texts = [client_id] + ([user, password] if user else [])
        body = b"".join(struct.pack(">H", len(t.encode())) + t.encode() for t in texts)
        self.send(0x10, b"\0\4MQTT\4" + bytes([(2 if clean else 0) | (0xC0 if user else 0)]) + b"\0\x3c" + body)
        kind, body = self.receive()
        if kind != 0x20 or body[1] != 0:
            raise OSError(f"CONNACK {kind} {body}")

    def send(self, first, body):
        size, length = len(body), b""
        while True:
            length += bytes([size % 128 | (128 if size > 127 else 0)])
            size //= 128
            if not size:
                break
        self.socket.sendall(bytes([first]) + length + body)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise OSError("closed")
        self.rest += data

    def receive(self):
        """(first byte, body); an OSError when the connection ends or nothing comes."""
        while True:
            size = shift = 0
            for at in range(1, min(5, len(self.rest))):
                size |= (self.rest[at] & 127) << shift
                shift += 7
                if self.rest[at] < 128:
                    if len(self.rest) >= at + 1 + size:
                        packet = self.rest[0], self.rest[at + 1:at + 1 + size]
                        self.rest = self.rest[at + 1 + size:]
                        return packet
                    break
            self.more()

    def subscribe(self, topic):
        name = topic.encode()
        self.send(0x82, b"\0\1" + struct.pack(">H", len(name)) + name + b"\1")
        if self.receive() != (0x90, b"\0\1\1"):
            raise OSError("SUBACK")

    def publish(self, topic, payload):
        """Returns the packet id; its PUBACK comes by receive()."""
        self.packet_id = self.packet_id % 65535 + 1
        name = topic.encode()
        self.send(0x32, struct.pack(">H", len(name)) + name + struct.pack(">H", self.packet_id) + payload)
        return self.packet_id

    def ping(self):
        self.send(0xC0, b"")
        if self.receive() != (0xD0, b""):
            raise OSError("PINGRESP")

    def message(self):
        """The payload of the next PUBLISH, which is acknowledged."""
        while True:
            kind, body = self.receive()
            if kind >> 4 == 3:
                topic = struct.unpack(">H", body[:2])[0]
                if kind & 6:
                    self.send(0x40, body[2 + topic:4 + topic])
                return body[(4 if kind & 6 else 2) + topic:]

    def close(self):
        self.socket.close()
