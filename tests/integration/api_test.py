#!/usr/bin/env python3
"""The HTTP API against its file and its page: every route of docs/openapi.yaml is one of the running server and the other
way round; every example is answered as the file says, those of commands with a device that is connected; every error that
a request can cause can be had; fuzzed requests never give 5xx or end the server. Then the snippets of docs/api.md are run as
they stand there.

  api_test.py BERTH SOURCE_DIR
"""
import base64, contextlib, hashlib, hmac, http.client, json, os, random, re, signal, socket, subprocess, sys, tempfile, threading, time

berth, source = (os.path.abspath(p) for p in sys.argv[1:3])
work = tempfile.mkdtemp(prefix="berth-api-")
faults = []


def check(good, what):
    if not good:
        faults.append(what)
        print("FAULT:", what)


class Gateway:
    """berth serve on ports of its own choice."""

    def __init__(self, name, config):
        self.directory = os.path.join(work, name)
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, "berth.yaml"), "w") as f:
            f.write(config + "mqtt: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\n"
                    "store: {directory: data}\n")
        self.log = os.path.join(self.directory, "log")
        self.process = subprocess.Popen([berth, "serve", "--config", "berth.yaml"], cwd=self.directory,
                                        stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
        deadline = time.time() + 60
        self.port = 0
        while time.time() < deadline and not self.port:
            said = re.search(r"\] ready .*mqtt=127\.0\.0\.1:(\d+).*admin=127\.0\.0\.1:(\d+)", open(self.log).read())
            self.mqtt, self.port = (int(said.group(1)), int(said.group(2))) if said else (0, 0)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)  # between looks
        if not self.port:
            raise SystemExit("not ready:\n" + open(self.log).read())
        self.token = open(os.path.join(self.directory, "data/admin.token")).read().strip()

    def ask(self, method, target, body=None, headers=None, token="admin"):
        """(status, headers, body as text)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            h = {} if token is None else {"Authorization": "Bearer " + (self.token if token == "admin" else token)}
            h.update(headers or {})
            c.request(method, target, body=body.encode() if isinstance(body, str) else body, headers=h)
            r = c.getresponse()
            endless = r.getheader("Content-Type", "").startswith("text/event-stream")
            return r.status, r.headers, "" if endless else r.read().decode("utf-8", "replace")
        finally:
            c.close()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        check(code == 0, f"the gateway ended with {code}")


class Device:
    """A device that answers each `open`, and no other command; MQTT 3.1.1."""

    def __init__(self, port, name, answers=True):
        self.answers = answers
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        text = lambda s: len(s).to_bytes(2, "big") + s.encode()
        self.send(0x10, text("MQTT") + b"\x04\xc2\x00\x00" + text(name) + text(name + "@acme") + text("secret"))
        self.send(0x82, b"\x00\x01" + text("v1/cmd/#") + b"\x00")
        assert self.receive()[0] == 0x20 and self.receive()[0] == 0x90
        threading.Thread(target=self.run, daemon=True).start()

    def send(self, head, body):
        assert len(body) < 128
        self.socket.sendall(bytes([head, len(body)]) + body)

    def receive(self):
        def exactly(n):
            data = b""
            while len(data) < n:
                more = self.socket.recv(n - len(data))
                if not more:
                    raise OSError("closed")
                data += more
            return data
        head, size, shift = exactly(1)[0], 0, 0
        while True:
            byte = exactly(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head, exactly(size)

    def run(self):
        try:
            while True:
                head, body = self.receive()
                topic = body[2:2 + int.from_bytes(body[:2], "big")].decode()
                if head >> 4 == 3 and self.answers and topic.endswith("/req/open"):
                    answer = f"v1/cmd/{topic.split('/')[2]}/res".encode()
                    self.send(0x30, len(answer).to_bytes(2, "big") + answer + b'{"outcome":"EXECUTED"}')
        except OSError:
            pass

    def end(self):
        self.socket.close()


STORE = "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n"
METHODS = ("get", "put", "post", "patch", "delete")


def resolved(api, node):
    while isinstance(node, dict) and "$ref" in node:
        at = api
        for part in node["$ref"].lstrip("#/").split("/"):
            at = at[part]
        node = at
    return node


def schema_fault(api, schema, value, where="body"):
    """What is wrong with a value; of JSON Schema what the file uses."""
    schema = resolved(api, schema)
    kind = schema.get("type")
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    if kind and (not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool))):
        return f"{where}: {kind} is needed, not {value!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{where}: {value!r} is not {schema['pattern']}"
    if kind == "object":
        for name in schema.get("required", []):
            if name not in value:
                return f"{where}: no {name}"
        for name, inner in schema.get("properties", {}).items():
            if name in value and (fault := schema_fault(api, inner, value[name], where + "." + name)):
                return fault
    if kind == "array":
        for i, item in enumerate(value):
            if fault := schema_fault(api, schema.get("items", {}), item, f"{where}[{i}]"):
                return fault
    return None


def operations(api):
    for path, item in api["paths"].items():
        for method in METHODS:
            if method in item:
                parameters = [resolved(api, p) for p in item.get("parameters", []) + item[method].get("parameters", [])]
                yield path, method, item[method], parameters


def target_of(path, parameters, query=True):
    for p in parameters:
        if p["in"] == "path":
            path = path.replace("{" + p["name"] + "}", str(p["example"]))
    if not query:
        return path
    words = [f"{p['name']}={str(p['example']).lower() if isinstance(p['example'], bool) else p['example']}"
             for p in parameters if p["in"] == "query" and "example" in p]
    return path + ("?" + "&".join(words) if words else "")


def body_of(media, example):
    return json.dumps(example) if "json" in media else example


def expect(api, where, op, answer, wanted=None):
    """An answer that the file has, of the type and form that the file says."""
    status, headers, text = answer
    if wanted is not None:
        check(status == wanted, f"{where}: {status} instead of {wanted}: {text[:300]}")
    known = op["responses"].get(str(status))
    check(known is not None, f"{where}: {status} is not in the file: {text[:300]}")
    if known is None:
        return
    known = resolved(api, known)
    media = headers.get("Content-Type", "").split(";")[0]
    check(re.match(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$", headers.get("traceparent", "")), f"{where}: no traceparent")
    if "ETag" in known.get("headers", {}) and "dry_run=true" not in where:
        check(headers.get("ETag"), f"{where}: no ETag")
    if "content" not in known:
        check(text == "", f"{where}: {status} has a body: {text[:100]}")
        return
    check(media in known["content"], f"{where}: {status} is {media}")
    if "json" in media and media in known["content"]:
        fault = schema_fault(api, known["content"][media]["schema"], json.loads(text))
        check(not fault, f"{where}: {status}: {fault}")
        if media == "application/problem+json":
            check(json.loads(text)["trace_id"] in headers["traceparent"], f"{where}: another trace_id")


def routes_agree(g, api):
    server = {r for r in json.loads(g.ask("GET", "/api/v1/routes")[2])["routes"]}
    file = {f"{method.upper()} {path}" for path, method, _, _ in operations(api)}
    # Of a cluster; berth serve says so.
    elsewhere = {"POST /api/v1/drain", "GET /api/v1/partitions", "POST /api/v1/partitions/{number}/move", "POST /api/v1/partitions/hold",
                 "DELETE /api/v1/partitions/hold"}
    trees = {r for r in server if " " not in r}
    check(trees == set(), f"trees: {trees}")
    server -= {"GET /", "GET /console/{file}"}  # the console's pages
    check(server == file, f"only the server: {server - file}, only the file: {file - server}")
    return elsewhere


AS_JSON = {"Content-Type": "application/json"}
COMMANDS = re.compile("/commands|presence|history|/desired")


def place_in_walk(operation):
    """Records first; then the device comes and commands are given; then what can be read; removals last, from the inside out."""
    path, method = operation[:2]
    rank = {"put": 0, "get": 2, "patch": 3, "post": 4, "delete": 5}[method]
    if method == "post" and COMMANDS.search(path):
        rank = 1
    inner = path.endswith("/devices/{name}")
    return rank, path.count("/") * (-1 if method == "delete" else 1), inner if method != "delete" else not inner


def prepare_command(g, path, method, state):
    """A device that is connected, before the first command; a command that has no outcome yet, to be cancelled."""
    if method == "post" and not state:
        state.append(Device(g.mqtt, "cam-1"))
    if path.endswith("/cancel") or path.endswith("{device}/desired"):
        body = {"id": "order-4712" if path.endswith("/cancel") else "hold-1", "tenant": "acme", "device": "cam-1", "type": "hold",
                "payload": {"mode": "HOLD_OPEN"}}
        status, _, text = g.ask("POST", "/api/v1/commands", json.dumps(body), AS_JSON)
        check(status == 202, f"hold: {status} {text}")


def walk(g, api, elsewhere, methods=METHODS):
    """Every example, each with the answer that the file has for it."""
    seen, state = 0, []
    for path, method, op, parameters in sorted(operations(api), key=place_in_walk):
        if method not in methods:
            continue
        target = target_of(path, parameters)
        unknown = "quarantine/" in path or ("uplinks/" in path and method != "put") or "sessions/{id}" in path or ("traces/{id}" in path and method == "get")
        wanted = 404 if unknown else 409 if "restore" in path or "accept-loss" in path else None
        if f"{method.upper()} {path}" in elsewhere:
            expect(api, f"{method} {path}", op, g.ask(method.upper(), path), 404)
            continue
        if method == "delete":  # an example has imported it
            g.ask("DELETE", "/api/v1/tenants/acme/devices/cam-2")
        if COMMANDS.search(path):
            prepare_command(g, path, method, state)
            wanted = 200
            if method == "post" and not path.endswith(("/cancel", "/close")):
                target += "?wait=true"
        contents = resolved(api, op.get("requestBody", {})).get("content", {None: None})
        for media, content in contents.items():
            body = body_of(media, content["example"]) if media else None
            answer = g.ask(method.upper(), target, body, {"Content-Type": media} if media else {})
            check(wanted or answer[0] < 300, f"{method} {target} ({media}): {answer[0]} {answer[2][:200]}")
            expect(api, f"{method} {target}", op, answer, wanted)
            seen += 1
        if method == "put":
            again = g.ask("PUT", target, body, {"Content-Type": media})
            expect(api, f"again: {method} {target}", op, again, 200)
        if method == "put" and "uplinks/" in path:
            check(json.loads(g.ask("GET", target)[2])["definition"] == json.loads(body), "another definition")
            check(g.ask("DELETE", target)[0] == 200, "it goes")
    check(seen > (50 if methods == METHODS else 4), f"only {seen} examples")
    for device in state:
        device.end()


def asks_of(api, path, method, op, parameters):
    """Requests that are wrong, each with the error that it is to have."""
    target = target_of(path, parameters, query=False)
    contents = list(resolved(api, op.get("requestBody", {})).get("content", {}).items())
    media, content = contents[0] if contents else (None, None)
    body = body_of(media, content["example"]) if media else None
    typed = {"Content-Type": media} if media else {}
    key, mute = "platform@acme:secret", "mute@acme:secret"
    missing = target_of(re.sub(r"\{(name|id|device)\}", "nothing", path.replace("{tenant}", "nobody")), parameters, query=False)
    yield from ((401, target, token, body, typed) for token in (None, "wrong", "platform@acme:wrong"))
    yield from ((403, target, token, body, typed) for token in (key, mute))
    yield from ((404, missing, token, body, typed) for token in ("admin", key) if (method, token) != ("put", "admin"))
    if any(p["in"] == "query" and p["name"] == "tenant" for p in parameters):
        more = "&device=nothing" if path.endswith("/history") else ""
        yield 404, missing + "?tenant=other" + more, key, body, typed
        yield 404, missing + "?tenant=nobody" + more, "admin", body, typed
    if "CommandRequest" in json.dumps(op):
        other = json.dumps({"device": "nothing", "type": "open"} if "{" not in path else {})
        yield 404, missing, key, json.dumps({"tenant": "other", "device": "cam-1", "type": "open"}) if "{" not in path else "{}", typed
        yield 404, missing, "admin", json.dumps(dict(json.loads(other), tenant="acme") if "{" not in path else {}), typed
        used = dict(json.loads(body), id="order-4711", reason="ANOTHER")
        yield 409, target, "admin", json.dumps(used), typed
        for i in range(2):  # the device answers none of these
            yield 429, target, "admin", json.dumps(dict(json.loads(body), id=f"busy-{method}-{path.count('/')}-{i}")), typed
    if "{tenant}" in path and method in ("put", "patch") and ("Device" in json.dumps(op) or "Account" in json.dumps(op)):
        taken = {"credentials": [{"auth_id": "taken", "password": "secret"}]}
        yield 409, target, "admin", json.dumps(dict(json.loads(body), **taken)), typed
    if method == "delete" and re.search(r"\{tenant\}$|sites|products", path):
        yield 409, target, "admin", None, {}
    if path.endswith("/profiles/try"):
        yield from ((429, target, "admin", body, typed) for _ in range(12))
    if path.endswith("/close"):  # the second one says another thing
        for note in ("first", "second"):
            yield 409, target + "?tenant=acme", "admin", json.dumps({"note": note}), typed
    if path.endswith("/cancel"):
        yield 409, target.replace("order-4712", "order-4711") + "?tenant=acme", "admin", None, {}
    yield 412, target, "admin", body, dict(typed, **{"If-Match": '"0"'})
    if media:
        yield 413, target, "admin", "x" * 70_000, typed
        yield 415, target, "admin", body, {"Content-Type": "text/plain"}
        yield 422, target, "admin", "{", typed
    yield 422, target + "?no=1", "admin", body, typed


# What no request can cause: a change that others overtake all the time, an import or restart at the same time, a store that is away.
NOT_CAUSED = {("delete", "devices", 409), ("delete", "accounts", 409), ("put", "{tenant}", 409), ("patch", "{tenant}", 409),
              ("put", "sites", 409), ("patch", "sites", 409), ("put", "products", 409), ("patch", "products", 409),
              ("post", "engine", 409), ("post", "registry", 409),
              ("get", "backups", 404), ("post", "backups", 404),  # of a store in Redis
              ("post", "uplinks", 409), ("put", "uplinks", 409), ("delete", "uplinks", 409),  # uplink_kinds_test.py and uplink_test.py cause them
              ("get", "status", 401),   # a client on this host needs no credential
              ("get", "history", 429)}  # scopes() causes it


def not_caused(path, method, status):
    what = next((w for w in ("sites", "products", "devices", "accounts", "engine", "registry", "status", "history", "backups", "uplinks") if f"/{w}" in path), "{tenant}")
    return status >= 500 or (method, what, status) in NOT_CAUSED


def two_backups(g, api, op, had):
    """The second while the first is being made, or in the same second."""
    for i in range(3):
        answer = g.ask("POST", "/api/v1/backups")
        expect(api, f"backup {i}", op, answer)
        had.add(answer[0])


def fill_traces(g, api, op, had):
    """More than there may be."""
    begun = []
    for i in range(9):
        answer = g.ask("POST", "/api/v1/traces", '{"client":"nobody","for_s":60}', AS_JSON)
        expect(api, f"trace {i}", op, answer)
        had.add(answer[0])
        if answer[0] == 201:
            begun.append(json.loads(answer[2])["id"])
    for trace in begun:
        g.ask("DELETE", f"/api/v1/traces/{trace}")


def no_such_uplink(g, api, op, had):
    answer = g.ask("POST", "/api/v1/uplinks/nobody/replay?from=2026-01-31T08:00:00Z&to=2026-01-31T09:00:00Z")
    expect(api, "replay of nobody", op, answer)
    had.add(answer[0])


def errors(g, api, elsewhere):
    """Each error of each operation, where a request can cause it."""
    had = {}
    status, _, text = g.ask("PUT", "/api/v1/tenants/acme/devices/needs-it", '{"site":"north","product":"lane-camera"}', AS_JSON)
    check(status in (200, 201), f"a device of a product: {status} {text}")
    device = Device(g.mqtt, "cam-1", answers=False)
    g.ask("POST", "/api/v1/commands?wait=true", '{"id":"order-4711","tenant":"acme","device":"cam-1","type":"open","ttl_ms":100}', AS_JSON)
    for path, method, op, parameters in operations(api):
        if f"{method.upper()} {path}" in elsewhere:
            continue
        for wanted, at, token, text, headers in asks_of(api, path, method, op, parameters):
            if str(wanted) not in op["responses"]:
                continue
            if wanted == 413 and "import" in path:  # refused by its length, before it is sent
                headers, text = dict(headers, **{"Content-Length": str(65 << 20)}), b""
            answer = g.ask(method.upper(), at, text, headers, token)
            if answer[0] == wanted:
                had.setdefault((path, method), set()).add(wanted)
            expect(api, f"{method} {at} for {wanted}", op, answer)
            if answer[0] < 300 and method == "delete" and path != "/api/v1/session":
                check(False, f"{method} {at} for {wanted}: it is removed")
        if (path, method) == ("/api/v1/traces", "post"):
            fill_traces(g, api, op, had.setdefault((path, method), set()))
        if path == "/api/v1/uplinks/{name}/replay" and method == "post":
            no_such_uplink(g, api, op, had.setdefault((path, method), set()))
        if (path, method) == ("/api/v1/backups", "post"):
            two_backups(g, api, op, had.setdefault((path, method), set()))
        for status in map(int, op["responses"]):
            if status >= 400 and not not_caused(path, method, status):
                check(status in had.get((path, method), ()), f"{method} {path}: no {status}, but {had.get((path, method))}")
    device.end()
    methods = {p: {m for q, m, _, _ in operations(api) if q == p} for p, _, _, _ in operations(api)}
    for path, there in methods.items():
        for method in set(METHODS) - there:
            answer = g.ask(method.upper(), re.sub(r"\{\w+\}", "x", path.replace("{tenant}", "acme")))
            check(answer[0] in (404, 405), f"{method} {path}: {answer[0]}")
            if answer[0] == 405:
                check(answer[1].get("Allow"), f"{method} {path}: no Allow")


def engines_of(g):
    said = subprocess.run(["pgrep", "-P", str(g.process.pid)], capture_output=True, text=True, timeout=30).stdout.split()
    return [int(pid) for pid in said]


def without_an_engine(g, api):
    """504 where no engine answers in time: each is stopped as soon as it is there, and killed by its supervisor."""
    asked = [o for o in operations(api) if COMMANDS.search(o[0])]
    missing = {(path, method) for path, method, op, _ in asked if "504" in op["responses"]}

    def one(path, method, op, parameters):
        contents = list(resolved(api, op.get("requestBody", {})).get("content", {}).items())
        body = body_of(*[contents[0][0], contents[0][1]["example"]]) if contents else None
        if body and "{" not in path:
            body = json.dumps(dict(json.loads(body), id=f"stopped-{random.random()}"))
        answer = g.ask(method.upper(), target_of(path, parameters), body, AS_JSON if body else {})
        expect(api, f"no engine: {method} {path}", op, answer)
        if answer[0] == 504:
            missing.discard((path, method))

    for _ in range(5):  # what asked while none served has been told 503
        if not missing:
            break
        threads = [threading.Thread(target=one, args=o) for o in asked]
        stopped = set()
        while not stopped or any(thread.is_alive() for thread in threads):
            for pid in set(engines_of(g)) - stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                stopped.add(pid)
            if not any(thread.ident for thread in threads):
                for thread in threads:
                    thread.start()
            time.sleep(0.02)  # between looks
        deadline = time.time() + 60
        while g.ask("GET", "/readyz")[0] != 200 and time.time() < deadline:
            time.sleep(0.05)  # between looks
    check(not missing, f"no 504: {missing}")


def mutated(rng, text):
    """A body, damaged: bytes changed, a part twice or away, deep, or of another type."""
    b = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        what, at = rng.randint(0, 5), rng.randrange(len(b) + 1)
        end = min(len(b), at + rng.randint(1, 20))
        if what == 0 and b:
            b[at % len(b)] = rng.randrange(256)
        elif what == 1:
            del b[at:end]
        elif what == 2:
            b[at:at] = b[at:end]
        elif what == 3:
            b[at:at] = rng.choice([b"[" * 200, b"{\"a\":" * 100, b"null", b"1e999", b"-1", b"\"\\ud800\"", b"\x00", b"\xff\xfe", b"%s"])
        elif what == 4:
            b[at:at] = rng.choice([b"\n", b",", b"\"", b"&x", b"*x", b"!!str ", b"true", b"99999999999999999999"])
        else:
            b = bytearray(rng.choice([b"", b"null", b"[]", b"3", b"\"x\"", b"{}", b"{\"name\":{}}", b"tenants: {a: b}", b"tenant\n"]))
    return bytes(b)


def fuzz(g, api, seconds):
    rng = random.Random(7)
    all_ops = [o for o in operations(api) if "requestBody" in o[2]]
    queries = ["", "?dry_run=true", "?dry_run=%00", "?limit=0", "?x[]=1&x[]=2", "?" + "a" * 3000, "?%ff=%fe", "?cursor=%F0%9F%9A%97"]
    values = ["acme", "cam-1", "north", "", "0", "-1", "99999999999999999999", "x" * 2000, "%00", "%ff", "a%26b", "true", "2026-13-99T99:99:99Z",
              "2026-11-29T10:00:05.250%2B08:00", "1764410405123-7", "9223372036854775807", "command,ended", "deadbeef", "abc", "ONLINE", "UNCERTAIN"]
    names = ["acme", "x" * 64, "x" * 65, "%2e%2e", "..", "%00", "%E8%BD%A6", "-", "a/b", "a%2Fb"]
    until, asked, statuses = time.time() + seconds, 0, set()
    while asked < 2000 and time.time() < until:
        if rng.random() < 0.2:
            path, method, op, parameters = rng.choice([o for o in operations(api) if o[1] == "get" and COMMANDS.search(o[0])])
            words = [f"{p['name']}={rng.choice(values)}" for p in parameters if p["in"] == "query" and rng.random() < 0.5]
            target = target_of(path, parameters, query=False) + "?" + "&".join(words)
            status, _, text = g.ask("GET", target)
            asked += 1
            check(status < 500, f"fuzz {asked}: GET {target}: {status} {text[:200]}")
            continue
        path, method, op, parameters = rng.choice(all_ops)
        for p in parameters:
            if p["in"] == "path":
                path = path.replace("{" + p["name"] + "}", rng.choice(names) if rng.random() < 0.3 else str(p["example"]))
        media, content = rng.choice(list(op["requestBody"]["content"].items()))
        headers = {"Content-Type": media}
        if rng.random() < 0.2:
            headers[rng.choice(["If-Match", "If-None-Match", "traceparent", "Accept", "Expect"])] = rng.choice(
                ["*", "\"", "00-0-0-0", "100-continue", "x" * 500])
        where = f"{method} {path}"
        status, head, text = g.ask(method.upper(), path + rng.choice(queries), mutated(rng, body_of(media, content["example"])), headers)
        asked += 1
        statuses.add(status)
        check(status < 500, f"fuzz {asked}: {where}: {status} {text[:200]}")
        if status >= 400:
            check(json.loads(text)["code"], f"fuzz {asked}: {where}: no code")
        if g.process.poll() is not None:
            return check(False, f"fuzz {asked}: {where} has ended the gateway")
    check(asked >= 50 and 422 in statuses, f"fuzz: {asked} requests, {statuses}")
    print(f"fuzz: {asked} requests, statuses {sorted(statuses)}")


def account(g, name, rights, more=None):
    record = {"role": "service", "api": rights, "credentials": [{"auth_id": name, "password": "secret"}]}
    record.update(more or {})
    status, _, text = g.ask("PUT", f"/api/v1/tenants/acme/accounts/{name}", json.dumps(record), {"Content-Type": "application/json"})
    check(status in (200, 201), f"account {name}: {status} {text}")


def logged(g, what, words):
    """A line of the log has `what`, and these words."""
    line, deadline = "", time.time() + 60
    while not line and time.time() < deadline:  # the log is written by another thread
        line = next((l for l in open(g.log) if what in l), "")
        time.sleep(0 if line else 0.05)  # between looks
    for word in words:
        check(word in line, f"the log has no {word} beside {what}: {line}")


def signatures(g):
    """Signed requests: of one body, once, in their time."""
    key, target = "MDEyMzQ1Njc4OWFiY2RlZg==", "/api/v1/tenants/acme/devices/d-north"
    account(g, "signer", ["change"], {"credentials": [{"auth_id": "signer", "key": key}]})
    body = '{"site":"north","labels":{"signed":"yes"}}'

    def ask(nonce, sent=body, ahead_s=0, at=target):
        parts = ["signer@acme", str(int(time.time()) + ahead_s), nonce, "PUT", target, hashlib.sha256(body.encode()).hexdigest()]
        signature = hmac.new(base64.b64decode(key), "\n".join(parts).encode(), hashlib.sha256).hexdigest()
        header = f'HMAC-SHA256 client_id="{parts[0]}", timestamp="{parts[1]}", nonce="{nonce}", body="{parts[5]}", signature="{signature}"'
        return g.ask("PUT", at, sent, {"Content-Type": "application/json", "Authorization": header}, None)[0]

    check(ask("nonce-one", sent=body.replace("yes", "no")) == 401, "another body than the one that was signed")
    check(ask("nonce-two", at=target + "?dry_run=true") == 401, "another target")
    check(ask("nonce-three", ahead_s=400) == 401 and ask("nonce-four", ahead_s=-400) == 401, "out of time")
    check(ask("nonce-five") == 200, "a signed request")
    check(ask("nonce-five") == 401, "the same nonce again")
    check('"yes"' in g.ask("GET", target)[2], "the signed record")


def scopes(g):
    """Two tenants, accounts of one: what they see and change."""
    as_json = AS_JSON
    for t in ("acme", "other"):
        check(g.ask("PUT", f"/api/v1/tenants/{t}", "{}", as_json)[0] in (200, 201), t)
        for s in ("north", "south"):
            check(g.ask("PUT", f"/api/v1/tenants/{t}/sites/{s}", "{}", as_json)[0] in (200, 201), s)
            check(g.ask("PUT", f"/api/v1/tenants/{t}/devices/d-{s}", json.dumps({"site": s}), as_json)[0] in (200, 201), s)
    account(g, "reader", ["read"])
    account(g, "changer", ["change"])
    account(g, "north", ["change"], {"sites": ["north"]})
    account(g, "closed", [])
    account(g, "watcher", ["read"], {"role": "operator"})
    account(g, "commander", ["read", "command"])
    account(g, "gates", ["read", "command"], {"sites": ["north"]})

    def of(name, method, target, body=None):
        return g.ask(method, "/api/v1" + target, body, as_json if body else {}, f"{name}@acme:secret")

    def names(name, target):
        return [i["name"] for i in json.loads(of(name, "GET", target)[2])["items"]]

    check(names("reader", "/tenants") == ["acme"], "an account lists its tenant")
    check(names("reader", "/tenants/acme/devices") == ["d-north", "d-south"], "and its devices")
    check(names("north", "/tenants/acme/devices") == ["d-north"], "or those of its sites")
    check(names("north", "/tenants/acme/sites") == ["north"], "and these sites")
    for name, devices in (("watcher", ["d-north", "d-south"]), ("gates", ["d-north"])):
        there = [i["device"] for i in json.loads(of(name, "GET", "/presence")[2])["items"]]
        check(there == devices, f"presence for {name}: {there}")
    before = of("commander", "POST", "/commands", '{"id":"s-1","device":"d-south","type":"hold","payload":{"mode":"HOLD_OPEN"}}')
    check(before[0] == 202, f"a command: {before[0]} {before[2]}")
    for name, ids in (("watcher", ["s-1"]), ("gates", [])):
        there = [i["id"] for i in json.loads(of(name, "GET", "/commands")[2])["commands"] if i["id"] == "s-1"]
        check(there == ids, f"commands for {name}: {there}")
    device = json.dumps({"site": "north", "labels": {"lane": "E1"}})
    open_north, open_south = ('{"device":"d-%s","type":"open"}' % s for s in ("north", "south"))
    moved = json.dumps({"site": "south"})
    patch = {"Content-Type": "application/merge-patch+json"}
    for name, method, target, body, wanted in (
            ("closed", "GET", "/tenants", None, 403), ("reader", "GET", "/tenants/other", None, 404),
            ("reader", "GET", "/tenants/other/devices", None, 404), ("reader", "GET", "/tenants/other/devices/d-north", None, 404),
            ("reader", "GET", "/usage/acme", None, 200), ("reader", "GET", "/usage/other", None, 404),
            ("reader", "GET", "/usage", None, 403), ("reader", "GET", "/registry/export", None, 403),
            ("reader", "GET", "/openapi.json", None, 200), ("reader", "GET", "/routes", None, 403),
            ("reader", "POST", "/engine/restart", None, 403), ("reader", "GET", "/quarantine", None, 403),
            ("reader", "PUT", "/tenants/acme/devices/d-north", device, 403),
            ("changer", "PUT", "/tenants/acme/devices/d-north", device, 200),
            ("changer", "PUT", "/tenants/other/devices/d-north", device, 404),
            ("changer", "PUT", "/tenants/new", "{}", 404), ("changer", "PUT", "/tenants/acme", "{}", 403),
            ("changer", "PUT", "/tenants/acme/sites/north", '{"limits":{"connections":9}}', 403),
            ("changer", "PUT", "/tenants/acme/accounts/changer", '{"role":"service"}', 403),
            ("changer", "DELETE", "/tenants/acme/accounts/reader", None, 403),
            ("changer", "POST", "/registry/import", "x", 403),
            ("watcher", "POST", "/commands", open_north, 403), ("reader", "POST", "/commands", open_north, 403),
            ("watcher", "POST", "/tenants/acme/devices/d-north/commands/open", "{}", 403),
            ("watcher", "POST", "/commands/s-1/cancel", None, 403), ("watcher", "GET", "/commands/s-1", None, 200),
            ("watcher", "PUT", "/tenants/acme/devices/d-north", device, 403), ("watcher", "GET", "/tenants/acme/devices", None, 200),
            ("commander", "POST", "/commands", open_north, 409), ("commander", "GET", "/commands?tenant=other", None, 404),
            ("commander", "POST", "/commands", '{"tenant":"other","device":"d-north","type":"open"}', 404),
            ("commander", "PUT", "/tenants/acme/devices/d-north", device, 403),
            ("gates", "POST", "/commands", open_north, 409), ("gates", "POST", "/commands", open_south, 404),
            ("gates", "GET", "/commands/s-1", None, 404), ("gates", "POST", "/commands/s-1/cancel", None, 404),
            ("gates", "GET", "/tenants/acme/devices/d-south/desired", None, 404),
            ("watcher", "GET", "/tenants/acme/devices/d-south/desired", None, 200),
            ("gates", "GET", "/tenants/acme/devices/d-south/presence", None, 404),
            ("gates", "GET", "/tenants/acme/devices/d-north/presence", None, 200),
            ("gates", "GET", "/history?device=d-south", None, 404), ("gates", "GET", "/history?device=d-north", None, 200),
            ("gates", "GET", "/history?site=south", None, 404), ("gates", "GET", "/history?site=north", None, 200),
            ("gates", "GET", "/presence?site=south", None, 404), ("gates", "GET", "/commands?site=south", None, 404),
            ("watcher", "GET", "/history?tenant=other&device=d-north", None, 404),
            ("watcher", "GET", "/presence?tenant=other", None, 404), ("closed", "GET", "/presence", None, 403),
            ("closed", "GET", "/history?device=d-north", None, 403), ("closed", "GET", "/commands", None, 403),
            ("commander", "POST", "/commands/s-1/cancel", None, 200),
            ("north", "GET", "/tenants/acme/devices/d-south", None, 404), ("north", "GET", "/tenants/acme/accounts", None, 403),
            ("north", "PUT", "/tenants/acme/devices/d-north", device, 200), ("north", "PUT", "/tenants/acme/devices/d-north", moved, 404),
            ("north", "PUT", "/tenants/acme/devices/d-new", device, 201), ("north", "PUT", "/tenants/acme/devices/d-far", moved, 404),
            ("north", "DELETE", "/tenants/acme/devices/d-south", None, 404),
            ("north", "PUT", "/tenants/acme/devices/d-new", '{"site":"north","executor":"d-south"}', 422),
            ("north", "PATCH", "/tenants/acme/devices/d-new", '{"parent":"d-south","child":"1"}', 422),
            ("north", "PUT", "/tenants/acme/devices/d-new", '{"site":"north","executor":"d-nobody"}', 422),
            ("north", "PUT", "/tenants/acme/devices/d-new", '{"site":"north","executor":"d-north"}', 200), ("north", "DELETE", "/tenants/acme/devices/d-new", None, 204)):
        status, _, text = of(name, method, target, body)
        check(status == wanted, f"{name}: {method} {target}: {status} instead of {wanted}: {text[:200]}")
    logged(g, "changed=command:s-1", ("admin change", "user=commander@acme", "tenant=acme", "path=/api/v1/commands", "trace_id="))
    check(len(json.loads(of("watcher", "GET", "/history?device=d-south")[2])["items"]) != 0, "the history has the command")
    check(g.ask("PATCH", "/api/v1/tenants/acme/devices/d-south", '{"site":"north"}', as_json)[0] == 200, "it moves")
    status, _, text = of("gates", "GET", "/history?device=d-south")
    there = [i for i in json.loads(text)["items"] if i["site"] != "north"]
    check(status == 200 and there == [], f"a device brings no events of its old site: {text[:300]}")
    check(g.ask("PATCH", "/api/v1/tenants/acme/devices/d-south", '{"site":"south"}', as_json)[0] == 200, "it moves back")
    trace = "0af7651916cd43dd8448eb211c80319c"
    g.ask("PATCH", "/api/v1/tenants/acme/devices/d-north", '{"labels":{"lane":"E9"}}',
          dict(patch, traceparent=f"00-{trace}-b7ad6b7169203331-01"), "changer@acme:secret")
    logged(g, trace, ("admin change", "user=changer@acme", "tenant=acme", "changed=labels", "status=200"))
    check("E9" not in open(g.log).read(), "the log has values")
    answers = [of("reader", "GET", "/history?site=north") for _ in range(60)]
    check({a[0] for a in answers} == {200, 429}, "the history is asked for as often as an account likes")


def paging(g):
    names, cursor = [], None
    while True:
        page = json.loads(g.ask("GET", "/api/v1/tenants/acme/devices?limit=1" + (f"&cursor={cursor}" if cursor else ""))[2])
        names += [i["name"] for i in page["items"]]
        cursor = page.get("next")
        if cursor is None:
            break
    check(names == sorted(names) and len(names) >= 2, f"pages: {names}")
    check(g.ask("GET", "/api/v1/tenants/acme/devices?after=a&cursor=b")[0] == 422, "after and cursor")


def snippets():
    """docs/api.md: its sh blocks and its Python, in their order, in one shell each."""
    g = Gateway("snippets", STORE)
    page = open(os.path.join(source, "docs/api.md"), encoding="utf-8").read()
    shell = "set -eu -o pipefail\n"
    for kind, text in re.findall(r"\n```(sh|python)\n(.*?)```", page, re.S):
        text = text.replace("127.0.0.1:9180", f"127.0.0.1:{g.port}")
        if kind == "sh":
            shell += text
        else:
            path = os.path.join(g.directory, "snippet.py")
            open(path, "w").write(text)
            shell += f"{sys.executable} {path}\n"
    r = subprocess.run(["bash", "-c", shell], cwd=g.directory, capture_output=True, text=True, timeout=120)
    check(r.returncode == 0, f"snippets: {r.returncode}: {r.stderr[-500:]}")
    check('"lane": "E1"' in r.stdout or '"lane":"E1"' in r.stdout, f"snippets say: {r.stdout[-500:]}")
    check("E1" in g.ask("GET", "/api/v1/tenants/acme/devices/cam-1")[2], "the last snippet has changed the record")
    g.end()


def throttle(g):
    """Failed log-ins of a name: five, then 429, counted; who has been good from the address before is let in."""
    statuses = [g.ask("GET", "/api/v1/tenants", token="nobody@acme:x")[0] for _ in range(6)]
    check(statuses == [401] * 5 + [429], f"guesses: {statuses}")
    check(g.ask("GET", "/api/v1/tenants", token="platform@acme:secret")[0] == 200, "a good key beside a guesser")
    counted = re.search(r'refused_total{reason="throttled"} (\d+)', g.ask("GET", "/metrics")[2])
    check(counted and int(counted.group(1)) >= 1, f"counted: {counted}")


def main():
    began = time.time()

    def step(what):
        print(f"{time.time() - began:5.1f} s: {what}")

    g = Gateway("walk", STORE)
    api = json.loads(g.ask("GET", "/api/v1/openapi.json")[2])
    check(api["openapi"] == "3.1.0" and isinstance(api["info"]["version"], str), "openapi and info.version are strings")
    elsewhere = routes_agree(g, api)
    step("examples")
    walk(g, api, elsewhere)
    step("scopes")
    scopes(g)
    signatures(g)
    paging(g)
    walk(g, api, elsewhere, ("put",))
    account(g, "platform", ["read"])
    account(g, "mute", [])
    account(g, "taken", [])
    check(g.ask("GET", "/api/v1/tenants", token="platform@acme:secret")[0] == 200, "a key of an account")
    step("errors")
    errors(g, api, elsewhere)
    throttle(g)
    step("fuzz")
    fuzz(g, api, 10)
    step("no engine")
    without_an_engine(g, api)
    check(g.ask("GET", "/livez")[0] == 200, "alive")
    g.end()
    step("snippets")
    snippets()
    step("end")
    if faults:
        raise SystemExit(f"{len(faults)} faults")
    subprocess.run(["rm", "-rf", work], check=False)
    print("good")


try:
    main()
finally:
    for line in subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split():
        try:
            os.kill(int(line), signal.SIGKILL)
        except OSError:
            pass
