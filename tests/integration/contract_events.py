"""Rows of the contract about events, identity, the API of services and firmware."""
import base64, hashlib, hmac, json, re, time

from contract import (API, BEARER, cameras, Device, event, eventually, gateway, get, Mqtt, need, online, platform, record, row,
                      submit, TRACE)


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
