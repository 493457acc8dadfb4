"""Rows of the contract about one command: its states, the three facts, its fields and kinds."""
import json, os, signal, time

from contract import (Device, ends, event, eventually, EXECUTED, gateway, get, kinds, need, online, platform, record, refused,
                      row, SOON_MS, states, submit, TRACE)


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

@row("OPEN_GATE, CLOSE_GATE")
def _():
    gate = online("k1")
    return {c["type"] for c in kinds("k1", ("OPEN_GATE", None), ("CLOSE_GATE", None))}


@row("KEEP_OPEN, CANCEL_KEEP_OPEN")
def _():
    said = kinds(record("k2"), ("KEEP_OPEN", None), ("CANCEL_KEEP_OPEN", None))
    need(not any("ttl_ms" in c or "expires_at" in c for c in said), "a state has no deadline:", said)
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
