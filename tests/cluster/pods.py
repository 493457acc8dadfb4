"""Processes in pods, and a small controller that does with them what Kubernetes does."""
import functools
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

MQTT, LINKS, ADMIN, REDIS, SENTINEL = 1883, 7883, 9180, 6379, 26379
ADMIN_TOKEN = "of-this-test"
PORTS = {"mqtt": MQTT, "mqtts": 8883, "park": 7700, "parks": 7701}  # of devices


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise RuntimeError(f"timed out: {what}")


def token_file(directory):
    return os.path.join(directory, "admin.token")


def write_token(directory):
    """Before the first pod starts, and never again: a pod that reads the file while it is written finds no
    token in it and does not start."""
    with open(os.open(token_file(directory), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(ADMIN_TOKEN)


class Pod:
    def __init__(self, net, directory, name):
        self.net, self.directory, self.name = net, directory, name
        self.address = net.pod(name)
        self.process = None
        self.starts = 0
        self.log_path = None

    def spawn(self, argv, env=None):
        self.starts += 1
        self.log_path = os.path.join(self.directory, f"{self.name}.{self.starts}.log")
        log = open(self.log_path, "w")
        self.process = subprocess.Popen(self.net.inside(self.name) + argv, stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, BERTH_ADMIN_TOKEN_FILE=token_file(self.directory),
                                                 **(env or {})))

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        if self.running():
            self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def terminate(self, grace=30):
        """SIGTERM, SIGKILL after the grace."""
        self.send(signal.SIGTERM)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def delete(self):
        self.kill()
        self.net.remove(self.name)

    def get(self, target):
        try:
            request = urllib.request.Request(f"http://{self.address}:{ADMIN}{target}",
                                             headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
            with urllib.request.urlopen(request, timeout=2) as r:
                return r.status, r.read().decode()
        except OSError:
            return 0, ""

    def ready(self):
        return self.running() and self.get("/readyz")[0] == 200

    def status(self):
        code, body = self.get("/api/v1/status")
        return json.loads(body) if code == 200 else {}

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0


class Engine(Pod):
    def __init__(self, cluster, name):
        super().__init__(cluster.net, cluster.directory, name)
        self.cluster = cluster

    def start(self):
        self.spawn([self.cluster.berth_of["engine"], "engine", "--anonymous", "--links", f"0.0.0.0:{LINKS}",
                    "--admin", f"0.0.0.0:{ADMIN}", "--store", self.cluster.store_url(),
                    *self.cluster.engine_flags()],
                   {"BERTH_STORE_DIRECTORY": os.path.join(self.directory, self.name + ".data"), **self.cluster.shipped_env("engine"),
                    **self.cluster.uplink_env(), **self.cluster.engine_env, **self.cluster.link_env["engine"]})

    def serving(self):
        return self.running() and self.status().get("state") == "serving"

    def held(self):
        """Partitions that it serves."""
        return [p["partition"] for p in self.status().get("partitions", []) if p["state"] == "serving"]


class Edge(Pod):
    def __init__(self, cluster, name):
        super().__init__(cluster.net, cluster.directory, name)
        self.cluster = cluster
        self.socket = None

    def start(self):
        self.socket = os.path.join(self.directory, f"{self.name}.{self.starts + 1}.admin.sock")
        self.spawn([self.cluster.berth_of["edge"], "edge", "--mqtt", f"0.0.0.0:{MQTT}", "--admin",
                    f"0.0.0.0:{ADMIN}", *self.cluster.engine_flags()],
                   {"BERTH_CLUSTER_RESOLVE_MS": "200", "BERTH_CLUSTER_NAME": self.name, **self.cluster.shipped_env("edge"),
                    "BERTH_CLUSTER_SERVER_REFERENCE": "10.96.0.1:1883", "BERTH_ADMIN_ALLOWED_HOSTS": "10.96.0.1",
                    "BERTH_CLUSTER_HANDOVER": os.path.join(self.directory, self.name + ".sock"),
                    "BERTH_CLUSTER_HANDOVER_LINGER": "true", "BERTH_ADMIN_SOCKET": self.socket, **self.cluster.listeners,
                    **self.cluster.link_env["edge"], **self.cluster.edge_env})

    def ctl(self, verb, socket=None):
        """In the pod of that socket, as the kubelet runs a probe. Exit code and output."""
        done = subprocess.run([self.cluster.berth, "ctl", "--socket", socket or self.socket, "--timeout", "4", verb],
                              capture_output=True, text=True)
        return done.returncode, done.stdout

    def own_status(self, socket=None):
        code, body = self.ctl("status", socket)
        return json.loads(body) if code == 0 else {}

    def upgrade(self, end=None, min_ready=0.5, grace=30):
        """A DaemonSet with maxSurge 1 on the host's network: the new pod beside the old one, which is ended when the new one
        has been ready for min_ready seconds: SIGTERM, and SIGKILL after the grace. `end`: which of them gets SIGTERM before
        the new one has everything, old or new."""
        old, old_socket = self.process, self.socket
        old_log = self.log_path
        with open(old_log) as f:
            before = f.read().count("handover begins")  # a new one may have been ended before
        self.start()
        new = self.process

        def begun():
            with open(old_log) as f:
                return f.read().count("handover begins") > before
        if end:  # before it has begun an old one that is ended drains, as without a new one
            wait_for(f"{self.name} taking over", lambda: begun() or new.poll() is not None)
        if end == "new":
            new.send_signal(signal.SIGTERM)
            self.expect_end(new, 5)
            self.process, self.socket, self.log_path = old, old_socket, old_log
            return wait_for(f"{self.name} going on", lambda: self.ctl("ready")[0] == 0)
        if end == "old":
            old.send_signal(signal.SIGTERM)
        wait_for(f"{self.name} started", lambda: self.ctl("started")[0] == 0, 120)
        wait_for(f"{self.name} handed over", lambda: old.poll() is not None or self.own_status(old_socket).get("handed_over"), 5)
        since = None
        deadline = time.monotonic() + 60
        while since is None or time.monotonic() - since < min_ready:
            good = self.ctl("ready")[0] == 0
            since = (since or time.monotonic()) if good else None
            if old.poll() is None and self.ctl("live", old_socket)[0] != 0:
                raise RuntimeError(f"{self.name}: the kubelet would start the old edge again")
            if time.monotonic() > deadline:
                raise RuntimeError(f"timed out: {self.name} ready")
            time.sleep(0.05)  # between two probes
        if old.poll() is None:
            old.send_signal(signal.SIGTERM)
        self.expect_end(old, grace)

    def expect_end(self, process, grace):
        try:
            code = process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RuntimeError(f"{self.name}: SIGKILL after {grace} s") from None
        if code != 0:
            raise RuntimeError(f"{self.name}: an edge ended with {code}")


class Redis(Pod):
    def start(self, master=None):
        argv = ["redis-server", "--port", str(REDIS), "--bind", self.address, "--dir", self.home(),
                "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
                "--repl-diskless-sync-delay", "0", "--protected-mode", "no"]
        if master is not None:
            argv += ["--replicaof", f"{master.address} {REDIS}"]
        self.spawn(argv)

    def home(self):
        path = os.path.join(self.directory, self.name)
        os.makedirs(path, exist_ok=True)
        return path

    def ask(self, *command, port=REDIS):
        return subprocess.run(["redis-cli", "-h", self.address, "-p", str(port), *command],
                              capture_output=True, text=True).stdout.strip()

    def role(self):
        return self.ask("ROLE").split("\n")[0]


class Sentinel(Redis):
    def start(self, master=None):
        config = os.path.join(self.home(), "sentinel.conf")
        with open(config, "w") as f:
            f.write(f"port {SENTINEL}\nbind {self.address}\nprotected-mode no\ndir {self.home()}\n"
                    f"sentinel monitor m {master.address} {REDIS} 1\n"
                    "sentinel down-after-milliseconds m 1000\nsentinel failover-timeout m 3000\n")
        self.spawn(["redis-sentinel", config])


class Cluster:
    """A Deployment of engines, a DaemonSet of edges, Redis with replicas and a sentinel, a Service."""

    def __init__(self, net, directory, berth, clients, engines=3, edges=2, partitions=1,
                 registry="", uplinks="", shipped=None, old=None):
        # The release of pods that start from now on, by role; `old`: another binary, with which the cluster begins.
        self.release = {"new": berth, "old": old or berth}
        self.berth_of = {role: self.release["old"] for role in ("engine", "edge")}
        self.shipped = shipped or {}  # roles of shipped.py: how the Helm chart runs pods
        self.net, self.directory, self.berth, self.clients = net, directory, berth, clients
        self.partitions = partitions
        self.engine_env = {"BERTH_STORE_REDIS_WAIT_REPLICAS": "1", "BERTH_CLUSTER_RESOLVE_MS": "200",
                           "BERTH_CLUSTER_REBALANCE_MS": "2000", "BERTH_REGISTRY_SOURCE": "file",
                           "BERTH_REGISTRY_FILE": os.path.join(directory, "registry.yaml")}
        with open(self.engine_env["BERTH_REGISTRY_FILE"], "w") as f:
            f.write(registry)
        with open(os.path.join(directory, "uplinks.yaml"), "w") as f:
            f.write(uplinks)
        self.edge_env = {}  # of edges that start from now on
        self.dns_cache_s = 0  # how long a node's cache of names keeps what it has
        self.named = []  # what the cache says: (address, name)
        self.all_knew_uplinks = True
        self.listeners = self.make_listeners()
        self.link_env = self.make_link_certificates()
        self.made = 0
        write_token(directory)
        self.redis = [Redis(net, directory, f"redis-{i}") for i in range(3)]
        self.redis[0].start()
        wait_for("redis", lambda: self.redis[0].ask("PING") == "PONG")
        for r in self.redis[1:]:
            r.start(self.redis[0])
        self.sentinel = Sentinel(net, directory, "sentinel")
        self.sentinel.start(self.redis[0])
        wait_for("replicas", lambda: self.sentinel.ask("SENTINEL", "replicas", "m", port=SENTINEL).count("slave") >= 2
                 and self.redis[0].ask("INFO", "replication").count("state=online") == 2)
        self.engines, self.edges = [], []
        for _ in range(engines):
            self.add_engine(wait=False)
        for i in range(edges):
            self.add_edge(f"edge-{i}")
        for e in self.engines + self.edges:
            wait_for(f"{e.name} ready", e.ready)
        self.endpoints()
        wait_for("every partition served", self.all_served)

    def make_listeners(self):
        cert, key = (os.path.join(self.directory, n) for n in ("edge.crt", "edge.key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        return {f"BERTH_{name.upper()}_LISTEN": f"0.0.0.0:{port}" for name, port in PORTS.items()} | {
            "BERTH_MQTTS_CERT_FILE": cert, "BERTH_MQTTS_KEY_FILE": key}

    def make_link_certificates(self):
        """Links between pods are beyond loopback: TLS on both sides, as the Helm chart has it."""
        path = lambda name: os.path.join(self.directory, name)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

        def openssl(*argv):
            subprocess.run(["openssl", *argv], check=True, capture_output=True)
        openssl("req", "-x509", *key, "-subj", "/CN=authority", "-days", "2", "-keyout", path("ca.key"), "-out",
                path("ca.crt"))
        for name in ("engine", "edge"):
            openssl("req", *key, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:berth-{name}", "-keyout",
                    path(f"link-{name}.key"), "-out", path(f"link-{name}.csr"))
            openssl("x509", "-req", "-days", "2", "-copy_extensions", "copy", "-CAcreateserial", "-CA", path("ca.crt"),
                    "-CAkey", path("ca.key"), "-in", path(f"link-{name}.csr"), "-out", path(f"link-{name}.crt"))
        peers = {"engine": "berth-edge,berth-engine", "edge": "berth-engine"}
        return {name: {"BERTH_CLUSTER_CA_FILE": path("ca.crt"), "BERTH_CLUSTER_CERT_FILE": path(f"link-{name}.crt"),
                       "BERTH_CLUSTER_KEY_FILE": path(f"link-{name}.key"), "BERTH_CLUSTER_PEER_NAME": peers[name]}
                for name in peers}

    def uplink_env(self):
        """An older release may know no uplinks; what devices say while it serves does not come to the platform."""
        if not self.knows_uplinks(self.berth_of["engine"]):
            self.all_knew_uplinks = False
            return {}
        return {"BERTH_UPLINKS_FILE": os.path.join(self.directory, "uplinks.yaml")}

    @staticmethod
    @functools.cache
    def knows_uplinks(berth):
        return subprocess.run([berth, "ctl", "uplinks", "--help"], capture_output=True).returncode == 0

    def shipped_env(self, role):
        return self.shipped[role].env if self.shipped else {}

    def end_edge(self, e):
        """Its endpoint is withdrawn. With the chart's settings its preStop runs meanwhile, in which it is still named for a while."""
        self.edges.remove(e)
        if not self.shipped:
            self.endpoints()
            return e.terminate()
        shipped, began = self.shipped["edge"], time.monotonic()
        stop = subprocess.Popen([self.berth, *shipped.pre_stop[1:]], env=dict(os.environ, BERTH_ADMIN_SOCKET=e.socket))
        time.sleep(shipped.linger / 2)  # the endpoints lag
        self.endpoints()
        if stop.wait(shipped.grace) != 0 or not e.running():
            raise RuntimeError(f"{e.name}: preStop ended with {stop.returncode}")
        return e.terminate(shipped.grace - (time.monotonic() - began))

    def engine_flags(self):
        return ["--engines", f"engine:{LINKS}", "--partitions", str(self.partitions)]

    def all_served(self):
        return sorted(p for e in self.engines for p in e.held()) == list(range(self.partitions))

    def store_url(self):
        return f"redis-sentinel://{self.sentinel.address}:{SENTINEL}/m"

    # -- what a headless Service and the kube-proxy do

    def endpoints(self):
        names = [(e.address, "engine") for e in self.engines]
        if not self.dns_cache_s:
            self.name_engines(names)
        else:
            timer = threading.Timer(self.dns_cache_s, self.name_engines, (names,))
            timer.daemon = True
            timer.start()
        backends = [e.address for e in self.edges if e.running()]
        for client in self.clients:
            self.net.service(client, [*PORTS.values(), ADMIN], backends)

    def name_engines(self, names):
        """From now on all pods find these, new pods too."""
        self.named = names
        for pod in self.edges + self.engines:
            if pod.name in self.net.pods:
                self.net.hosts(pod.name, names)

    # -- what a Deployment does

    def add_engine(self, wait=True):
        self.made += 1
        e = Engine(self, f"engine-{self.made}")
        self.engines.append(e)
        self.net.hosts(e.name, self.named)
        self.endpoints()
        e.start()
        if wait and self.shipped:
            self.shipped["engine"].ready(e)
        elif wait:
            wait_for(f"{e.name} ready", e.ready, 30 + 2 * self.dns_cache_s)
        return e

    def remove_engine(self, e):
        e.terminate(*([self.shipped["engine"].grace] if self.shipped else []))
        self.engines.remove(e)
        self.endpoints()
        e.delete()

    def add_edge(self, name):
        e = Edge(self, name)
        self.net.hosts(name, self.named)
        e.start()
        self.edges.append(e)
        return e

    def roll_engines(self):
        """maxSurge 1, maxUnavailable 0."""
        for old in list(self.engines):
            self.add_engine()
            self.remove_engine(old)

    def revive(self):
        """The kubelet: containers that ended are started again."""
        for e in self.engines:
            if not e.running():
                e.start()

    def active(self, seconds=15):
        found = []

        def look():
            found[:] = [e for e in self.engines if e.serving()]
            return bool(found)
        wait_for("an engine that serves", look, seconds)
        return max(found, key=lambda e: e.status().get("term", 0))

    def master(self):
        for r in self.redis:
            if r.running() and r.role() == "master":
                return r
        return None

    def close(self):
        for p in self.engines + self.edges + self.redis + [self.sentinel]:
            p.kill()
