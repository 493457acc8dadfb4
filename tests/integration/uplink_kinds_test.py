#!/usr/bin/env python3
"""Uplinks of each kind (docs/uplinks.md) against the real thing: a webhook, RabbitMQ, librdkafka's mock of a Kafka cluster. What
devices were told to be taken is there, in order, after deaths and errors of both sides; replays; dead letters.

  uplink_kinds_test.py BERTH SOURCE BERTH_KAFKA webhook|rabbitmq|kafka|commands
"""
import json, os, re, signal, socket, subprocess, sys, time

berth, source, kafka_program = (os.path.abspath(a) for a in sys.argv[1:4])
sys.path.insert(0, os.path.join(source, "tests/support"))
from authority import Authority  # noqa: E402
from gateway import Program, eventually, work  # noqa: E402
from hook import Hook, Hostile  # noqa: E402
from mqtt import Mqtt  # noqa: E402
from uplinks import Kafka, Load, check, ctl, expect_all, firsts, start, state, write  # noqa: E402


def through_deaths(gateway, kill, begin, payloads):
    """The engine dies, the platform dies, both."""
    load = Load(gateway)
    load.more(200)
    os.kill(gateway.engine(), signal.SIGKILL)
    load.more(400)
    kill()
    load.more(400)
    os.kill(gateway.engine(), signal.SIGKILL)
    load.more(400)
    eventually(lambda: state(gateway).get("queued", 0) > 300, lambda: state(gateway))
    eventually(lambda: state(gateway)["error"], lambda: state(gateway))
    check(state(gateway)["connected"] == 0, f"{state(gateway)}")
    begin()
    load.more(100)
    load.end()
    expect_all(payloads, load, "after deaths")
    eventually(lambda: state(gateway)["queued"] == 0 and state(gateway)["error"] == "", lambda: state(gateway))


# -- webhook

def hook_file(hook, more=""):
    return (f"uplinks:\n  - {{name: up, kind: webhook, url: 'http://127.0.0.1:{hook.port}/events', secret_file: {work}/secret, select: [event], "
            f"timeout_s: 2{more}}}\n")


def a_batch_with_one_that_is_refused(gateway, hook):
    del hook.messages[:]
    hook.judge = lambda m: 422 if m["payload"] == {"bad": 1} else 200
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    hook.busy = 0.2
    device.publish_all([("v1/event/parts", json.dumps(p)) for p in ([{"n": i} for i in range(20)] + [{"bad": 1}] + [{"n": i} for i in range(20, 40)])])
    eventually(lambda: len(hook.messages) >= 40, lambda: f"{len(hook.messages)} {state(gateway)}")
    hook.busy = 0.0
    check(firsts(p for p in hook.payloads()) == {"n": list(range(40))}, f"{hook.payloads()}")
    eventually(lambda: state(gateway)["dead_letters"] == 1, lambda: state(gateway))
    listed = ctl(gateway, "uplinks", "dead-letters", "up")["items"]
    check(listed[0]["why"] == "HTTP 422: no such lane" and listed[0]["topic"].endswith("/cam/event/parts"), f"{listed}")
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: state(gateway).get("dead_letters") == 1, "it outlives the engine")
    hook.judge = lambda m: 200
    check(ctl(gateway, "uplinks", "send-dead-letters", "up")["messages"] == 1, "sent again")
    eventually(lambda: {"bad": 1} in hook.payloads(), "it arrives")
    check(hook.messages[-1]["id"] == listed[0]["id"] and "replay" not in hook.messages[-1], f"{hook.messages[-1]}: the first time that it is taken")
    eventually(lambda: state(gateway)["dead_letters"] == 0, lambda: state(gateway))
    device.goodbye()


