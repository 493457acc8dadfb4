#!/usr/bin/env python3
"""Spans go to a collector over https, with a token from a file, and nothing goes to one that has proven nothing; what goes to a
platform has a span `uplink NAME` in the trace of its event or command (docs/operations.md, "Tracing").

  tracing_tls_test.py BERTH SOURCE
"""
import json, os, subprocess, sys

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, eventually, work  # noqa: E402
from hook import Hook  # noqa: E402
from mqtt import Mqtt  # noqa: E402
from otlp import Collector  # noqa: E402

REGISTRY = """
tenants:
  - name: acme
    envelopes: json
    sites: [{name: north}]
    devices:
      - {name: gate, site: north, credentials: [{auth_id: gate, password: secret}]}
"""
CONFIG = """
auth: {failures_per_name: 0, failures_per_address: 0}
registry: {source: file, file: registry.yaml}
uplinks: {file: uplinks.yaml}
tracing: {endpoint: "https://127.0.0.1:%d/v1/traces", ca_file: %s, headers_file: headers}
"""
EXECUTED = '{"result":{"outcome":"EXECUTED","code":"200"}}'


def check(condition, *text):
    if not condition:
        raise SystemExit(" ".join(str(t) for t in text))


def certificate(name):
    d = os.path.join(work, name)
    os.makedirs(d)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=collector",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", d + "/key", "-out", d + "/crt"], check=True, capture_output=True)
    return d + "/crt", d + "/key"


def put(path, text):
    """In the place of what is there, at once."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


collector = Collector(certificate("collector"), token="Bearer lot-7")
strangers = certificate("stranger")[0]
trusted = os.path.join(work, "ca")
put(trusted, open(strangers, encoding="utf-8").read())
hook = Hook()
put(work + "/secret", "secret\nnext\n")
gateway = Gateway(berth, {
    "berth.yaml": CONFIG % (collector.port, trusted), "registry.yaml": REGISTRY, "headers": "# nothing yet\n",
    "uplinks.yaml": f"uplinks:\n  - {{name: city, kind: webhook, url: 'http://127.0.0.1:{hook.port}/events', secret_file: {work}/secret, "
                    "select: [event, result, state], timeout_s: 2}\n"})


def take(client, topic, payload):
    levels = topic.split("/")
    if levels[:2] == ["v1", "cmd"]:
        client._send(f"v1/cmd/{levels[2]}/res", EXECUTED, 0, False)


def report(n):
    """Sampled; its trace."""
    trace = f"{n:032x}"
    gate.publish("v1/state", json.dumps({"eventId": f"e-{n}", "traceparent": f"00-{trace}-b7ad6b7169203331-01", "barrier": {"lane": "1"}}))
    return trace


def of_trace(trace, *names):
    def look(all):
        mine = {s["name"]: s for s in all if s["trace"] == trace}
        return all_there(mine) and mine

    def all_there(mine):
        return all(n in mine for n in names)
    return collector.wait(look, f"{names} of {trace}")


gate = Mqtt(gateway.mqtt, "gate", "gate@acme", "secret", ["v1/cmd/#"], take)
check(gate.code == 0, gate.code)

# -- a collector whose certificate nobody vouches for, one that wants a token, and then all is right without a restart

report(1)
gateway.says("trace export fails endpoint=https://127.0.0.1.* reason=.*TLS: .*verify failed")
check(not collector.heads and not collector.refused, "a collector that has proven nothing was asked")
put(trusted, open(strangers, encoding="utf-8").read() + open(collector.certificate[0], encoding="utf-8").read())
report(2)
eventually(lambda: collector.refused, lambda: "the collector is asked: " + gateway.said(), 120)
check(collector.refused == [None] * len(collector.refused), collector.refused)
put(gateway.directory + "/headers", "Authorization: Bearer lot-7\nX-Scope-OrgID: lots\n")

of_trace(report(3), "report barrier")
gateway.says("trace export works again")
check("lot-7" not in gateway.said(), "the log has the token")

# -- what goes to the platform: an event, and the outcome of a command

trace = report(1000)
tree = of_trace(trace, "report barrier", "uplink city")
up, of_device = tree["uplink city"], tree["report barrier"]
check(up["kind"] == 4 and up["parent"] == "b7ad6b7169203331" and not up["failed"], up)
check(up["process"]["berth.role"] == "engine" and of_device["start"] - 1_000_000 <= up["start"] <= up["end"], tree)
told = up["attributes"]
check({k: told[f"berth.{k}"] for k in ("tenant", "site", "device", "what", "event_id")} ==
      {"tenant": "acme", "site": "north", "device": "gate", "what": "state", "event_id": "e-1000"}, told)
check(told["berth.uplink.kind"] == "webhook" and told["berth.uplink.id"] in [m["id"] for m in hook.messages], told)
status, answer = gateway.ask("POST", "/api/v1/commands?wait=20000", {"id": "c1", "tenant": "acme", "device": "gate", "type": "open"},
                             traceparent=f"00-{'c' * 32}-b7ad6b7169203331-01")
check(status == 200 and answer["outcome"] == "SUCCEEDED", status, answer)
tree = of_trace("c" * 32, "POST /api/v1/commands", "command open", "uplink city")
check(tree["uplink city"]["attributes"]["berth.what"] == "result", tree)
check(tree["uplink city"]["parent"] == tree["POST /api/v1/commands"]["id"], tree)

# -- a platform that refuses it for ever, and a message that is not sampled

hook.judge = lambda m: 422
trace = report(1001)
span = of_trace(trace, "uplink city")["uplink city"]
check(span["failed"] and "422" in span["why"], span)
hook.judge = lambda m: 200
gate.publish("v1/state", json.dumps({"eventId": "e-quiet", "traceparent": f"00-{'d' * 32}-b7ad6b7169203331-00", "barrier": {"lane": "1"}}))
eventually(lambda: [m for m in hook.messages if m.get("event_id") == "e-quiet" or "e-quiet" in json.dumps(m["payload"])], "it is sent")
trace = report(1002)
of_trace(trace, "uplink city")
check(not [s for s in collector.spans if s["trace"] == "d" * 32], "a span of what is not sampled")
gateway.end()
check(gateway.process.returncode == 0, gateway.said())
print(len(collector.spans), "spans,", len(collector.heads), "requests,", len(collector.refused), "refused")
