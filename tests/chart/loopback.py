"""The pods that the chart renders, as processes on loopback: their files where they are mounted, their arguments, variables,
probes and their end."""
import base64, contextlib, ctypes, http.client, os, random, re, signal, socket, subprocess, time

import yaml

from chart import named


def free_port():
    """Below the ports that the kernel gives to others between this look and the process that gets it as a setting."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as s:
        s.bind(("::", 0))
        return True
    return False


def eventually(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = condition()
            if found:
                return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)  # between looks


def end_with_us():
    """PR_SET_PDEATHSIG: also when the test itself is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Pod:
    """Its files are below `root`; paths in its settings are changed accordingly, and the addresses to loopback."""

    def __init__(self, berth, root, objects, kind, name, secrets, address="127.0.0.1", networks=False):
        self.address = address
        self.networks = networks  # other addresses of this host are networks of the pod too
        self.berth, self.root, self.objects, self.secrets = berth, root, objects, secrets
        self.object = named(objects, kind, name)
        self.spec = self.object["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.of_host = {}
        for m in self.container["volumeMounts"]:
            volume = [v for v in self.spec["volumes"] if v["name"] == m["name"]]
            if volume and "hostPath" in volume[0]:  # one directory for all pods of this host
                self.of_host[m["mountPath"]] = os.path.join(os.path.dirname(root), "host", volume[0]["hostPath"]["path"].lstrip("/"))
                os.makedirs(self.here(m["mountPath"]), mode=0o700, exist_ok=True)
            else:
                self.mount(self.here(m["mountPath"]), volume[0] if volume else {})
        self.process = self.port = None

    def here(self, path):
        """Where a path of the container is."""
        for mounted, host in self.of_host.items():
            if path == mounted or path.startswith(mounted + "/"):
                return host + path[len(mounted):]
        return os.path.join(self.root, path.lstrip("/"))

    def mount(self, where, volume):
        os.makedirs(where, mode=0o700)
        sources = volume.get("projected", {}).get("sources") or [volume]
        for s in sources:
            if "configMap" in s:
                data = {k: v.encode() for k, v in named(self.objects, "ConfigMap", s["configMap"]["name"], self.object)["data"].items()}
                self.write(where, data, {}, 0o644)
            elif "secret" in s:
                name = s["secret"].get("secretName") or s["secret"]["name"]
                self.write(where, self.secret(name), {i["key"]: i["path"] for i in s["secret"].get("items", [])}, 0o600)

    def secret(self, name):
        if name in self.secrets:
            return self.secrets[name]
        return {k: base64.b64decode(v) for k, v in named(self.objects, "Secret", name, self.object)["data"].items()}

    def write(self, where, data, items, mode):
        for key in items or data:  # a key that is not there is an error, as the kubelet's
            path = os.path.join(where, items.get(key, key))
            with open(path, "wb") as f:
                f.write(self.local(data[key]))
            os.chmod(path, mode)

    def local(self, data):
        data = re.sub(rb"(: |^dir )/(?=etc/berth|data)", rb"\1" + self.root.encode() + b"/", data, flags=re.M)
        if not has_ipv6():
            data = data.replace(b"[::]:", b"0.0.0.0:")
        return data if self.networks else data.replace(b"0.0.0.0:", self.address.encode() + b":")

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}
        env |= {"BERTH_LOG_FORMAT": "ecs", "BERTH_STORE_DIRECTORY": self.here("/data")}  # of the image
        for e in self.container["env"]:
            field = e.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            value = {"status.hostIP": "127.0.0.1", "status.podIP": self.address, "spec.nodeName": "node-1", "metadata.name": "pod-1", None: e.get("value", "")}[field]
            if "secretKeyRef" in e.get("valueFrom", {}):
                ref = e["valueFrom"]["secretKeyRef"]
                value = self.secret(ref["name"])[ref["key"]].decode()
            for name in list(env):
                value = value.replace(f"$({name})", env[name])
            value = self.here(value) if value.startswith("/") else value
            env[e["name"]] = self.local(value.encode()).decode()
        return env

    def argv(self, *before):
        if self.is_redis():
            return [self.here(a) if a.startswith("/") else a for a in self.container["command"]]
        return [self.berth, *before] + [self.here(a) if a.startswith("/") else a for a in self.container["args"][len(before):]]

    def is_redis(self):
        return "command" in self.container

    def check_config(self):
        role = self.container["args"][0]
        done = subprocess.run([self.berth, "check-config", "--role", role, *self.argv()[2:]], env=self.environment(), text=True,
                              capture_output=True, timeout=30)
        return [] if done.returncode == 0 else [f"check-config --role {role}: {done.stdout}{done.stderr}"]

    def start(self):
        log = open(os.path.join(self.root, "log"), "ab")
        self.process = subprocess.Popen(self.argv(), env=self.environment(), stdout=log, stderr=subprocess.STDOUT, cwd=self.root, preexec_fn=end_with_us)
        log.close()

    def admin_port(self):
        with open(self.here("/etc/berth/berth.yaml"), encoding="utf-8") as f:
            return int(yaml.safe_load(f)["admin"]["listen"].rsplit(":", 1)[1])

    def get(self, path, **headers):
        c = http.client.HTTPConnection(self.address, self.admin_port(), timeout=5)
        c.request("GET", path, headers=headers)
        return c.getresponse().status

    def probe(self, which):
        """As the kubelet does."""
        if "exec" in self.container[which]:
            return self.run(self.container[which]["exec"]["command"]).returncode == 0
        ask = self.container[which]["httpGet"]
        ports = {p["name"]: p["containerPort"] for p in self.container.get("ports", [])}
        if ports.get(ask["port"], ask["port"]) != self.admin_port():
            raise AssertionError(f"{which} asks port {ask['port']}")
        return self.get(ask["path"]) == 200

    def run(self, command, timeout=10):
        """In the container."""
        command = [self.berth, *command[1:]] if command[0] == "berth" else [command[0], "-p", str(self.port), *command[1:]]
        return subprocess.run(command, env=self.environment(), cwd=self.root, capture_output=True, text=True, timeout=timeout)

    def become_ready(self):
        p = self.container["startupProbe"]
        eventually(f"{self.object['metadata']['name']} started (log in {self.root})", lambda: self.alive() and self.probe("startupProbe"),
                   min(60, p["periodSeconds"] * p["failureThreshold"]))
        eventually("ready", lambda: self.alive() and self.probe("readinessProbe"), 60)
        if not self.probe("livenessProbe"):
            raise AssertionError("not alive")

    def log(self):
        with open(os.path.join(self.root, "log"), encoding="utf-8") as f:
            return f.read()

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.log()[-2000:]}")
        return True

    def terminate(self):
        """As the kubelet does: preStop, then SIGTERM, all within the grace period; returns the seconds that it took."""
        began = time.monotonic()
        grace = self.spec["terminationGracePeriodSeconds"]
        stop = self.container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if stop:
            done = self.run(stop, grace)
            if done.returncode != 0:
                raise AssertionError(f"preStop of {self.object['metadata']['name']}: {done.returncode}: {done.stdout}{done.stderr}")
            self.alive()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(grace - (time.monotonic() - began))
        if code != 0:
            raise AssertionError(f"{self.object['metadata']['name']} ended with {code}")
        return time.monotonic() - began

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Redis, engine and edge of the chart, with nothing else than its own Redis."""

    def __init__(self, chart, berth, directory, values=None, edge_address="127.0.0.1", edge_networks=False):
        self.mqtt, park, self.links, self.redis_port, admin, self.edge_admin = (free_port() for _ in range(6))
        self.values = {"profile": "cluster", "redis": {"bundled": {"enabled": True}}, "cluster": {"linkPort": self.links},
                       "listeners": {"mqtt": {"port": self.mqtt}, "park": {"port": park}}, "admin": {"port": admin}, **(values or {})}
        self.objects = chart.objects(self.values)
        # Both roles are on one host here: the edge gets another admin port, by the same chart.
        others = chart.objects({**self.values, "admin": {"port": self.edge_admin}})
        for o in others:
            if o["kind"] == "Secret":
                o["data"] = named(self.objects, "Secret", o["metadata"]["name"])["data"]
        kind = self.values.get("edge", {}).get("kind", "Deployment")
        pod = lambda objects, kind, name, n=1: Pod(berth, os.path.join(directory, f"{name}-{n}"), objects, kind, "berth-" + name, {}, f"127.0.0.{n}")
        self.redis = pod(self.objects, "StatefulSet", "redis")
        self.engine = pod(self.objects, "Deployment", "engine")
        self.next_engine = pod(self.objects, "Deployment", "engine", 2)
        self.edge = Pod(berth, os.path.join(directory, "edge-1"), others, kind, "berth-edge", {}, edge_address, edge_networks)
        self.next_edge = None
        if kind == "DaemonSet":  # on the network of the same host, with the same ports
            self.next_edge = Pod(berth, os.path.join(directory, "edge-2"), others, kind, "berth-edge", {})
        self.redis.port = self.redis_port
        # What a Service does: the names lead to processes of this host.
        self.replace(self.redis, "/etc/redis/redis.conf", "port 6379", f"port {self.redis_port}\nbind 127.0.0.1")
        for p in (self.engine, self.next_engine):
            self.replace(p, "/etc/berth-store/url", "@berth-redis:6379", f"@127.0.0.1:{self.redis_port}")
        for p in filter(None, (self.engine, self.next_engine, self.edge, self.next_edge)):
            self.replace(p, "/etc/berth/berth.yaml", f"engines: berth-engine:{self.links}", f"engines: 127.0.0.1:{self.links},127.0.0.2:{self.links}")

    @staticmethod
    def replace(pod, path, old, new):
        with open(pod.here(path), encoding="utf-8") as f:
            text = f.read()
        if old not in text:
            raise AssertionError(f"{path}: no {old}")
        with open(pod.here(path), "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def __enter__(self):
        try:
            for pod in (self.redis, self.engine, self.edge):
                pod.start()
            self.redis.become_ready()
            self.edge.become_ready()
            self.engine.become_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for pod in filter(None, (self.edge, self.next_edge, self.engine, self.next_engine, self.redis)):
            pod.kill()

    def roll_engine(self):
        """maxSurge 1, maxUnavailable 0: the new one is ready, then the old one ends."""
        self.next_engine.start()
        self.next_engine.become_ready()
        self.engine.terminate()