def one_for_which_the_platform_breaks(gateway, hook):
    """500 for one message: the others go on, it becomes a dead letter."""
    del hook.messages[:]
    hook.judge = lambda m: 500 if "poison" in m["payload"] else 200
    cam, gate = (Mqtt(gateway.mqtt, n, f"{n}@acme", "right", []) for n in ("cam", "gate"))
    cam.publish_all([("v1/event/parts", json.dumps(p)) for p in ([{"poison": 1}] + [{"behind": i} for i in range(30)])])
    gate.publish("v1/event/parts", json.dumps({"other": 0}))
    eventually(lambda: len(firsts(hook.payloads()).get("behind", [])) == 30, lambda: f"{hook.answers} {state(gateway)}")
    check(firsts(hook.payloads()) == {"behind": list(range(30)), "other": [0]}, f"{hook.payloads()}")
    eventually(lambda: state(gateway)["dead_letters"] == 1, lambda: state(gateway))
    check(ctl(gateway, "uplinks", "discard-dead-letters", "up")["messages"] == 1, "discarded")
    check(state(gateway)["dead_letters"] == 0, f"{state(gateway)}")
    hook.judge = lambda m: 200
    for d in (cam, gate):
        d.goodbye()


def a_platform_that_is_away_for_a_while(gateway, hook):
    """No connection for some tries, with messages of one device and of two waiting: all come, in order, and it goes on."""
    for names in (("cam",), ("cam", "gate")):
        hook.kill()
        del hook.messages[:]
        devices = {n: Mqtt(gateway.mqtt, n, f"{n}@acme", "right", []) for n in names}
        for i in range(6):
            for n, d in devices.items():
                d.publish("v1/event/parts", json.dumps({n: i}))
        failures = state(gateway)["failures"]
        eventually(lambda: state(gateway)["failures"] >= failures + 4, lambda: state(gateway))
        hook.start()
        eventually(lambda: len(hook.messages) >= 6 * len(names), lambda: f"{hook.payloads()} {state(gateway)}")
        check(firsts(hook.payloads()) == {n: list(range(6)) for n in names}, f"{hook.payloads()}")
        for n, d in devices.items():
            d.publish("v1/event/parts", json.dumps({n: 6}))
            d.goodbye()
        eventually(lambda: len(hook.messages) == 7 * len(names), lambda: f"{hook.payloads()} {state(gateway)}")


def a_platform_that_stumbles(gateway, hook):
    """500 for everything for some tries: no message of a device passes another one."""
    del hook.messages[:]
    hook.judge = lambda m: 500
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    before = len(hook.answers)
    for i in range(6):
        device.publish("v1/event/parts", json.dumps({"cam": i}))
    eventually(lambda: len(hook.answers) >= before + 4, lambda: f"{hook.answers}")
    hook.judge = lambda m: 200
    eventually(lambda: len(hook.messages) >= 6, lambda: f"{hook.payloads()} {state(gateway)}")
    check(firsts(hook.payloads()) == {"cam": list(range(6))}, f"{hook.payloads()}")
    check(state(gateway)["dead_letters"] == 0, "a good message is a dead letter")
    device.goodbye()


def a_platform_that_asks_to_wait(gateway, hook):
    hook.judge, hook.retry_after = (lambda m: 503), 3
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    before = len(hook.answers)
    device.publish("v1/event/parts", json.dumps({"wait": 0}))
    eventually(lambda: len(hook.answers) > before, "the first try")
    begun = time.monotonic()
    hook.judge = lambda m: 200
    eventually(lambda: {"wait": 0} in hook.payloads(), "the second try")
    check(time.monotonic() - begun > 2.5, f"it was sent again after {time.monotonic() - begun:.1f} s, not 3")
    hook.retry_after = None
    device.goodbye()


