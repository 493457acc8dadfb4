"""TLS and SASL before librdkafka's mock cluster, which has neither: a front for each of its brokers, that ends TLS, answers the requests
of a log-in itself, and puts its own port in the place of the broker's where the cluster tells where its brokers are."""
import asyncio, base64, hashlib, hmac, os, ssl, struct, threading

METADATA, FIND_COORDINATOR, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 3, 10, 17, 18, 36
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, FAILED = 33, 34, 58
ROUNDS = 4096


class Scram:
    """The server's side of RFC 5802 for one log-in; proof() raises ValueError."""

    def __init__(self, algorithm, users):
        self.algorithm, self.users, self.state = algorithm, users, None

    def _mac(self, key, text):
        return hmac.digest(key, text, self.algorithm)

    def answer(self, said):
        """(what is answered, is it over?)"""
        if self.state is None:
            bare = said.decode().split(",", 2)[2]
            fields = dict(f.split("=", 1) for f in bare.split(","))
            password = self.users[fields["n"]]  # KeyError: nobody
            salt, nonce = os.urandom(16), fields["r"] + base64.b64encode(os.urandom(12)).decode()
            first = f"r={nonce},s={base64.b64encode(salt).decode()},i={ROUNDS}"
            self.state = hashlib.pbkdf2_hmac(self.algorithm, password.encode(), salt, ROUNDS), f"{bare},{first}"
            return first.encode(), False
        salted, so_far = self.state
        without, proof = said.decode().rsplit(",p=", 1)
        signed = f"{so_far},{without}".encode()
        client_key = self._mac(salted, b"Client Key")
        wanted = self._mac(hashlib.new(self.algorithm, client_key).digest(), signed)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(client_key, wanted)):
            raise ValueError("proof")
        return b"v=" + base64.b64encode(self._mac(self._mac(salted, b"Server Key"), signed)), True


class Plain:
    def __init__(self, users):
        self.users = users

    def answer(self, said):
        _, user, password = said.decode().split("\0")
        if self.users[user] != password:
            raise ValueError("password")
        return b"", True


def _text(s):
    return struct.pack("!h", len(s)) + s.encode()


def _mechanism(name, users):
    return {"PLAIN": lambda: Plain(users), "SCRAM-SHA-256": lambda: Scram("sha256", users), "SCRAM-SHA-512": lambda: Scram("sha512", users)}[name]()


def _with_log_in(answer, version):
    """An ApiVersions answer that offers SaslHandshake and SaslAuthenticate too."""
    more = [(SASL_HANDSHAKE, 0, 1), (SASL_AUTHENTICATE, 0, 1)]
    if version >= 3:  # a compact array: its length + 1 is one byte here, each entry has a byte of tags
        assert answer[6] + len(more) < 128
        return answer[:6] + bytes([answer[6] + len(more)]) + b"".join(struct.pack("!hhhb", *m, 0) for m in more) + answer[7:]
    n = struct.unpack("!i", answer[6:10])[0]
    return answer[:6] + struct.pack("!i", n + len(more)) + b"".join(struct.pack("!hhh", *m) for m in more) + answer[10:]


class KafkaFront:
    """`brokers`: what a producer is told. `users`: None, without SASL. `logins`: (mechanism, common name of the client's certificate) of
    those that were let in."""

    def __init__(self, brokers, certificate, users=None, client_authority=None):
        self.users, self.logins, self.requests = users, [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        if client_authority:
            self.context.load_verify_locations(client_authority)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.ports = {}  # of a broker: the front's
        for port in (int(b.rsplit(":", 1)[1]) for b in brokers.split(",")):
            self.ports[port] = asyncio.run_coroutine_threadsafe(self._listen(port), self.loop).result(30)
        self.brokers = ",".join(f"127.0.0.1:{p}" for p in self.ports.values())

    async def _listen(self, port):
        server = await asyncio.start_server(lambda r, w: self._serve(port, r, w), "127.0.0.1", 0, ssl=self.context)
        return server.sockets[0].getsockname()[1]

    async def _serve(self, port, reader, writer):
        tasks = []
        try:
            to_broker = await asyncio.open_connection("127.0.0.1", port)
            asked = {}  # of the broker, by correlation id: (key, version)
            tasks = [asyncio.ensure_future(self._requests(reader, writer, to_broker[1], asked)),
                     asyncio.ensure_future(self._answers(to_broker[0], writer, asked))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            to_broker[1].close()
        except OSError:
            pass
        finally:
            for t in tasks:
                t.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()

    async def _requests(self, reader, writer, broker, asked):
        mechanism, inside = None, self.users is None
        if inside:
            self._let_in("", writer)
        while True:
            body = await reader.readexactly(struct.unpack("!i", await reader.readexactly(4))[0])
            key, version, correlation = struct.unpack("!hhi", body[:8])
            client = max(struct.unpack("!h", body[8:10])[0], 0)
            rest = body[10 + client:]
            if key == SASL_HANDSHAKE:
                mechanism = rest[2:].decode()
                known = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
                error = 0 if mechanism in known else UNSUPPORTED_MECHANISM
                log_in = None if error else _mechanism(mechanism, self.users or {})
                said = struct.pack("!hi", error, len(known)) + b"".join(map(_text, known))
            elif key == SASL_AUTHENTICATE:
                try:
                    token, inside = log_in.answer(rest[4:])
                    said = struct.pack("!hhi", 0, -1, len(token)) + token
                except (KeyError, ValueError):
                    said = struct.pack("!h", FAILED) + _text("Authentication failed: Invalid username or password") + struct.pack("!i", 0)
                said += struct.pack("!q", 0) if version else b""
                if inside:
                    self._let_in(mechanism, writer)
            elif key == API_VERSIONS or inside:
                self.requests += inside
                asked[correlation] = key, version
                broker.write(struct.pack("!i", len(body)) + body)
                await broker.drain()
                continue
            else:
                return  # who has not logged in is not served
            writer.write(struct.pack("!ii", len(said) + 4, correlation) + said)
            await writer.drain()

    def _let_in(self, mechanism, writer):
        subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
        self.logins.append((mechanism, next((v for rdn in subject for k, v in rdn if k == "commonName"), "")))

    async def _answers(self, broker, writer, asked):
        while True:
            body = await broker.readexactly(struct.unpack("!i", await broker.readexactly(4))[0])
            key, version = asked.pop(struct.unpack("!i", body[:4])[0])
            if key == API_VERSIONS and self.users is not None:
                body = _with_log_in(body, version)
            if key in (METADATA, FIND_COORDINATOR):
                for port, own in self.ports.items():
                    body = body.replace(b"127.0.0.1" + struct.pack("!i", port), b"127.0.0.1" + struct.pack("!i", own))
            writer.write(struct.pack("!i", len(body)) + body)
            await writer.drain()
