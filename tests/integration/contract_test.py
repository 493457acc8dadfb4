#!/usr/bin/env python3
"""The contract of a parking platform against a running gateway. Each row of the tables in docs/platform.md, "The contract of a
parking platform, mapped", has a check here of the same name. A check does what the platform would do and returns the words that
the gateway has said; these are exactly the words in code quotes of the row's right column.

  contract_test.py BERTH SOURCE_DIR
"""
import base64, concurrent.futures, hashlib, hmac, json, os, re, signal, sys, time

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


# -- states

@row("RECEIVED, ACCEPTED")
def _():
    away, gate = record("s1"), online("s2")
    _, waits = submit(away, "white_list", wait=False, payload={"list": []})
    _, done = submit("s2", "open", ttl_ms=10000)
    comes = Device(away, clean=False)
    need(ends(waits["id"])["state"] == "SUCCEEDED", "what waited did not reach the device that came")
    return {*states(waits), *states(done)[:2]}


@row("EXECUTING")
def _():
    gate = online("s3", answer=None)
    _, c = submit("s3", "white_list", wait=False, payload={"list": []})
    eventually(lambda: get(c["id"])[1]["state"] == "RECEIVED", "RECEIVED")
    _, once = submit("s3", "open", wait=False, ttl_ms=10000)
    sent = eventually(lambda: (a := get(once["id"])[1])["state"] == "SENT" and a, "SENT")
    return {sent["state"], get(c["id"])[1]["state"]}


@row("SUCCEEDED")
def _():
    gate = online("s4", answer='{"outcome":"EXECUTED"}')  # not all devices say Envelopes
    return {submit("s4", "open", ttl_ms=10000)[1]["state"]}


@row("FAILED")
def _():
    gate = online("s5", answer='{"result":{"outcome":"FAILED","code":"E17"}}')
    _, c = submit("s5", "open", ttl_ms=10000)
    need(c["code"] == "E17", "not the device's code:", c)
    return {c["state"]}


@row("REJECTED, by the device")
def _():
    gate = online("s6", answer='{"result":{"outcome":"REJECTED","code":"locked"}}')
    _, c = submit("s6", "open", ttl_ms=10000)
    need(c["code"] == "locked", "not the device's code:", c)
    return {c["state"]}


@row("REJECTED before: parameters, rights, capability, state")
def _():
    status, answer = submit("cam-1", "display")
    need(status == 422, answer)
    return {"code"} & answer.keys()


@row("EXPIRED")
def _():
    _, c = submit(record("s7"), "white_list", payload={"list": []}, ttl_ms=300)
    return {c["state"]}


@row("TIMEOUT")
def _():
    gate = online("s8", answer=None)
    _, c = submit("s8", "open", ttl_ms=SOON_MS)
    return {c["state"], c["code"]}


@row("UNCERTAIN: no machine retries it")
def _():
    gate = online("s9", answer=None)
    _, c = submit("s9", "open", wait=False, ttl_ms=2000)
    eventually(lambda: gate.times(c["id"]), "the device has it")
    gate.reset()
    c = ends(c["id"])
    need(c["safe_to_retry"] is False, c)
    listed = gateway.ask("GET", "/api/v1/commands?tenant=acme&device=s9&state=UNCERTAIN")[1]["commands"]
    need([x["id"] for x in listed] == [c["id"]], listed)
    return {c["state"], "safe_to_retry"}


@row("none: not a byte was sent, and none will be")
def _():
    away = record("s10")
    _, first = submit(away, "display", wait=False, payload={"text": "1"})
    _, second = submit(away, "display", wait=False, payload={"text": "2"})
    status, cancelled = gateway.ask("POST", f"/api/v1/commands/{second['id']}/cancel?tenant=acme")
    replaced = ends(first["id"])
    wanted = [c["safe_to_retry"] for c in (cancelled, replaced)]  # nobody wants these any more
    need(status == 200 and wanted == [False, False], cancelled, replaced)
    return {cancelled["state"], replaced["state"], cancelled["code"], replaced["code"]}