def a_platform_without_time_for_one_device(gateway, hook):
    """503 says nothing of a message, also where others are taken between: none is given up, and all come in order."""
    del hook.messages[:]
    dead = state(gateway)["dead_letters"]
    busy = [True]
    hook.judge = lambda m: 503 if busy[0] and (m.get("payload") or {}).get("busy") is not None else 200
    devices = {n: Mqtt(gateway.mqtt, n, f"{n}@acme", "right", []) for n in ("cam", "gate")}
    before = len(hook.answers)
    for i in range(3):
        devices["cam"].publish("v1/event/parts", json.dumps({"busy": i}))
        devices["gate"].publish("v1/event/parts", json.dumps({"gate": i}))
    eventually(lambda: hook.answers[before:].count(503) >= 5, lambda: f"{hook.answers[before:]}")
    check(state(gateway)["dead_letters"] == dead, f"{state(gateway)}")
    busy[0] = False
    eventually(lambda: len(hook.messages) >= 6, lambda: f"{hook.payloads()} {state(gateway)}")
    check([p["busy"] for p in hook.payloads() if "busy" in p] == [0, 1, 2], f"{hook.payloads()}")
    check(state(gateway)["dead_letters"] == dead, f"{state(gateway)}")
    hook.judge = lambda m: 200
    for d in devices.values():
        d.goodbye()


def a_platform_that_hangs(gateway, hook):
    hook.busy = 5.0
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/parts", json.dumps({"hang": 0}))
    eventually(lambda: "no answer in 2 s" in state(gateway)["error"], lambda: state(gateway))
    hook.busy = 0.0
    eventually(lambda: {"hang": 0} in hook.payloads(), "after it")
    device.goodbye()


def a_replay(gateway, hook):
    no = ctl(gateway, "uplinks", "replay", "up", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z", code=1)
    check("keep_hours" in no, f"{no}")
    write(hook_file(hook, ", keep_hours: 24"))
    gateway.says("uplinks.file read again")
    ctl(gateway, "uplinks", "replay", "nobody", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z", code=1)
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    eventually(lambda: state(gateway)["connected"] == 1, lambda: state(gateway))
    device.publish_all([("v1/event/parts", json.dumps({"kept": i})) for i in range(50)])
    eventually(lambda: state(gateway)["kept"] == 50, lambda: state(gateway))
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: state(gateway).get("kept") == 50 and state(gateway)["queued"] == 0, lambda: state(gateway))
    del hook.messages[:]
    now = time.time()
    times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (now - 3600, now + 60)]
    begun = ctl(gateway, "uplinks", "replay", "up", "--from", times[0], "--to", times[1])
    check(begun["messages"] == 50, f"{begun}: all are within the hour, {state(gateway)}")
    # A request of the engine that was killed may still have been on its way: what is no copy of a replay is not looked at.
    copies = lambda: [m["payload"] for m in list(hook.messages) if m.get("replay")]
    eventually(lambda: len(copies()) >= 50, lambda: f"{len(copies())} {state(gateway)}")
    check(copies() == [{"kept": i} for i in range(50)], f"{copies()}")
    check(ctl(gateway, "uplinks", "stop-replay", "up")["messages"] == 0, "stopped")
    write("uplinks: []\n")
    eventually(lambda: state(gateway)["configured"] is False, lambda: state(gateway))
    for words in (("replay", "up", "--from", times[0], "--to", times[1]), ("send-dead-letters", "up")):
        check("not configured" in ctl(gateway, "uplinks", *words, code=1), f"{words}")
    device.goodbye()


def memory(gateway):
    """Of the engine, in MB."""
    with open(f"/proc/{gateway.engine()}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def answers_without_an_end(gateway, hook):
    """Trailers behind a 200 are not read; 100 Continue and headers for ever are an error. Neither costs memory; and another platform
    works."""
    before = memory(gateway)
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    for head, again in ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: abc\r\n"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
                        (b"HTTP/1.1 200 OK\r\n", b"X-Header: abc\r\n")):
        other = Hostile(head, again)
        write(hook_file(other))
        eventually(lambda: state(gateway).get("url", "").endswith(f":{other.port}/events"), lambda: state(gateway))
        device.publish("v1/event/parts", json.dumps({"endless": other.port}))
        taken = "Trailer" in again.decode()
        eventually(lambda: other.answers >= 1 and (state(gateway)["queued"] == 0 if taken else state(gateway)["error"]), lambda: f"{other.answers} {state(gateway)}")
        check(memory(gateway) < before + 50, f"{before} MB before, {memory(gateway)} MB after {again}")
        other.end()
    write(hook_file(hook))
    eventually(lambda: len(firsts(hook.payloads()).get("endless", [])) == 2, lambda: f"{hook.payloads()} {state(gateway)}")
    device.goodbye()


