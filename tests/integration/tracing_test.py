#!/usr/bin/env python3
"""Spans of commands reach a collector (docs/operations.md, "Tracing"), and a collector that is away costs commands nothing.

  tracing_test.py BERTH SOURCE
"""
import http.client, json, os, re, signal, sys, time

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, eventually  # noqa: E402
from mqtt import Mqtt  # noqa: E402
from otlp import Collector  # noqa: E402

REGISTRY = """
tenants:
  - name: acme
    envelopes: json
    sites: [{name: north}]
    devices:
      - {name: gate, site: north, credentials: [{auth_id: gate, password: secret}]}
      - {name: listed, site: north, credentials: [{auth_id: listed, password: secret}]}
      - {name: away, site: north}
    accounts:
      - {name: platform, role: service, api: [command, read], credentials: [{auth_id: platform, password: secret}]}
"""
CONFIG = """
auth: {failures_per_name: 0, failures_per_address: 0}
registry: {source: file, file: registry.yaml}
tracing: {endpoint: "http://127.0.0.1:%d/v1/traces", devices: acme/listed, service_name: lot-7}
"""
EXECUTED = '{"result":{"outcome":"EXECUTED","code":"200"}}'
collector = Collector()
gateway = Gateway(berth, {"berth.yaml": CONFIG % collector.port, "registry.yaml": REGISTRY})
count = 0


def check(condition, *text):
    if not condition:
        raise SystemExit(" ".join(str(t) for t in text))


def device(name, answers=True):
    def take(client, topic, payload):
        levels = topic.split("/")
        if answers and levels[:2] == ["v1", "cmd"]:
            client._send(f"v1/cmd/{levels[2]}/res", EXECUTED, 0, False)
    d = Mqtt(gateway.mqtt, name, name + "@acme", "secret", ["v1/cmd/#"], take)
    check(d.code == 0, name, "is refused", d.code)
    return d


def command(name, sampled=None, kind="open", wait=True, **more):
    """(id, trace id, answer) of a command over REST; `sampled`: the caller's flag, None: no traceparent."""
    global count
    count += 1
    id, trace = f"c{count}", f"{count:032x}"
    headers = {} if sampled is None else {"traceparent": f"00-{trace}-b7ad6b7169203331-0{int(sampled)}"}
    status, answer = gateway.ask("POST", "/api/v1/commands" + ("?wait=20000" if wait else ""),
                                 {"id": id, "tenant": "acme", "device": name, "type": kind, **more}, **headers)
    check(status in (200, 202), status, answer)
    return id, trace, answer


def metric(name, role):
    """Of /metrics; None: it is not there."""
    c = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=60)
    c.request("GET", "/metrics")
    found = re.search(rf'^{name}{{role="{role}"}} (\d+)$', c.getresponse().read().decode(), re.M)
    c.close()
    return int(found.group(1)) if found else None


def of_trace(trace, *names):
    """By name, as soon as these are there."""
    def look(all):
        mine = {s["name"]: s for s in all if s["trace"] == trace}
        return all_there(mine) and mine

    def all_there(mine):
        return all(n in mine for n in names)
    return collector.wait(look, f"{names} of {trace}")


def of_command(id):
    return collector.wait(lambda all: [s for s in all if s["attributes"].get("berth.command.id") == id and s["kind"] == 1],
                          f"the span of {id}")[0]


# -- a command of a caller whose trace is sampled

gate = device("gate")
begin = time.time_ns()
id, trace, answer = command("gate", sampled=True)
end = time.time_ns()
check(answer["outcome"] == "SUCCEEDED", answer)
tree = of_trace(trace, "POST /api/v1/commands", "command open", "send", "device", "store")
request, whole = tree["POST /api/v1/commands"], tree["command open"]
check(request["parent"] == "b7ad6b7169203331" and request["kind"] == 2, request)
check(request["attributes"]["http.response.status_code"] == 200, request)
check(request["process"]["berth.role"] == "edge" and whole["process"]["berth.role"] == "engine", tree)
check(whole["process"]["service.name"] == "lot-7", whole)
check(whole["parent"] == request["id"], "the command is a child of its request:", tree)
check(answer["traceparent"] == f"00-{trace}-{request['id']}-01", answer)
for name in ("store", "send", "device"):
    check(tree[name]["parent"] == whole["id"], name, "is a child of the command:", tree)
    check(whole["start"] <= tree[name]["start"] <= tree[name]["end"] <= whole["end"] + 1_000_000_000, name, tree)
