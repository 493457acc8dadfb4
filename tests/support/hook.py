"""A platform's webhook, for tests: it checks the signature, notes each message, and answers as it is told."""
import hashlib, hmac, http.server, json, socket, ssl, threading, time


class Hook:
    """`messages`: as they came in bodies that were answered with 200, again and again."""

    def __init__(self, secrets=("secret",), port=0, certificate=None):
        self.certificate = certificate  # (file, key file); None: without TLS
        self.secrets, self.messages, self.batches, self.answers = list(secrets), [], [], []
        self.judge = lambda message: 200  # the status of a batch is its worst message's
        self.retry_after = None
        self.headers = {}
        self.faults = []  # of signatures
        self.busy = 0.0   # seconds that each answer takes
        self.lock = threading.Lock()
        self.port = port
        self.start()

    def start(self):
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                hook._post(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a gateway that was killed

        self.server = Server(("127.0.0.1", self.port), Handler)
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.open = []
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self):
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for s in self.open:
                try:
                    s.shutdown(2)
                except OSError:
                    pass
            self.open = []

    def _post(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        with self.lock:
            if request.connection not in self.open:
                self.open.append(request.connection)
            self.headers = dict(request.headers)
            self._check(request.headers["Berth-Signature"], body)
        batch = json.loads(body)["messages"]
        if self.busy:
            time.sleep(self.busy)  # what the test is about: a slow platform
        with self.lock:
            status = max(self.judge(m) for m in batch)
            self.batches.append(batch)
            self.answers.append(status)
            if status == 200:
                self.messages += batch
        text = b"no such lane" if status == 422 else b"{}"
        try:
            request.send_response(status)
            if self.retry_after is not None and status != 200:
                request.send_header("Retry-After", str(self.retry_after))
            request.send_header("Content-Length", str(len(text)))
            request.end_headers()
            request.wfile.write(text)
        except OSError:
            pass

    def _check(self, signature, body):
        parts = [p.split("=", 1) for p in signature.split(",")]
        t = dict(parts)["t"]
        given = [v for k, v in parts if k == "v1"]
        wanted = [hmac.new(s.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest() for s in self.secrets]
        if not set(given) & set(wanted) or abs(int(t) - time.time()) > 60:
            self.faults.append(signature)

    def payloads(self):
        with self.lock:
            return [m.get("payload") for m in self.messages]

    def firsts(self):
        return list(dict.fromkeys(json.dumps(p) for p in self.payloads()))


class Hostile:
    """What no platform says: answers that have no end. `answers`: connections that were answered so."""

    def __init__(self, head, again):
        self.head, self.again, self.answers = head, again, 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(s,), daemon=True).start()

    def _answer(self, s):
        try:
            s.recv(65536)
            self.answers += 1
            s.sendall(self.head)
            while True:
                s.sendall(self.again * 1000)
        except OSError:
            s.close()