def over_tls(gateway):
    """https with the platform's own authority; a certificate that nobody vouches for is refused, and so is one for another name."""
    authority = Authority("platform")
    hook = Hook(secrets=("secret", "next"), certificate=authority.issue("server"))
    line = f"uplinks:\n  - {{name: up, kind: webhook, url: 'https://%s:{hook.port}/events', secret_file: {work}/secret, select: [event], timeout_s: 2%s}}\n"
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    for host, more in (("127.0.0.1", ""), ("127.0.0.2", f", ca_file: {authority.file}")):
        write(line % (host, more))
        eventually(lambda: f"{host}:{hook.port}/" in state(gateway).get("url", ""), lambda: state(gateway))
        device.publish("v1/event/parts", json.dumps({"tls": host}))
        eventually(lambda: state(gateway)["queued"] > 0 and state(gateway)["error"], lambda: state(gateway))
        check(not hook.messages, "a message went to a platform that has proven nothing")
    write(line % ("127.0.0.1", f", ca_file: {authority.file}"))
    eventually(lambda: len(hook.messages) == 2, lambda: f"{hook.payloads()} {state(gateway)}")
    hook.kill()
    device.goodbye()


def webhook():
    with open(work + "/secret", "w", encoding="utf-8") as f:
        f.write("secret\nnext\n")
    hook = Hook()
    gateway = start(berth, hook_file(hook))
    through_deaths(gateway, hook.kill, hook.start, hook.payloads)
    m = hook.messages[0]
    check((m["tenant"], m["site"], m["device"], m["what"], m["type"], m["topic"]) ==
          ("acme", "north", m["device"], "event", "parts", f"berth/v1/acme/north/{m['device']}/event/parts"), f"{m}")
    check(len(hook.batches) < len(hook.messages), "batches")
    a_batch_with_one_that_is_refused(gateway, hook)
    one_for_which_the_platform_breaks(gateway, hook)
    a_platform_that_is_away_for_a_while(gateway, hook)
    a_platform_that_stumbles(gateway, hook)
    a_platform_that_asks_to_wait(gateway, hook)
    a_platform_without_time_for_one_device(gateway, hook)
    a_platform_that_hangs(gateway, hook)
    answers_without_an_end(gateway, hook)
    over_tls(gateway)
    write(hook_file(hook))
    check(not hook.faults, f"signatures: {hook.faults[:3]}")
    hook.secrets = ["next"]
    a_replay(gateway, hook)
    check(not hook.faults, f"signatures with the second secret: {hook.faults[:3]}")
    gateway.end()


# -- RabbitMQ