check(tree["send"]["end"] <= tree["device"]["start"] + 1_000_000 and tree["device"]["end"] == whole["end"], tree)
ms = 1_000_000
check(begin - 50 * ms <= request["start"] <= whole["start"] + ms and whole["end"] <= end + 50 * ms, begin, end, tree)
check(abs((whole["end"] - whole["start"]) // ms - answer["latency_ms"]) <= 1, answer, whole)
told = whole["attributes"]
check({k: told[f"berth.{k}"] for k in ("tenant", "site", "device")} == {"tenant": "acme", "site": "north", "device": "gate"}, told)
check({k: told[f"berth.command.{k}"] for k in ("id", "type", "class", "outcome", "sent")} ==
      {"id": id, "type": "open", "class": "IMMEDIATE", "outcome": "SUCCEEDED", "sent": True}, told)
check(not any(s["failed"] for s in tree.values()), tree)
check(set(collector.heads) == {("/v1/traces", "application/x-protobuf")}, collector.heads)

# -- what nobody asks for is not sent; a listed device's is, and its trace is the gateway's

quiet = [command("gate", sampled=False)[1], command("gate")[2]["traceparent"].split("-")[1]]
listed = device("listed")
id, _, answer = command("listed")
span = of_command(id)
check(span["trace"] == answer["traceparent"].split("-")[1] and answer["traceparent"].endswith("-01"), answer, span)
check(not [s for s in collector.spans if s["trace"] in quiet], "spans of commands that are not sampled")

# -- a failure

_, trace, answer = command("listed", sampled=True, kind="white_list", payload={"list": []}, ttl_ms=60000)
refused = gateway.ask("POST", "/api/v1/commands", {"id": "r1", "tenant": "acme", "device": "away", "type": "open"},
                      traceparent=f"00-{'a' * 32}-b7ad6b7169203331-01")
check(refused[0] == 409, refused)
span = of_trace("a" * 32, "POST /api/v1/commands")["POST /api/v1/commands"]
check(span["attributes"]["http.response.status_code"] == 409 and not span["failed"], span)

# -- over MQTT, to a listed device: a trace of its own

platform = Mqtt(gateway.mqtt, "platform", "platform@acme", "secret", ["v1/+/+/command/+/result"])
platform.publish("v1/north/listed/command/over-mqtt/request/open")
span = of_command("over-mqtt")
check(span["parent"] == "" and len(span["trace"]) == 32 and span["name"] == "command open", span)

# -- a device's reports: one that says its trace, and those of a listed device, whose Envelopes get one

gate.publish("v1/state", '{"eventId": "e-0", "barrier": {"lane": "1", "position": "OPEN"}}')
gate.publish("v1/state", '{"eventId": "e-1", "traceparent": "00-%s-b7ad6b7169203331-01", "barrier": {"lane": "1"}}' % ("b" * 32))
span = of_trace("b" * 32, "report barrier")["report barrier"]
check(span["parent"] == "b7ad6b7169203331" and span["attributes"]["berth.event_id"] == "e-1", span)
check(span["attributes"]["berth.device"] == "gate" and 0 <= span["end"] - span["start"] < 5000 * ms, span)
events = Mqtt(gateway.mqtt, "events", "platform@acme", "secret", ["v1/+/listed/state"])
listed.publish("v1/state", '{"eventId": "e-2", "barrier": {"lane": "2"}}')
span = collector.wait(lambda all: [s for s in all if s["attributes"].get("berth.event_id") == "e-2"], "the span of e-2")[0]
got = json.loads(events.wait(lambda t, p: "e-2" in p)[1])
check(got["traceparent"] == f"00-{span['trace']}-{span['id']}-01" and span["parent"] == "", got, span)
check(not [s for s in collector.spans if s["attributes"].get("berth.event_id") == "e-0"], "a report that is not sampled")

# -- an exemplar beside the histogram

c = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=60)
c.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
page = c.getresponse().read().decode()
c.close()
exemplars = re.findall(r'^berth_command_seconds_bucket{le="(\S+)"} \d+ # {trace_id="([0-9a-f]{32})"} (\S+) \d+\.?\d*$', page, re.M)
check(exemplars and all(float(took) <= float(le.replace("+Inf", "inf")) for le, _, took in exemplars), exemplars, page)
check({t for _, t, _ in exemplars} <= {s["trace"] for s in collector.spans} | {answer["traceparent"].split("-")[1]}, exemplars)

# -- the engine dies with a command under way: the next one tells its spans

silent = device("listed", answers=False)  # takes the place of the other one
before = gateway.engine()
id, trace, answer = command("listed", sampled=True, wait=False, ttl_ms=2000)
check(not answer["final"], answer)
os.kill(before, signal.SIGKILL)
eventually(lambda: gateway.engine() != before, "another engine")
silent._send(f"v1/cmd/{id}/res", EXECUTED, 0, False)
tree = of_trace(trace, "command open")
check("berth.command.outcome" in tree["command open"]["attributes"], tree)
check(len([s for s in collector.spans if s["trace"] == trace and s["name"] == "command open"]) == 1, "once")
check(tree["command open"]["process"]["process.pid"] == gateway.engine(), tree)

# -- the collector is away: commands go on, and what is lost is counted

collector.stop()
lost = metric("berth_trace_export_failures_total", "engine")
begin = time.monotonic()
for _ in range(5):
    check(command("gate", sampled=True)[2]["outcome"] == "SUCCEEDED", "without a collector")
check(time.monotonic() - begin < 10, "commands are slow without a collector")
eventually(lambda: metric("berth_trace_export_failures_total", "engine") > lost, "a failed request is counted")
eventually(lambda: metric("berth_trace_spans_dropped_total", "engine") > 0, "spans that are given up are counted", 120)
gateway.says("trace export fails endpoint=http://127.0.0.1")
collector.start()
id, trace, _ = command("gate", sampled=True)
of_trace(trace, "command open", "POST /api/v1/commands")
check(metric("berth_trace_spans_exported_total", "engine") > 0 and metric("berth_trace_spans_exported_total", "edge") > 0, "counts")
gateway.says("trace export works again")

# -- the end sends what waits, and is not held up

id, trace, _ = command("gate", sampled=True)
gateway.end()
of_trace(trace, "command open", "POST /api/v1/commands")
check(gateway.process.returncode == 0, gateway.said())
print(len(collector.spans), "spans,", len(collector.heads), "requests")