@row("a final state never changes; a late answer stands beside it")
def _():
    gate = online("s11", answer=None)
    _, c = submit("s11", "open", ttl_ms=SOON_MS)
    gate.publish(f"v1/cmd/{c['id']}/res", EXECUTED)
    late = eventually(lambda: get(c["id"])[1].get("late_result"), "late_result")
    need(get(c["id"])[1]["state"] == c["state"] == "UNCERTAIN" and late["outcome"] == "SUCCEEDED", late)
    said = event(f"v1/north/s11/command/{c['id']}/result", '"late":true')
    return {"late_result"} | ({"late"} & said["commandOutcome"].keys())


# -- three facts

@row("sent: written to the device's connection")
def _():
    gate = online("f1", answer=None)
    _, c = submit("f1", "open", wait=False, ttl_ms=10000)
    c = eventually(lambda: (a := get(c["id"])[1])["sent"] and a, "sent")
    need(c["acknowledged"] is False, c)
    return {"sent"}


@row("acknowledged by the vendor's firmware")
def _():
    gate = online("f2", answer=None)
    _, c = submit("f2", "white_list", wait=False, payload={"list": []})
    eventually(lambda: get(c["id"])[1]["acknowledged"], "acknowledged")
    return {"acknowledged"}


@row("the arm is open: UNKNOWN without a report")
def _():
    gate = online("f3")
    _, c = submit("f3", "open", ttl_ms=10000)
    need(not any("position" in k or "barrier" in k for k in c), "derived from the command:", c)
    need(platform.wait(lambda t, p: t == "v1/north/f3/state", 0.1) is None, "a state that no device reported")
    gate.publish("v1/state", json.dumps({"eventId": "f3-1", "barrier": {"lane": "1", "position": "OPEN"}}))
    said = event("v1/north/f3/state")
    need(said["barrier"]["position"] == "OPEN", said)
    return {"barrier"} & said.keys()


# -- fields

def kept():
    """A command with each field, as it is in the records after the engine has died."""
    gate = online("d1")
    now = time.time() + 8
    expires = time.strftime("%Y-%m-%dT%H:%M:%S+08:00", time.gmtime(now + 8 * 3600))
    status, c = submit("d1", "OPEN_GATE", id="x" * 64, executor="d1", lot="P1 北", lane="出口1",
                       issued_at="2026-01-31T08:00:00+08:00", expires_at=expires, operator={"type": "APP", "id": "7"},
                       reason="PAID_EXIT", payload={"plate": "粤B12345"}, headers={"traceparent": TRACE})
    need(status == 200, c)
    os.kill(gateway.engine(), signal.SIGKILL)
    return eventually(lambda: (a := get("x" * 64))[0] == 200 and a[1], "the record after a death")


record_kept = None


def field(*names, **wanted):
    global record_kept
    record_kept = record_kept or kept()
    for name, value in wanted.items():
        need(record_kept.get(name) == value, name, "is", record_kept.get(name), "not", value)
    return {*names, *wanted} & record_kept.keys()


@row("command id: its own, at most 64 characters")
def _():
    return field(id="x" * 64)


@row("type, target, executor")
def _():
    return field(type="open", device="d1", executor="d1")


@row("lot, lane")
def _():
    return field(lot="P1 北", lane="出口1")


@row("issued at, expires at")
def _():
    said = field("expires_at", issued_at="2026-01-31T00:00:00.000Z")
    need(5000 < record_kept["ttl_ms"] <= 9000, record_kept["ttl_ms"])
    return said


@row("operator type and id, reason")
def _():
    return field(operator={"type": "APP", "id": "7"}, reason="PAID_EXIT")


@row("payload")
def _():
    return field(payload='{"plate":"粤B12345"}')


@row("trace id")
def _():
    said = field("traceparent")
    need(record_kept["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-"), record_kept["traceparent"])
    need(event(f"v1/north/d1/command/{'x' * 64}/result")["traceparent"] == record_kept["traceparent"], "in the event")
    return said


@row("kept with the command for audit")
def _():
    need(states(record_kept)[0] == "ACCEPTED" and states(record_kept)[-1] == "DONE", record_kept)
    return field("caller", "transitions", "accepted_at", "finished_at")


@row("command id longer than 64 characters, a field of another kind or unknown")
def _():
    gate = online("d2")
    return {w for more in ({"id": "x" * 65}, {"lane": 7}, {"colour": "red"}) for w in refused("d2", "open", **more)}


