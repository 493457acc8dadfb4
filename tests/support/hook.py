"""A platform's webhook, for tests: it checks the signature, notes each message, and answers as it is told."""
import hashlib, hmac, http.server, json, threading, time


class Hook:
    """`messages`: as they came in bodies that were answered with 200, again and again."""

    def __init__(self, secrets=("secret",), port=0):
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

        self.server = Server(("127.0.0.1", self.port), Handler)
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
