#!/usr/bin/env python3
"""The commands and programs of docs/backend.md run as they stand there, against a real gateway with the devices that the page
starts. Only ports, the noon and the size of a page of commands are other ones. What an `sh` block prints has every member of the `json` block behind it. A program whose
language is not installed is left out, and the test says so.

  snippets_test.py BERTH SOURCE_DIR
"""
import datetime, json, os, re, shutil, signal, subprocess, sys

berth, source = (os.path.abspath(p) for p in sys.argv[1:3])
sys.path.insert(0, source + "/tests/support")
from gateway import Gateway, Program, read, work  # noqa: E402

page = read(source + "/docs/backend.md")
blocks = [(m.group(1).split(), m.group(2)) for m in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", page, re.M)]
files = {words[1]: text for words, text in blocks if len(words) == 2}


def fails(what):
    raise SystemExit("FAULT: " + what)


def has(said, wanted):
    """`wanted` with fewer members; of a list some items, in their order. A text that ends with "…" is another one each time."""
    if isinstance(wanted, dict):
        return isinstance(said, dict) and all(k in said and has(said[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        rest = iter(said)
        return all(any(has(s, w) for s in rest) for w in wanted)
    if isinstance(wanted, str) and wanted.endswith("…"):
        return isinstance(said, str) and len(said) > len(wanted)
    return said == wanted


def documents(text):
    """JSON, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        one, at = decoder.raw_decode(text, at)
        found.append(one)
    return found


def run(argv):
    r = subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, timeout=120)
    if r.returncode != 0:
        fails(f"{argv} ended with {r.returncode}:\n{r.stdout}{r.stderr}")
    return r.stdout


for tool in ("curl", "mosquitto_sub", "timeout"):
    if not shutil.which(tool):
        print("skipped:", tool, "is not installed")
        sys.exit(77)
for name in ("registry.yaml", "berth.yaml", "barrier.py", "barrier.js", "Barrier.java", "events.py", "events.js", "Events.java"):
    if name not in files:
        fails("the page has no " + name)
    with open(os.path.join(work, name), "w", encoding="utf-8") as f:
        f.write(re.sub(r"(limit\W{1,3})200\b", r"\g<1>1", files[name]))  # several pages

gateway = Gateway(berth, {n: files[n] for n in ("registry.yaml", "berth.yaml")}, BERTH_COMMANDS_PER_DEVICE_PER_S="0")
environment = {**os.environ, "BERTH": f"http://127.0.0.1:{gateway.admin}", "TOKEN": "backend@acme:backend-secret",
               "MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(gateway.mqtt),
               "NODE_PATH": "/usr/share/nodejs:" + os.environ.get("NODE_PATH", "")}

# The devices, as the page starts them.
starts = next(text for words, text in blocks if not words and "park_device.py" in text).splitlines()
barrier = next(s for s in starts if "park_device.py" in s).replace("$SRC", source).replace("7700", str(gateway.park))
mute = next(s for s in starts if s.startswith("mosquitto_sub")) + f" -d -h 127.0.0.1 -p {gateway.mqtt}"
barrier = Program(["bash", "-c", "exec " + barrier], "gate-1")
first = Program(["bash", "-c", "exec stdbuf -oL " + mute], "gate-2.first")  # the page asks why this one has ended
first.says("Subscribed")
first.end(signal.SIGKILL)
Program(["bash", "-c", "exec stdbuf -oL " + mute], "gate-2").says("Subscribed")
barrier.says("connected")

# Who hears events. Debian's packages are of Debian's Python.
listeners = {}
python = next((p for p in (sys.executable, "/usr/bin/python3")
               if subprocess.run([p, "-c", "import paho.mqtt.client"], capture_output=True).returncode == 0), None)
node = shutil.which("node")
has_mqtt_js = node and subprocess.run([node, "-e", "require('mqtt')"], env=environment, capture_output=True).returncode == 0
for argv, can in (([python, "events.py"], python), ([node, "events.js"], has_mqtt_js)):
    if can:
        listeners[argv[1]] = (argv, Program(argv, argv[1], work, **environment))
    else:
        print("left out:", argv[1], "needs a package that is not installed")
java = shutil.which("java") if shutil.which("javac") else None  # `java FILE` compiles
over_http = {}
if java:
    over_http["Events.java"] = ([java, "Events.java"], Program([java, "Events.java"], "Events.java", work, **environment))
else:
    print("left out: Events.java needs a language that is not installed")
for _, p in over_http.values():
    p.says("connected")
for _, p in listeners.values():
    p.says("connected")
    p.says("presence: gate-1 ONLINE")
    p.says("presence: gate-2 ONLINE")

# curl, and what the page says that is answered.
count = 0
for i, (words, text) in enumerate(blocks):
    if words != ["sh"]:
        continue
    later = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))) + datetime.timedelta(hours=1)
    text = text.replace("2026-11-29T12:00:00+08:00", later.isoformat(timespec="seconds"))
    said, behind = run(["bash", "-euo", "pipefail", "-c", text]), blocks[i + 1]
    if behind[0] == ["json"]:
        answers, wanted = documents(said), documents(behind[1])
        if len(answers) != len(wanted) or not all(map(has, answers, wanted)):
            fails(f"{text}\nis answered\n{said}\nthe page says\n{behind[1]}")
        count += 1
    elif "presence" not in said:
        fails(f"{text}\nprints\n{said}")
print(count, "answers of curl are as the page says")

# The programs.
programs = {"barrier.py": [sys.executable], "barrier.js": [node], "Barrier.java": [java]}
status, answer = gateway.ask("POST", "/api/v1/commands?wait=true",
                             {"id": "order-4", "tenant": "acme", "device": "gate-2", "type": "open", "ttl_ms": 500})
if status != 200 or answer["outcome"] != "UNCERTAIN":
    fails(f"order-4: {status} {answer}")
orders = ["order-1"]
for name, tool in programs.items():
    if tool[0] is None:
        print("left out:", name, "needs a language that is not installed")
        continue
    order = "order-" + name.split(".")[1]
    orders.append(order)
    said = run(tool + [name, order])
    for line in ("open: SUCCEEDED", "again: SUCCEEDED the same", "uncertain: order-3 gate-2 open", "uncertain: order-4 gate-2 open",
                 "cancel: NOT_DELIVERED cancelled", "presence: gate-1 online", r"history: 2\S+Z command"):
        if not re.search("^" + line, said, re.M):
            fails(f"{name} does not print {line!r}:\n{said}")
    print(name, "does what the page says")

for order in orders:
    if barrier.said().count(f"execute open {order} ") != 1:
        fails(f"{order} was not carried out once:\n{barrier.said()}")
    for _, p in listeners.values():
        p.says(f"outcome: {order} gate-1 SUCCEEDED command-{order}\n")
    for _, p in over_http.values():
        p.says(rf"outcome: {order} gate-1 SUCCEEDED\b")
for _, p in over_http.values():
    p.says("outcome: order-3 gate-2 UNCERTAIN")
for _, p in listeners.values():
    p.says("outcome: order-3 gate-2 UNCERTAIN ")
    p.says("outcome: list-1 gate-3 NOT_DELIVERED ")

# A listener that is away, by kill -9, misses nothing.
listeners.update(over_http)
for _, p in listeners.values():
    p.end(signal.SIGKILL)
status, answer = gateway.ask("POST", "/api/v1/commands?wait=true",
                             {"id": "order-away", "tenant": "acme", "device": "gate-1", "type": "open", "ttl_ms": 5000})
if status != 200 or answer["outcome"] != "SUCCEEDED":
    fails(f"order-away: {status} {answer}")
for name, (argv, _) in listeners.items():
    Program(argv, name + ".again", work, **environment).says("outcome: order-away gate-1 SUCCEEDED")
    print(name, "hears what came while it was away")