# -- kinds

def kinds(device, *asked):
    said = []
    for kind, payload in asked:
        status, c = submit(device, kind, wait=False, **({"payload": payload} if payload else {}))
        need(status in (200, 202), kind, c)
        ends(c["id"]) if c["class"] == "IMMEDIATE" else None
        said.append(c)
    return said


@row("OPEN_GATE, CLOSE_GATE")
def _():
    gate = online("k1")
    return {c["type"] for c in kinds("k1", ("OPEN_GATE", None), ("CLOSE_GATE", None))}


@row("KEEP_OPEN, CANCEL_KEEP_OPEN")
def _():
    said = kinds(record("k2"), ("KEEP_OPEN", None), ("CANCEL_KEEP_OPEN", None))
    return {c["type"] for c in said} | {json.loads(c["payload"])["mode"] for c in said}


@row("SNAPSHOT, REBOOT, SYNC_TIME")
def _():
    gate = online("k3")
    return {c["type"] for c in kinds("k3", ("SNAPSHOT", None), ("REBOOT", None), ("SYNC_TIME", None))}


@row("display, voice, white list")
def _():
    gate = online("k4")
    return {c["type"] for c in kinds("k4", ("DISPLAY", {"text": "一路平安"}), ("TTS", {"text": "一路平安"}),
                                     ("WHITE_LIST_SYNC", {"list": ["京A12345"]}))}


# -- rules

@row("202 is acceptance; the result comes later")
def _():
    gate = online("r1", answer=None)
    status, c = submit("r1", "open", wait=False, ttl_ms=SOON_MS)
    need(c["final"] is False, c)
    need(event(f"v1/north/r1/command/{c['id']}/result")["commandOutcome"]["outcome"] == ends(c["id"])["state"], c)
    return {str(status)}


@row("a caller may wait for the end in the same request")
def _():
    gate = online("r2")
    body = {"tenant": "acme", "device": "r2", "type": "open", "ttl_ms": 9000}
    status, c = gateway.ask("POST", "/api/v1/commands?wait=true", body)
    need(c["final"], c)
    return {"?wait=true", str(status)}


@row("same id, same content: the stored answer, also after a restart")
def _():
    gate = online("r3")
    _, first = submit("r3", "open", id="same", ttl_ms=10000)
    os.kill(gateway.engine(), signal.SIGKILL)
    status, again = eventually(lambda: (a := submit("r3", "open", id="same"))[0] < 500 and a, "an answer after the death")
    need(again == first and gate.times("same") == 1, again, first, gate.got)
    return {str(status)}


@row("same id, another content: 409")
def _():
    status, answer = submit("r3", "close", id="same")
    return {str(status), answer["code"]}


@row("open, close, reboot: never again once bytes may have reached the device")
def _():
    gate = online("r4", answer=None)
    _, c = submit("r4", "open", wait=False, ttl_ms=3000)
    eventually(lambda: gate.times(c["id"]), "the device has it")
    gate.reset()
    again = Device("r4")
    c = ends(c["id"])
    need(again.times(c["id"]) == 0, "it was sent again")
    return {c["state"]}


@row("deadlines of 2 to 30 s on opens")
def _():
    gate = online("r5")
    first, last = submit("r5", "open")[1], submit("r5", "open", ttl_ms=10000)[1]
    return {str(first["ttl_ms"]), str(last["ttl_ms"])} | refused("r5", "open", ttl_ms=10001)


@row("snapshot 10 s, reboot 30 s, set time 10 s")
def _():
    gate = online("r13")
    return {str(c["ttl_ms"]) for c in kinds("r13", ("snapshot", None), ("reboot", None), ("set_time", None))}


@row("records are kept 90 days")
def _():
    days = re.search(r"^commands:.*?^  keep_days: (\d+)", read(source + "/config/berth.yaml"), re.M | re.S).group(1)
    return {"commands.keep_days", days}


@row("capability that the device does not declare: 422")
def _():
    return refused("cam-1", "display")


@row("disabled device: 422")
def _():
    record("r6", enabled=False)
    return refused("r6", "white_list")


