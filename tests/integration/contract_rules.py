"""Rows of the contract about commands that must not do harm."""
import concurrent.futures, json, os, re, signal

from contract import (BEARER, Device, ends, event, eventually, EXECUTED, gateway, get, kinds, need, online, platform, read,
                      record, refused, row, SOON_MS, source, submit)


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
