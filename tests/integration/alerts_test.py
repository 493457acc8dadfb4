#!/usr/bin/env python3
"""Faults are injected into two gateways that a real Prometheus scrapes: the alert that is meant fires, and no other.

The rules are those of berth.rules.yaml with time sixty times as fast (10m is 10 s). Each step waits until its alert fires
and says what else does; a step may name what it cannot help.

  alerts_test.py BERTH_FAULTS SOURCE_DIR
"""
import json, os, re, signal, socket, struct, subprocess, sys, tempfile, time, urllib.parse, urllib.request

berth, source = sys.argv[1:3]
processes = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as r:
        return r.read().decode()


def eventually(condition, seconds, what):
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.2)  # between looks
    raise SystemExit(f"not within {seconds} s: {what() if callable(what) else what}")


def start(argv, log, **env):
    p = subprocess.Popen(argv, stdout=open(log, "a"), stderr=subprocess.STDOUT, env={**os.environ, **env})
    processes.append(p)
    return p


def text(s):
    return struct.pack(">H", len(s)) + s.encode()


class Device:
    """A socket that has said CONNECT (3.1.1); `code` is what CONNACK answered, None: nothing."""

    def __init__(self, port, client_id, user="device", password="right"):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=10)
        body = text("MQTT") + b"\x04\xc2\x00\x00" + text(client_id) + text(user) + text(password)
        self.s.sendall(bytes([0x10, len(body)]) + body)
        answer = self.s.recv(4)
        self.code = answer[3] if len(answer) == 4 else None

    def publish(self, topic):
        body = text(topic) + b"x"
        self.s.sendall(bytes([0x30, len(body)]) + body)

    def vanish(self):
        self.s.close()