def rabbitmq():
    try:
        from rabbit import Rabbit
    except ImportError:  # pika is Debian's, and this may be another Python
        check(sys.executable != "/usr/bin/python3", "python3-pika is missing")
        os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(sys.argv[0])] + sys.argv[1:])
    broker = Rabbit()
    broker.bind("all", "berth", "event.#")
    broker.bind("plates", "berth", "event.plate.acme.#")
    gateway = start(berth, f"uplinks:\n  - {{name: up, kind: rabbitmq, url: 'amqp://127.0.0.1:{broker.port}', select: [event, state], format: json}}\n", "protobuf")
    taken = []

    def payloads():
        taken.extend(broker.take_all("all"))
        return [json.dumps(json.loads(body)["json"]) for _, _, body in taken]
    through_deaths(gateway, broker.kill, broker.start, payloads)
    key, properties, body = taken[0]
    envelope = json.loads(body)
    check(re.fullmatch(r"event\.parts\.acme\.north\.(cam|gate)", key), key)
    check(properties.message_id == envelope["eventId"] and properties.delivery_mode == 2 and properties.type == "parts", f"{properties}")
    check(properties.headers["device"] == envelope["device"] and "berth-id" in properties.headers, f"{properties.headers}")
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/plate", json.dumps({"plate": {"plate": {"number": "粤B12345"}}}))
    found = eventually(lambda: broker.take_all("plates"), "a plate at its queue")
    check(json.loads(found[0][2])["plate"]["plate"]["number"] == "粤B12345", f"{found}")
    device.publish("v1/state", json.dumps({"health": {"uptimeS": 1}}))
    eventually(lambda: state(gateway)["unrouted"] == 1, lambda: state(gateway))
    eventually(lambda: state(gateway)["queued"] == 0, "what nobody wants holds up nothing")
    write(f"uplinks:\n  - {{name: up, kind: rabbitmq, url: 'amqp://127.0.0.1:{broker.port}/nowhere', select: [event]}}\n")
    eventually(lambda: "log-in" in state(gateway).get("error", ""), lambda: state(gateway))
    device.goodbye()
    gateway.end()


# -- Kafka

def kafka():
    cluster = Kafka(kafka_program)
    gateway = start(berth, f"uplinks:\n  - {{name: up, kind: kafka, url: 'kafka://{cluster.brokers}', select: [event]}}\n")
    load = Load(gateway)
    load.more(200)
    for p in range(4):
        cluster.tell(f"leader {p} {p % 3 + 1}")
    load.more(400)
    cluster.tell("errors 6 3")   # NOT_LEADER_OR_FOLLOWER
    load.more(400)
    cluster.tell("errors 19 2")  # NOT_ENOUGH_REPLICAS
    load.more(400)
    cluster.tell("down 2")
    load.more(400)
    cluster.tell("up 2")
    load.end()
    expect_all(cluster.payloads, load, "after leader changes and errors")
    check(len(cluster.messages()) == load.count(), f"{len(cluster.messages())} of {load.count()}: an idempotent producer sends none twice")
    first = len(cluster.messages())
    by_key = {}
    for partition, _, key, headers, _ in cluster.messages():
        by_key.setdefault(key, set()).add(partition)
        check("tenant=acme;site=north;" in headers and "what=event;type=parts;" in headers and "berth-id=" in headers, headers)
    check(set(by_key) == {"acme/cam", "acme/gate"} and all(len(v) == 1 for v in by_key.values()), f"{by_key}")
    for b in (1, 2, 3):
        cluster.tell(f"down {b}")
    eventually(lambda: state(gateway)["connected"] == 0, lambda: state(gateway))
    load = Load(gateway)
    load.more(400)
    os.kill(gateway.engine(), signal.SIGKILL)
    load.more(400)
    eventually(lambda: state(gateway).get("error"), lambda: state(gateway))
    for b in (1, 2, 3):
        cluster.tell(f"up {b}")
    load.end()
    expect_all(lambda: cluster.payloads()[first:], load, "after an absence and a death")
    eventually(lambda: state(gateway)["queued"] == 0 and state(gateway)["connected"] == 1, lambda: state(gateway))
    device = Mqtt(gateway.mqtt, "cam", "cam@acme", "right", [])
    device.publish("v1/event/parts", json.dumps({"big": "x" * 1100000}))
    device.publish("v1/event/parts", json.dumps({"behind": 0}))
    eventually(lambda: json.dumps({"behind": 0}) in cluster.payloads(), lambda: state(gateway))
    eventually(lambda: state(gateway)["dead_letters"] == 1, lambda: state(gateway))
    check("too large" in ctl(gateway, "uplinks", "dead-letters", "up")["items"][0]["why"], "why")
    device.goodbye()
    gateway.end()
    cluster.process.stdin.close()
    cluster.process.wait(30)


