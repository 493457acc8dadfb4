"""A collector of spans for tests in Python: OTLP over HTTP, with a reader of Protobuf's wire format of its own."""
import http.server, ssl, struct, threading, time


def fields(data):
    """(number, value) of a message: whole numbers, or bytes."""
    at = 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]
            at += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return n
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 2:
            size = varint()
            value = data[at:at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[kind]
            value = struct.unpack({1: "<Q", 5: "<I"}[kind], data[at:at + size])[0]
            at += size
        yield key >> 3, value


def all_of(data, number):
    return [v for n, v in fields(data) if n == number]


def attributes(data, number):
    out = {}
    for pair in all_of(data, number):
        key = all_of(pair, 1)[0].decode()
        (kind, value), = fields(all_of(pair, 2)[0])
        out[key] = value.decode() if kind == 1 else bool(value) if kind == 2 else value
    return out


def spans(request):
    """The spans of an ExportTraceServiceRequest, with the attributes of their process as `process`."""
    for resource_spans in all_of(request, 1):
        process = {}
        for resource in all_of(resource_spans, 1):
            process = attributes(resource, 1)
        for scope_spans in all_of(resource_spans, 2):
            for data in all_of(scope_spans, 2):
                one = dict(fields(data))
                status = dict(fields(one.get(15, b"")))
                yield {"trace": one[1].hex(), "id": one[2].hex(), "parent": one.get(4, b"").hex(), "name": one[5].decode(),
                       "kind": one[6], "start": one[7], "end": one[8], "attributes": attributes(data, 9), "process": process,
                       "failed": status.get(3, 0) == 2, "why": status.get(2, b"").decode()}


class Collector:
    """It is there from start() to stop(), always on the same port; with TLS if it has a certificate: (file, file of its key).
    `token`: a request without it is refused with 401."""

    def __init__(self, certificate=None, token=None):
        self.spans, self.heads, self._changed, self._server = [], [], threading.Condition(), None
        self.certificate, self.token, self.refused = certificate, token, []
        self.port = 0
        self.start()

    def start(self):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.token is not None and self.headers["Authorization"] != collector.token:
                    collector.refused.append(self.headers["Authorization"])
                    self.send_response(401)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                with collector._changed:
                    collector.heads.append((self.path, self.headers["Content-Type"]))
                    collector.spans.extend(spans(body))
                    collector._changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *_):  # a client that does not trust the certificate, or has gone
                pass
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def wait(self, condition, what, seconds=60):
        """What the condition makes of all spans so far, as soon as that is something."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = condition(self.spans)
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    names = [(s["trace"][:6], s["name"], s["attributes"].get("berth.command.id")) for s in self.spans]
                    raise SystemExit(f"not within {seconds} s: {what}; spans so far: {names}")
                self._changed.wait(left)