def faster(rules):
    """Every duration of the rules a sixtieth, one second at least."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def shorter(m):
        return f"{max(1, int(m[1]) * units[m[2]] // 60)}s"

    rules = re.sub(r"(?<=[\[:])(\d+)([smhd])(?=[\]:])", shorter, rules)
    rules = re.sub(r"(?<=offset )(\d+)([smhd])\b", shorter, rules)
    rules = re.sub(r"(?<=for: )(\d+)([smhd])\b", shorter, rules)
    return rules.replace("_age_seconds < 600", "_age_seconds < 10")


class Gateway:
    def __init__(self, d, name, **settings):
        self.d, self.name = f"{d}/{name}", name
        os.mkdir(self.d)
        self.mqtt, self.admin = free_port(), free_port()
        for user in ("device", "poison"):
            create = [] if os.path.exists(self.d + "/passwords") else ["-c"]
            subprocess.run(["mosquitto_passwd", *create, "-b", self.d + "/passwords", user, "right"], check=True)
        with open(self.d + "/acl", "w") as f:
            f.write("topic readwrite #\n")
        for file in ("passwords", "acl"):
            os.chmod(f"{self.d}/{file}", 0o600)
        failures = settings.get("failures", 0)
        with open(self.d + "/berth.yaml", "w") as f:
            f.write(settings.get("config") or
                    f"auth: {{password_file: {self.d}/passwords, acl_file: {self.d}/acl, failures_per_address: {failures}, "
                    f"failures_per_name: {failures}}}\n")
        if settings.get("starts", True):
            self.start()

    def start(self):
        self.p = start([berth, "serve", "--config", self.d + "/berth.yaml", "--mqtt", f"127.0.0.1:{self.mqtt}",
                        "--admin", f"127.0.0.1:{self.admin}", "--data", self.d + "/data"], self.d + "/log",
                       BERTH_FAULT_TOPIC="kill")
        eventually(lambda: get(f"http://127.0.0.1:{self.admin}/readyz") == "ok\n", 60, f"{self.name} ready")

    def metric(self, name):
        for line in get(f"http://127.0.0.1:{self.admin}/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def status(self):
        return json.loads(get(f"http://127.0.0.1:{self.admin}/api/v1/status"))

    def kill_engine(self):
        deaths = self.metric("berth_engine_deaths_total")

        def serving():
            return [e["pid"] for e in self.status()["engines"] if e["state"] == "serving"]

        eventually(serving, 30, "an engine serves")
        os.kill(serving()[0], signal.SIGKILL)
        eventually(lambda: self.metric("berth_engine_deaths_total") > deaths and self.metric("berth_engine_up") == 1, 30,
                   "the next engine")


class Cluster:
    """A Redis, an edge, and engines on loopback: one at first."""

    def __init__(self, d):
        self.d = d
        redis = free_port()
        start(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", d], d + "/redis.log")
        self.store = f"redis://127.0.0.1:{redis}"
        self.links = [free_port() for _ in range(2)]
        self.engine(0)
        self.admin = free_port()
        start([berth, "edge", "--engines", ",".join(f"127.0.0.1:{p}" for p in self.links), "--mqtt", "127.0.0.1:0",
               "--admin", f"127.0.0.1:{self.admin}"], d + "/edge.log")
        eventually(lambda: get(f"http://127.0.0.1:{self.admin}/readyz") == "ok\n", 60, "the edge ready")

    def engine(self, i):
        return start([berth, "engine", "--anonymous", "--store", self.store, "--links", f"127.0.0.1:{self.links[i]}",
                      "--admin", "127.0.0.1:0", "--data", f"{self.d}/engine{i}"], f"{self.d}/engine{i}.log")


class Alerts:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def query(self, q):
        return json.loads(get(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": q})))["data"]["result"]

    def firing(self):
        return {s["metric"]["alertname"] for s in self.query('ALERTS{alertstate="firing"}')}

    def ever(self, seconds):
        q = f'count by (alertname) (last_over_time(ALERTS{{alertstate="firing"}}[{seconds}s]))'
        return {s["metric"]["alertname"] for s in self.query(q)}

    def quiet(self, but=()):
        eventually(lambda: not self.firing() - set(but), 150, lambda: f"nothing fires, but {self.firing()} do")

    def step(self, what, names, action, also=()):
        """`action` again and again until all `names` fire; nothing but these and `also` has."""
        began = time.time()

        def fires():
            action()
            return set(names) <= self.firing()

        eventually(fires, 90, lambda: f"{what}: {names}, but {self.firing()}")
        seconds = int(time.time() - began) + 1
        others = self.ever(seconds) - set(names) - set(also)
        if others:
            raise SystemExit(f"{what}: {sorted(others)} too")
        print(f"{what}: {', '.join(names)} after {seconds} s", flush=True)


def prometheus(d, targets):
    port = free_port()
    with open(d + "/rules.yaml", "w") as f:
        f.write(faster(open(source + "/metrics/prometheus/berth.rules.yaml").read()))
    with open(d + "/prometheus.yml", "w") as f:
        f.write("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n"
                f"scrape_configs: [{{job_name: some, static_configs: [{{targets: {targets}}}]}}]\n")
    start(["prometheus", f"--config.file={d}/prometheus.yml", f"--storage.tsdb.path={d}/tsdb",
               f"--web.listen-address=127.0.0.1:{port}"], d + "/prometheus.log")
    eventually(lambda: "Ready" in get(f"http://127.0.0.1:{port}/-/ready"), 30, "prometheus ready")
    return Alerts(port)


def redundancy():
    """One engine is no alert; one that stood by and is gone is."""
    with tempfile.TemporaryDirectory() as d:
        c = Cluster(d)
        alerts = prometheus(d, [f"127.0.0.1:{c.admin}"])

        def standbys(value, samples):
            q = alerts.query(f"count_over_time((berth_standby_engines == {value})[60s:1s])")
            return q and int(q[0]["value"][1]) >= samples

        eventually(lambda: standbys(0, 15), 90, "one engine for three times as long as the alert waits")
        lost = "BerthRedundancyLost"
        if lost in alerts.ever(60):
            raise SystemExit(f"{lost} in a cluster of one engine")
        second = c.engine(1)
        eventually(lambda: standbys(1, 3), 90, "an engine stands by")
        second.kill()
        eventually(lambda: lost in alerts.firing(), 90, f"{lost} after the second engine's death")
        print(f"an engine of two is gone: {lost}", flush=True)
        for process in processes:
            process.kill()
            process.wait()


def customers():
    """The devices of one tenant are away: it and its site are named, and no other tenant."""
    with tempfile.TemporaryDirectory() as d:
        def tenant(name, site):
            devices = ", ".join(f"{{name: d{i}, site: {site}, credentials: [{{auth_id: d{i}, password: right}}]}}" for i in range(25))
            return f"{{name: {name}, sites: [{{name: {site}}}, {{name: planned}}], devices: [{devices}]}}"

        with open(d + "/registry.yaml", "w") as f:
            f.write(f"tenants: [{tenant('acme', 'north')}, {tenant('shop', 'mall')}]\n")
        g = Gateway(d, "g", config=f"registry: {{source: file, file: {d}/registry.yaml}}\n"
                    "auth: {failures_per_address: 0, failures_per_name: 0}\n")
        devices = {t: [Device(g.mqtt, f"{t}{i}", f"d{i}@{t}") for i in range(25)] for t in ("acme", "shop")}
        if any(device.code != 0 for all in devices.values() for device in all):
            raise SystemExit("devices of tenants are refused")
        alerts = prometheus(d, [f"127.0.0.1:{g.admin}"])
        eventually(lambda: len(alerts.query("berth:site_connected_looks")) == 2 and len(alerts.query("berth:tenant_connections_usual")) == 2,
                   150, "both sites are known to be connected")
        alerts.quiet()
        for device in devices["acme"]:
            device.vanish()
        away = ["BerthTenantOffline", "BerthSiteOffline"]
        alerts.step("a tenant's devices are away", away, lambda: None,
                    {"BerthMassDisconnect", "BerthFleetFall", "BerthLoopLate", "BerthSlowAcknowledgements", "BerthRedundancyLost"})
        named = {(s["metric"].get("tenant"), s["metric"].get("site")) for a in away for s in alerts.query(f'ALERTS{{alertname="{a}"}}')}
        if named != {("acme", None), (None, "acme/north")}:
            raise SystemExit(f"who is away: {named}")
        for process in processes:
            process.kill()
            process.wait()


def main():
    redundancy()
    customers()
    with tempfile.TemporaryDirectory() as d:
        a, b = Gateway(d, "a"), Gateway(d, "b", failures=5)
        c = Gateway(d, "c", starts=False, config=f"registry: {{source: file, file: {d}/registry.yaml}}\n"
                    f"mqtts: {{listen: 127.0.0.1:0, cert_file: {d}/x.crt, key_file: {d}/x.key}}\n")
        with open(d + "/registry.yaml", "w") as f:
            f.write("tenants: [{name: acme}]\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "5",
                        "-subj", "/CN=x", "-keyout", d + "/x.key", "-out", d + "/x.crt"], check=True, capture_output=True)
        os.chmod(d + "/x.key", 0o600)
        targets = [f"127.0.0.1:{g.admin}" for g in (a, b, c)]
        devices = {g.name: [Device(g.mqtt, f"d{i}") for i in range(40)] for g in (a, b)}
        alerts = prometheus(d, targets)
        eventually(lambda: [s["value"][1] for s in alerts.query("berth:connections")] == ["80"], 30, "80 devices")
        alerts.quiet()  # c does not answer, and never has
        slow = {"BerthLoopLate", "BerthSlowAcknowledgements"}  # a loaded machine; BerthRedundancyLost: no standby for 5 s

        alerts.step("a password scan", ["BerthAuthFailures"],
                    lambda: [Device(a.mqtt, f"s{i}", password="wrong").vanish() for i in range(5)], slow)
        alerts.quiet(slow)
        alerts.step("a scan that is slowed down", ["BerthLoginsThrottled"],
                    lambda: [Device(b.mqtt, f"s{i}", password="wrong").vanish() for i in range(5)], slow | {"BerthAuthFailures"})
        alerts.quiet(slow)
        twins = []
        alerts.step("two devices with one client id", ["BerthTakeOverFight"],
                    lambda: twins.extend(Device(a.mqtt, "twin") for _ in range(12)), slow)
        alerts.quiet(slow)
        with open(a.d + "/acl", "a") as f:
            f.write("topic never #\n")
        alerts.step("a bad ACL file", ["BerthCopyInUse"], lambda: None, slow)
        with open(a.d + "/acl", "w") as f:
            f.write("topic readwrite #\n")
        alerts.quiet(slow)
        dying = slow | {"BerthRedundancyLost", "BerthProbation"}
        alerts.step("engines die", ["BerthEngineDying"], a.kill_engine, dying)
        alerts.quiet(slow)
        eventually(lambda: a.metric("berth_connections") == 41, 30, "the devices are still there")

        def poison():
            try:
                Device(b.mqtt, "poison", user="poison").publish("kill")
            except OSError:
                pass
            time.sleep(0.5)  # its engine dies of it, or it is refused

        alerts.step("a device kills engines", ["BerthDeviceQuarantined"], poison, dying | {"BerthEngineDying", "BerthMassDisconnect"})
        alerts.quiet(slow)
        c.start()
        alerts.step("a certificate of five days", ["BerthCertificateExpires"], lambda: None, slow)
        with open(d + "/registry.yaml", "w") as f:
            f.write("tenants: [{name: '!'}]\n")
        unfit = slow | {"BerthCertificateExpires"}
        alerts.step("a bad registry file", ["BerthRegistryBad"], lambda: None, unfit | {"BerthNotReady"})
        c.p.send_signal(signal.SIGTERM)
        alerts.step("a host is taken away", ["BerthInstanceDown"], lambda: None, unfit | {"BerthRegistryBad", "BerthNotReady"})
        alerts.quiet(slow | {"BerthInstanceDown"})
        for device in devices["a"][:20]:
            device.vanish()
        b.p.send_signal(signal.SIGTERM)
        alerts.step("devices of one vanish while the other drains", ["BerthMassDisconnect"], lambda: None,
                    slow | {"BerthFleetFall", "BerthInstanceDown"})
        alerts.step("half of the fleet is gone", ["BerthInstanceDown", "BerthFleetFall"], lambda: None, slow | {"BerthMassDisconnect"})
        a.p.kill()
        alerts.step("all are gone", ["BerthDown"], lambda: None, slow | {"BerthInstanceDown", "BerthFleetFall", "BerthMassDisconnect"})


try:
    main()
finally:
    for p in processes:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