# -- commands, by MQTT

def commands():
    """What the platform publishes at its own broker is done by the device, once, and the outcome comes there."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open(work + "/mosquitto.conf", "w", encoding="utf-8") as f:
        f.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    broker = Program(["mosquitto", "-c", work + "/mosquitto.conf"], "broker")
    broker.says("running")
    heard = Program(["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", "up/#", "-F", "%t %p", "-d"], "heard")
    heard.says("SUBACK")
    gateway = start(berth, f"uplinks:\n  - {{name: up, kind: mqtt, url: 'mqtt://127.0.0.1:{port}', tenants: [acme], commands: true, "
                    "topic: 'up/{tenant}/{site}/{device}/{rest}'}\n", "json")
    eventually(lambda: state(gateway).get("connected") == 1, lambda: state(gateway))
    done = []

    def take(client, topic, payload):
        levels = topic.split("/")
        done.append((levels[2], levels[4], payload))
        client._send(f"v1/cmd/{levels[2]}/res", '{"result":{"outcome":"EXECUTED","code":"200"}}', 0, False)
    device = Mqtt(gateway.mqtt, "gate", "gate@acme", "right", ["v1/cmd/#"], take)
    check(device.code == 0, "log-in")

    def ask(topic, *more):
        subprocess.run(["mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-m", "{}", *more], check=True)
    ask("up/acme/north/gate/command/c-1/request/open")
    heard.says(r"up/acme/north/gate/command/c-1/result .*SUCCEEDED")
    check([d[:2] for d in done] == [("c-1", "open")], f"{done}")
    ask("up/acme/north/gate/command/c-1/request/open")  # the same again: the same command
    ask("up/acme/north/gate/command/c-2/request/open", "-r")  # retained: refused at Berth, kept by the broker
    ask("up/other/north/gate/command/c-3/request/open")
    ask("up/acme/north/gate/command/c-4/request/explode")
    heard.says(r"up/acme/north/gate/command/c-4/result .*REJECTED")
    os.kill(gateway.engine(), signal.SIGKILL)
    eventually(lambda: state(gateway).get("connected") == 1, lambda: state(gateway))
    ask("up/acme/north/gate/command/c-5/request/open", "-D", "publish", "message-expiry-interval", "10")
    heard.says(r"up/acme/north/gate/command/c-5/result .*SUCCEEDED")
    check([d[0] for d in done if d[0] not in ("c-2",)] == ["c-1", "c-5"], f"{done}")
    gateway.says("a retained command is not taken")
    gateway.says(r"a command of a platform is not taken uplink=up topic=.up/other")
    # Beside many events: neither holds up the other.
    load = Load(gateway, ("cam",), pause_s=0.01)
    load.more(500)
    begun = time.monotonic()
    for i in range(30):
        ask(f"up/acme/north/gate/command/busy-{i}/request/open")
        ask(f"up/acme/north/nobody/command/slow-{i}/request/open", "-D", "publish", "message-expiry-interval", "60")
    for i in range(30):
        eventually(lambda: f"gate/command/busy-{i}/result " in heard.said(), lambda: f"busy-{i}: {state(gateway)} {gateway.said()[-1500:]}")
    took = time.monotonic() - begun
    load.more(500)
    load.end()
    check("is dropped" not in gateway.said(), "commands had no place")
    check(took < 20, f"60 commands took {took:.1f} s")
    eventually(lambda: state(gateway)["queued"] == 0, lambda: state(gateway))
    device.goodbye()
    gateway.end()


{"commands": commands, "webhook": webhook, "rabbitmq": rabbitmq, "kafka": kafka}[sys.argv[4]]()
print("what was acknowledged is at the platform, in order")