@row("device offline: 422")
def _():
    return refused(record("r7"), "open")


@row("executor mapping wrong: 422")
def _():
    return refused("barrier-1", "open", executor="cam-2")


@row("unknown type or device")
def _():
    return refused(record("r12"), "explode") | refused("nothing", "open")


@row("2/s a barrier: 429")
def _():
    gate = online("r8", answer=None)
    _, c = submit("r8", "open", wait=False, ttl_ms=10000)
    said = refused("r8", "open")
    gate.publish(f"v1/cmd/{c['id']}/res", EXECUTED)
    return said


@row("5/s a device: 429")
def _():
    record("r9")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda i: submit("r9", "set_time", wait=False, id=f"rate-{i}", ttl_ms=1000), range(60)))
    return {str(s) for s, _ in said if s >= 400} | {a["code"] for s, a in said if s >= 400}


@row("100/s a service: 429")
def _():
    for n in range(6):
        record(f"r10-{n}")
    platform.publish_all([(f"v1/north/r10-{i % 6}/command/flood-{i}/request/set_time", '{"ttl_ms":1000}') for i in range(200)])
    found = platform.wait(lambda t, p: "/command/flood-" in t and '"service_rate"' in p)
    need(found, "no service_rate")
    outcome = json.loads(found[1])["commandOutcome"]
    body = {"device": "r10-0", "type": "set_time", "ttl_ms": 1000}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda i: gateway.ask("POST", "/api/v1/commands", {**body, "id": f"http-{i}"}, BEARER), range(80)))
    limited = {(s, a["code"]) for s, a in said if s >= 400 and a["code"] != "device_rate"}
    return {outcome["outcome"]} | {str(x) for pair in limited for x in pair}


@row("commands are never retained")
def _():
    gate = online("r11")
    platform.publish("v1/north/r11/command/kept/request/open", "{}", retain=True)
    status, answer = get("kept")
    need(gate.times("kept") == 0, gate.got)
    return {str(status), answer["code"]}


# -- events

@row("event id, to drop copies")
def _():
    gate = online("e1")
    gate.publish("v1/event/plate", json.dumps({"eventId": "e1-1", "eventTime": "2026-01-31T08:00:00Z", "seq": "7", "replay": True,
                                               "traceparent": TRACE, "labels": {"lane": "1", "sn": "A17"},
                                               "plate": {"lane": "1", "plate": {"number": "粤B12345"}}}))
    said = event("v1/north/e1/event/plate")
    need(said["eventId"] == "e1-1" and said["device"] == "e1", said)
    return {"eventId"}


def plate(*names):
    return set(names) & event("v1/north/e1/event/plate").keys()


@row("tenant, lot, platform device id")
def _():
    return plate("tenant", "site", "device")


@row("lane, device code, serial number, vendor")
def _():
    need(event("v1/north/e1/event/plate")["labels"] == {"lane": "1", "sn": "A17"}, "labels")
    return plate("labels")


@row("event's trace id")
def _():
    return plate("traceparent")


@row("protocol and schema version, published at, vendor's event id, extensions")
def _():
    return plate("protocolVersion", "schemaVersion", "publishedAt", "vendorEventId", "extensions")


@row("occurred at (device clock), received at")
def _():
    return plate("eventTime", "receivedTime", "clock")


@row("sequence, offline flag")
def _():
    return plate("seq", "replay")


@row("plate recognised")
def _():
    return plate("plate")


@row("gate status changed, alarm with recovered")
def _():
    gate = online("e2")
    gate.publish("v1/event/alarm", json.dumps({"eventId": "e2-1", "alarm": {"code": "arm_blocked", "active": True}}))
    gate.publish("v1/state", json.dumps({"eventId": "e2-2", "barrier": {"lane": "1", "position": "OPEN"}}))
    alarm, barrier = event("v1/north/e2/event/alarm"), event("v1/north/e2/state")
    return ({"alarm"} & alarm.keys()) | ({"active"} & alarm["alarm"].keys()) | ({"barrier"} & barrier.keys())


@row("command result, exactly one a command")
def _():
    gate = online("e3")
    _, c = submit("e3", "open", ttl_ms=10000)
    topic = f"v1/north/e3/command/{c['id']}/result"
    said = event(topic)
    need(said["eventId"] == "command-" + c["id"] and sum(t == topic for t, _ in platform.messages) == 1, said)
    return {"commandOutcome"} & said.keys()


