"""A cluster on loopback for tests: Redis, engines that share its partitions, and one edge, which keeps the connections of devices while
engines die."""
import http.client, json, os, socket

from gateway import Program, eventually, read, work


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis(Program):
    def __init__(self):
        self.port = free_port()
        os.makedirs(work + "/redis")
        super().__init__(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", work + "/redis", "--appendonly", "yes", "--appendfsync",
                          "always", "--save", ""], "redis")
        self.says("Ready to accept connections")


class Engine(Program):
    def __init__(self, cluster, port, name):
        self.directory = os.path.join(work, name)
        os.makedirs(self.directory)
        for file, text in cluster.files.items():
            with open(os.path.join(self.directory, file), "w", encoding="utf-8") as f:
                f.write(text)
        self.links = port
        super().__init__([cluster.berth, "engine", "--config", "berth.yaml", "--store", f"redis://127.0.0.1:{cluster.redis.port}", "--links",
                          f"127.0.0.1:{port}", "--admin", "127.0.0.1:0", *cluster.flags], name, self.directory)
        self.admin = int(self.says(r"\] ready links=.*admin=127\.0\.0\.1:(\d+)").group(1))
        self.token = read(os.path.join(self.directory, "data/admin.token")).strip()

    def ask(self, method, target):
        """(status, answer)"""
        c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        try:
            c.request(method, target, headers={"Authorization": "Bearer " + self.token})
            r = c.getresponse()
            return r.status, json.loads(r.read())
        finally:
            c.close()

    def held(self):
        """Partitions that it serves."""
        if self.process.poll() is not None:
            return []
        return [p["partition"] for p in self.ask("GET", "/api/v1/status")[1].get("partitions", []) if p["state"] == "serving"]


class Cluster:
    """`files`: of each engine, berth.yaml among them; `mqtt`: the port for devices."""

    def __init__(self, berth, files, engines=2, partitions=2):
        self.berth, self.files, self.partitions, self.redis = berth, files, partitions, Redis()
        ports = [free_port() for _ in range(engines)]
        self.flags = ["--engines", ",".join(f"127.0.0.1:{p}" for p in ports), "--partitions", str(partitions)]
        self.starts = 0
        self.engines = [self._begin(p) for p in ports]
        self.edge = Program([berth, "edge", "--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.flags], "edge")
        self.mqtt = int(self.edge.says(r"\] ready mqtt=127\.0\.0\.1:(\d+)").group(1))
        self.serves()

    def _begin(self, port):
        self.starts += 1
        return Engine(self, port, f"engine{self.starts}")

    def serves(self):
        """Each partition is served."""
        eventually(lambda: sorted(p for e in self.engines for p in e.held()) == list(range(self.partitions)),
                   lambda: f"{[e.held() for e in self.engines]}\n{self.engines[0].said()[-2000:]}")

    def replace(self, i):
        """Another engine at the place of one that is dead."""
        self.engines[i] = self._begin(self.engines[i].links)

    def ask(self, method, target):
        return next(e for e in self.engines if e.process.poll() is None).ask(method, target)
