"""A parking platform and its devices at a running gateway, for the checks of the contract (contract_test.py). The program that
imports it is called as PROGRAM BERTH SOURCE_DIR."""
import base64, json, os, sys

berth, source = (os.path.abspath(p) for p in sys.argv[1:3])
sys.path.insert(0, source + "/tests/support")
from gateway import Gateway, eventually, read  # noqa: E402
from mqtt import Mqtt  # noqa: E402

CONFIG = """
auth: {failures_per_name: 0, failures_per_address: 0}
registry: {source: store, refresh_ms: 200, password_iterations: 3}
presence: {offline_after_s: 1}
commands: {per_service_per_s: 20}
"""
vendors = read(source + "/docs/examples/vendor-commands.yaml").replace("name: example", "name: acme")
gateway = Gateway(berth, {"berth.yaml": CONFIG})
API = "/api/v1/tenants/acme"
SOON_MS = 1500  # enough to be sent on a slow machine
BEARER, KEY = "backend@acme:secret", base64.b64encode(b"0123456789abcdef").decode()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EXECUTED = '{"result":{"outcome":"EXECUTED","code":"200"}}'
checks, count = {}, 0


def row(theirs):
    """The check of a row."""
    def add(f):
        checks[theirs] = f
        return f
    return add


class Wrong(Exception):
    pass


def need(good, *what):
    if not good:
        raise Wrong(" ".join(str(w) for w in what))


# -- what a platform does

def ident():
    global count
    count += 1
    return f"c{count}"


def submit(device, kind, wait=True, id=None, headers=None, **more):
    body = {"id": id or ident(), "tenant": "acme", "device": device, "type": kind, **more}
    return gateway.ask("POST", "/api/v1/commands" + ("?wait=20000" if wait else ""), body, **(headers or {}))


def get(id, wait=False):
    return gateway.ask("GET", f"/api/v1/commands/{id}?tenant=acme" + ("&wait=20000" if wait else ""))


def ends(id):
    """The command with its outcome."""
    return eventually(lambda: (c := get(id, True)[1]).get("final") and c, f"{id} has its outcome")


def refused(device, kind, **more):
    status, answer = submit(device, kind, **more)
    need(status >= 400 and get(answer.get("id", "none"))[0] == 404, "is accepted:", answer)
    return {str(status), answer["code"]}


def kinds(device, *asked):
    said = []
    for kind, payload in asked:
        status, c = submit(device, kind, wait=False, **({"payload": payload} if payload else {}))
        need(status in (200, 202), kind, c)
        ends(c["id"]) if c["class"] == "IMMEDIATE" else None
        said.append(c)
    return said


def states(command):
    return [t["state"] for t in command["transitions"]]


# -- devices

def record(name, **more):
    """A registered device, with a log-in."""
    body = {"site": "north", "credentials": [{"auth_id": name, "password": "secret"}], **more}
    status, answer = gateway.ask("PUT", f"{API}/devices/{name}", body)
    need(status in (200, 201), name, status, answer)
    return name


class Device(Mqtt):
    """It answers each command with what the test has named, by default EXECUTED; None: it does not answer."""

    def __init__(self, name, answer=EXECUTED, keep_alive_s=600, topics=("v1/cmd/#", "v1/desired"), clean=True):
        self.answer, self.got = answer, []
        super().__init__(gateway.mqtt, name, name + "@acme", "secret", list(topics), Device.take, keep_alive_s,
                         clean)
        need(self.code == 0, name, "is refused:", self.code)

    def take(self, topic, payload):
        levels = topic.split("/")
        self.got.append((topic, payload))
        if levels[:2] == ["v1", "cmd"] and self.answer:
            self._send(f"v1/cmd/{levels[2]}/res", self.answer, 0, False)
        if levels == ["v1", "desired"] and self.answer:
            for part in json.loads(payload)["desired"].values():
                self._send(f"v1/cmd/{part['command_id']}/res", self.answer, 0, False)
        if levels[0] == "device":  # the vendor's words
            self._send(topic + "/reply", json.dumps({"id": json.loads(payload)["id"], "code": 200}), 0, False)

    def times(self, id):
        return sum(f"/{id}/" in topic for topic, _ in self.got)


def online(name, **more):
    record(name)
    return Device(name, **more)


def event(topic, key="", seconds=30):
    """The envelope that the platform hears on a topic."""
    found = platform.wait(lambda t, p: t == topic and key in p, seconds)
    need(found, "no event on", topic, key)
    return json.loads(found[1])


# -- the tenant, its accounts and vendors

c = gateway.ask("POST", "/api/v1/registry/import", vendors, Content_Type="application/yaml")
need(c[0] == 200, c)
c = gateway.ask("PATCH", API, {"envelopes": "json"})
need(c[0] == 200, c)
backend = {"role": "service", "api": ["read", "command"],
           "credentials": [{"auth_id": "backend", "password": "secret"}, {"auth_id": "signer", "key": KEY}]}
c = gateway.ask("PUT", f"{API}/accounts/backend", backend)
need(c[0] in (200, 201), c)
platform = Mqtt(gateway.mqtt, "platform", "backend@acme", "secret", ["v1/#"])
cameras = []  # that go on from one check to the next