@row("ONLINE, OFFLINE, only on change")
def _():
    gate, topic = online("e4"), "v1/north/e4/presence"
    event(topic, "ONLINE")
    gate.goodbye()
    event(topic, "OFFLINE")
    said = [json.loads(p)["presence"]["state"] for t, p in platform.messages if t == topic]
    need(len(said) == 2, said)
    return set(said)


def cause(name, end, **more):
    gate, topic = online(name, **more), f"v1/north/{name}/presence"
    event(topic, "ONLINE")
    end(gate)
    return event(topic, "OFFLINE")["presence"]["cause"]


@row("OFFLINE: heartbeat timeout")
def _():
    return {cause("e5", lambda gate: None, keep_alive_s=1)}


@row("OFFLINE: transport closed")
def _():
    return {cause("e6", lambda gate: gate.reset())}


@row("OFFLINE: disabled by hand")
def _():
    return {cause("e7", lambda gate: gateway.ask("PATCH", f"{API}/devices/e7", {"enabled": False}))}


@row("OFFLINE: authentication failed")
def _():
    record("e8")
    Mqtt(gateway.mqtt, "e8", "e8@acme", "wrong", [])
    target = "/api/v1/history?tenant=acme&device=e8"
    items = eventually(lambda: gateway.ask("GET", target)[1]["items"], "a refused log-in in the history")
    return {items[0]["type"]}


@row("configuration applied")
def _():
    gate = online("e9")
    _, c = submit("e9", "hold", payload={"mode": "HOLD_OPEN"})
    status, said = gateway.ask("GET", f"{API}/devices/e9/desired")
    need(said["in_step"] is True, said)
    return {"version", "reported_version", "in_step"} & said.keys()


# -- identity, service API, firmware

@row("platform device id, device code, firmware, lot, mapping barrier to camera")
def _():
    gateway.ask("PATCH", f"{API}/devices/barrier-1", {"firmware": "1.0"})
    _, said = gateway.ask("GET", f"{API}/devices/barrier-1")
    return {"name", "display_name", "firmware", "site", "executor"} & said.keys()


@row("bearer key")
def _():
    status, said = gateway.ask("GET", "/api/v1/commands?device=d1", token=BEARER)
    need(status == 200 and said["commands"], "its own tenant need not be named:", said)
    wrong, refusal = gateway.ask("GET", "/api/v1/commands", token=BEARER + "x")
    return {str(status), str(wrong), refusal["code"]}


def signed(nonce, at_s=0):
    """A request as section 5 of the contract describes it."""
    target, stamp, digest = "/api/v1/commands?device=d1", str(int(time.time()) + at_s), hashlib.sha256(b"").hexdigest()
    text = "\n".join(["signer@acme", stamp, nonce, "GET", target, digest])
    signature = hmac.new(b"0123456789abcdef", text.encode(), hashlib.sha256).hexdigest()
    return gateway.ask("GET", target, Authorization=f'HMAC-SHA256 client_id="signer@acme", timestamp="{stamp}", '
                       f'nonce="{nonce}", body="{digest}", signature="{signature}"')


@row("HMAC-SHA256, skew 300 s, nonce remembered 600 s")
def _():
    first, again, late = signed("0123456789abcdef"), signed("0123456789abcdef"), signed("fedcba9876543210", -330)
    need(again[0] == late[0], again, late)
    return {str(first[0]), str(again[0]), again[1]["code"], late[1]["code"]}


@row("rights of a service, tenants apart")
def _():
    body = {"role": "service", "api": ["read"], "credentials": [{"auth_id": "reader", "password": "secret"}]}
    gateway.ask("PUT", f"{API}/accounts/reader", body)
    reader = "reader@acme:secret"
    status, said = gateway.ask("POST", "/api/v1/commands", {"device": "d1", "type": "open"}, reader)
    other, unseen = gateway.ask("GET", "/api/v1/commands?tenant=other", token=BEARER)
    need(gateway.ask("GET", "/api/v1/commands?device=d1", token=reader)[0] == 200, "it may read")
    return {str(status), said["code"], str(other), unseen["code"]}


@row("errors: HTTP status, a stable code, a trace id")
def _():
    status, said = get("none")
    need(status == 404 and said["status"] == 404, said)
    return {"status", "code", "trace_id"} & said.keys()


@row("paging")
def _():
    target = "/api/v1/commands?tenant=acme&site=north&limit=2"
    _, first = gateway.ask("GET", target)
    _, second = gateway.ask("GET", target + "&cursor=" + first["next"])
    seen = [c["id"] for page in (first, second) for c in page["commands"]]
    need(len(set(seen)) == 4, seen)
    return {"next", "cursor"}


@row("bodies of 1 MB")
def _():
    status, said = submit("d1", "open", payload="x" * 70000)
    return {str(status), said["code"]}


@row("ISO 8601 with zone")
def _():
    status, said = gateway.ask("GET", "/api/v1/commands?tenant=acme&device=d1&from=2026-01-31T08:00:00%2B08:00")
    need(status == 200 and said["commands"], said)
    _, wrong = gateway.ask("GET", "/api/v1/commands?tenant=acme&device=d1&from=2026-01-31T08:00:00")
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["commands"][0]["accepted_at"]), said)
    return {str(status), wrong["code"]}


@row("a profile by model and firmware, commands have variants")
def _():
    said = set()
    for target, name in (("barrier-1", "cam-1"), ("cam-2", "cam-2")):
        gateway.ask("PATCH", f"{API}/devices/{name}", {"credentials": [{"auth_id": name, "password": "secret"}]})
        camera = Device(name, topics=["device/" + name + "/message/down/+"])
        _, c = submit(target, "open", ttl_ms=10000)
        need(c["state"] == "SUCCEEDED" and c["executor"] == name, c)
        said |= {camera.got[0][0].split("/")[-1], c["code"]}
        cameras.append(camera)
    return said


@row("Chinese text in GBK")
def _():
    _, c = submit("cam-1", "voice", payload="一路平安", wait=False)
    got = cameras[0].wait(lambda t, p: "tts_voice" in t)
    need(got, "no voice", c)
    text = json.loads(got[1])["payload"]["body"]["text"]
    return {"gbk"} if base64.b64decode(text).decode("gbk") == "一路平安" else {text}


# -- the tables

def rows():
    page = read(source + "/docs/platform.md")
    section = page.split("\n## The contract of a parking platform, mapped\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith(("| theirs |", "| **")):
            theirs, ours = (c.strip() for c in line.strip("|").split(" | ", 1))
            yield theirs, set(re.findall(r"`([^`]+)`", ours))


c = gateway.ask("POST", "/api/v1/registry/import", vendors, Content_Type="application/yaml")
need(c[0] == 200, c)
c = gateway.ask("PATCH", API, {"envelopes": "json"})
need(c[0] == 200, c)
backend = {"role": "service", "api": ["read", "command"],
           "credentials": [{"auth_id": "backend", "password": "secret"}, {"auth_id": "signer", "key": KEY}]}
c = gateway.ask("PUT", f"{API}/accounts/backend", backend)
need(c[0] in (200, 201), c)
platform = Mqtt(gateway.mqtt, "platform", "backend@acme", "secret", ["v1/#"])
cameras, faults, table = [], [], dict(rows())
for theirs in [t for t in table if t not in checks]:
    faults.append(f"no check of the row {theirs!r}")
for theirs in [t for t in checks if t not in table]:
    faults.append(f"no row {theirs!r} in docs/platform.md")
for theirs, check in checks.items():
    begin = time.monotonic()
    try:
        said = check()
        if said != table.get(theirs, said):
            faults.append(f"{theirs}: the gateway says {sorted(said)}, the table {sorted(table[theirs])}")
    except (Exception, SystemExit) as e:  # the other rows are of interest too
        faults.append(f"{theirs}: {type(e).__name__}: {e}")
    if "-v" in sys.argv:
        print(f"{time.monotonic() - begin:6.2f} s  {theirs}: {sorted(said)}")
for f in faults:
    print("FAULT:", f)
print(len(checks), "rows,", len(faults), "faults")
sys.exit(1 if faults else 0)
