#!/usr/bin/env python3
"""The verbs of `berth ctl` that explain something (docs/operations.md, "Questions to a running gateway") beside a running gateway.

  ctl_test.py BERTH SOURCE
"""
import fcntl, http.server, json, os, pty, re, shutil, signal, socket, subprocess, sys, tarfile, threading, time

berth, source = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(source, "tests/support"))
from gateway import Gateway, Program, eventually, work  # noqa: E402
from mqtt import Mqtt  # noqa: E402

PLATE, OTHER_PLATE, TYPED = "京A12345", "B77777", "typed-password-of-cam"
SECRETS = ("secret-of-cam", "secret-of-door", "secret-of-redis", "secret-of-platform", PLATE, OTHER_PLATE, TYPED)
CONFIG = """
auth: {failures_per_name: 0, failures_per_address: 0}
registry: {source: file, file: registry.yaml}
presence: {offline_after_s: 1}
session: {restart_grace_s: 1}
"""
REGISTRY = """
tenants:
  - name: acme
    sites: [{name: north}, {name: south}]
    devices:
      - {name: cam-1, site: north, display_name: "车道1", firmware: "2.1", credentials: [{auth_id: cam, password: secret-of-cam}]}
      - {name: cam-2, site: north, display_name: "京A12345"}
      - {name: door, site: south, credentials: [{auth_id: door, password: secret-of-door}]}
    accounts:
      - {name: platform, role: service, api: [command], credentials: [{auth_id: platform, password: secret-of-platform}]}
  - name: other
    sites: [{name: north}]
    devices:
      - {name: door, site: north}
"""


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ctl(gateway, *words, code=0):
    """What it prints where the output is no terminal."""
    done = subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", *words], text=True, capture_output=True, timeout=120)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout


def seen(gateway, *words, code=0):
    """What a person sees, in a terminal."""
    ours, its = pty.openpty()
    p = subprocess.Popen([berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", *words], stdout=its, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    os.close(its)
    text = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        text += some
    os.close(ours)
    check(p.wait(60) == code, f"{words}: exit code {p.returncode}, not {code}: {text.decode()}")
    return text.decode().replace("\r\n", "\n")


def run_ctl(gateway, *words, **environment):
    """The whole outcome, where the output is no terminal."""
    return subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{gateway.admin}", *words], text=True, capture_output=True, timeout=120,
                          env={**os.environ, **environment})


def output(g):
    """Tables where they were asked for, whatever the output is; a refusal is then a sentence on stderr."""
    for words, environment in (["sessions", "--table"], {}), (["sessions"], {"BERTH_CTL_OUTPUT": "table"}), (["--table", "sessions"], {"BERTH_CTL_OUTPUT": "json"}):
        done = run_ctl(g, *words, **environment)
        check(done.returncode == 0 and done.stdout == "  none\n", f"{words} {environment}: {done}")
        done = run_ctl(g, *["session" if w == "sessions" else w for w in words], "0-999999", **environment)
        check(done.returncode == 1 and done.stdout == "" and done.stderr.startswith("berth ctl: ") and "{" not in done.stderr, f"{words} {environment}: {done}")
    for words, environment in (["sessions"], {}), (["sessions", "--json"], {"BERTH_CTL_OUTPUT": "table"}), (["sessions"], {"BERTH_CTL_OUTPUT": "json"}):
        done = run_ctl(g, *words, **environment)
        check(done.returncode == 0 and json.loads(done.stdout)["items"] == [], f"{words} {environment}: {done}")
        done = run_ctl(g, *["session" if w == "sessions" else w for w in words], "0-999999", **environment)
        check(done.returncode == 1 and json.loads(done.stdout)["status"] == 404 and done.stderr == "", f"{words} {environment}: {done}")
    done = run_ctl(g, "ready", BERTH_CTL_OUTPUT="yaml")
    check(done.returncode == 0 and "neither table nor json" in done.stderr, f"a probe with a wrong word: {done}")
    check(run_ctl(g, "status", "--table", "--json").returncode == 64, "both at once")
    check("config" in run_ctl(g, "check", "--table").stdout and json.loads(run_ctl(g, "check").stdout)["checks"], "the check of a host")


def why(g):
    """A device comes, is taken over and goes: the verb says so."""
    first = Mqtt(g.mqtt, "cam-1", "cam@acme", "secret-of-cam", [])
    second = Mqtt(g.mqtt, "cam-1", "cam@acme", "secret-of-cam", [])
    check(first.code == 0 and second.code == 0, "the device can't log in")
    check(Mqtt(g.mqtt, "cam-1", "cam@acme", "wrong", []).code != 0, "a wrong password is let in")

    def there():
        o = json.loads(ctl(g, "why", "cam-1", "--tenant", "acme"))
        return o if o["ends"] and o["refused"] else None
    o = eventually(there, lambda: ctl(g, "why", "cam-1", "--tenant", "acme"))
    check(o["known"] and o["presence"]["state"] == "online" and o["ends"][0]["type"] == "taken_over", o)
    check(o["refused"][0]["detail"] == "bad user name or password" and "not_answered" not in o, o)
    second._socket.shutdown(2)  # without a goodbye

    def gone():
        o = json.loads(ctl(g, "why", "cam-1"))  # of the only tenant that has it
        return o if o["presence"]["state"] == "offline" and len(o["ends"]) == 2 else None
    o = eventually(gone, lambda: ctl(g, "why", "cam-1"))
    check(o["tenant"] == "acme" and o["presence"]["cause"] == "connection_lost" and o["presence"]["firmware"] == "2.1", o)
    text = seen(g, "why", "cam-1")
    for part in ("Device cam-1 of tenant acme, site north (车道1)", "It is offline since 2", " s ago.", "Why it went: The connection was reset",
                 "127.0.0.1:", "mqtt3.1.1", "Findings", "a newer connection with this client id logged in", "bad user name or password"):
        check(part in text, f"{part!r} is not in\n{text}")
    text = seen(g, "why", "cam-7", "--tenant", "acme", code=1)
    for part in ("There is no device cam-7 in tenant acme.", "cam-1", "cam-2", "车道1", "Where to look"):
        check(part in text, f"{part!r} is not in\n{text}")
    check("door" not in text, text)
    o = json.loads(ctl(g, "why", "door", code=1))
    check(o["tenants"] == ["acme", "other"], o)
    check(json.loads(ctl(g, "why", "door", "--tenant", "other"))["presence"]["state"] == "never", "the other tenant's device")
    o = json.loads(ctl(g, "why", "cam-1", "--tenant", "nobody", code=1))
    check(o["known"] is False and o["not_answered"] == ["presence: no such tenant"], o)
    done = subprocess.run([berth, "ctl", "--admin", "127.0.0.1:1", "--timeout", "2", "why", "x", "--tenant", "y"], text=True, capture_output=True, timeout=60)
    check(done.returncode == 69, done)


def top(g):
    """A device flaps, a client id is shared, log-ins fail: each list has it."""
    for _ in range(4):
        door = Mqtt(g.mqtt, "door", "door@acme", "secret-of-door", [])
        check(door.code == 0, "the device can't log in")
        door._socket.shutdown(2)
        door._socket.close()
    shared = [Mqtt(g.mqtt, "cam-1", "cam@acme", "secret-of-cam", []) for _ in range(5)]
    check(Mqtt(g.mqtt, "x", "nobody@acme", "wrong", []).code != 0, "a wrong password is let in")

    def lists():
        found = json.loads(ctl(g, "top"))["lists"]
        here = (any(i.get("device") == "door" for i in found["flapping"]) and any(i.get("client_id") == "cam-1" for i in found["shared"])
                and any(i["name"] == "nobody@acme" for i in found["refused"]) and any(i["tenant"] == "acme" and i["connections"] for i in found["connections"]))
        return found if here else None
    found = eventually(lists, lambda: ctl(g, "top"))
    check(set(found) == {"connections", "traffic", "flapping", "refused", "slow", "shared"}, found)
    o = json.loads(ctl(g, "top", "--by", "flapping", "--tenant", "acme"))
    check(list(o["lists"]) == ["flapping"] and o["since"] and "not_answered" not in o, o)
    check(json.loads(ctl(g, "top", "--by", "flapping", "--tenant", "other"))["lists"]["flapping"] == [], "another tenant's device")
    o = json.loads(ctl(g, "top", "--by", "connections", "--tenant", "acme"))
    check(any(i["site"] == "north" and i["connections"] >= 1 for i in o["lists"]["connections"]), o)
    text = seen(g, "top")
    for part in ("Most connections", "Flapping", "door", "nobody@acme", "bad user name or password", "Counts begin at 2", "next: berth ctl why DEVICE"):
        check(part in text, f"{part!r} is not in\n{text}")
    o = json.loads(ctl(g, "top", "--by", "flapping", "--tenant", "nobody", code=0))
    check(o["lists"]["flapping"] == [], o)
    ctl(g, "top", "--by", "size", code=64)
    # The findings of a device are those of the lists.
    o = json.loads(ctl(g, "why", "cam-1"))
    check(any(f.startswith("Connections take its client id cam-1") for f in o["findings"]), o)
    o = json.loads(ctl(g, "why", "door", "--tenant", "acme"))
    check(o["findings"][0].startswith("It flaps: its connections have ended "), o)
    shared[-1]._socket.close()
    watching = subprocess.Popen([berth, "ctl", "--admin", f"127.0.0.1:{g.admin}", "top", "--watch", "--every", "1"], text=True, stdout=subprocess.PIPE)
    try:
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        check(all("lists" in look for look in looks), looks)
    finally:
        watching.terminate()
        watching.wait(30)


def sessions(g):
    """A device's session is listed, shown, disconnected and ended."""
    device = Mqtt(g.mqtt, "cam-1", "cam@acme", "secret-of-cam", ["v1/cmd/#"], clean=False)
    other = Mqtt(g.mqtt, "other", "door@acme", "secret-of-door", [])
    check(device.code == 0 and other.code == 0, "the devices can't log in")
    items = json.loads(ctl(g, "sessions", "--tenant", "acme", "--online"))["items"]
    check({"cam-1", "other"} <= {s["client_id"] for s in items}, f"sessions: {items}")
    check(json.loads(ctl(g, "sessions", "--tenant", "other"))["items"] == [], "another tenant's sessions")
    check([s["device"] for s in json.loads(ctl(g, "sessions", "--q", "cam"))["items"]] == ["cam-1"], "with a text")
    page = json.loads(ctl(g, "sessions", "--tenant", "acme", "--limit", "1"))
    rest = json.loads(ctl(g, "sessions", "--tenant", "acme", "--cursor", page["next"]))
    check(len(page["items"]) == 1 and page["items"][0] not in rest["items"], f"pages: {page} {rest}")
    one = json.loads(ctl(g, "session", "cam-1"))
    check(one["filters"] == [{"filter": "v1/north/cam-1/cmd/#", "qos": 1}] and one["state"] == "online", f"session: {one}")
    text = seen(g, "session", one["id"])
    check("v1/north/cam-1/cmd/#" in text and "cam-1" in seen(g, "sessions"), text)
    ctl(g, "session", "nobody", code=1)
    ctl(g, "session", "0-999999", code=1)
    seen(g, "kick", "cam-1")
    eventually(lambda: json.loads(ctl(g, "session", one["id"]))["state"] == "offline", lambda: ctl(g, "sessions"))
    eventually(lambda: json.loads(ctl(g, "why", "cam-1", "--tenant", "acme"))["ends"][0]["cause"] == "operator",
               lambda: ctl(g, "why", "cam-1", "--tenant", "acme"))
    ctl(g, "kick", one["id"], "--end-session")
    ctl(g, "session", one["id"], code=1)
    other.goodbye()


def trace(g):
    """Packets of one device, also over the death of an engine; Ctrl-C ends the trace."""
    lines = []
    p = subprocess.Popen([berth, "ctl", "--admin", f"127.0.0.1:{g.admin}", "trace", "cam-1", "--tenant", "acme", "--for", "120", "--json"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reader = threading.Thread(target=lambda: lines.extend(json.loads(line)["text"] for line in p.stdout))
    reader.start()
    check("waiting for one" in p.stderr.readline(), "the trace has not begun")

    def has(text, then=lambda: None):
        def look():
            then()
            return any(text in line for line in lines)
        eventually(look, lambda: f"{text}: {lines}")
    try:
        device = Mqtt(g.mqtt, "c", "cam@acme", "secret-of-cam", ["v1/cmd/#"], clean=False)
        has("c connected address=127.0.0.1:")
        has(" filter=v1/cmd/# qos=1")
        device.publish("v1/event/before", TYPED)
        has("c > PUBLISH topic=v1/event/before qos=1")
        has("c < PUBACK id=")
        os.kill(g.engine(), signal.SIGKILL)
        has("topic=v1/event/after qos=1", lambda: device.publish("v1/event/after", TYPED))
        device.goodbye()
        has("c > DISCONNECT code=0x00")
        check(TYPED not in str(lines), "a payload is in the trace")
        p.send_signal(signal.SIGINT)
        check(p.wait(30) == 0, f"exit code {p.returncode}")
        check("another engine serves" in p.stderr.read(), "nothing is said of the engine's death")
    finally:
        p.kill()
        p.wait()
        reader.join()
    ctl(g, "sessions", "--q", "c")


def log_level(g):
    """One module has another level for a while, in the edge and in the engine."""
    levels = json.loads(ctl(g, "log-level"))
    check(levels == {"level": "info", "modules": []}, levels)
    ctl(g, "log-level", "session", "debug", "--for", "600")
    name = "levels" + str(os.getpid())
    Mqtt(g.mqtt, name, "cam@acme", "secret-of-cam", []).goodbye()
    g.says("debug .*client=" + name)
    check("debug" in seen(g, "log-level"), "the table has the level")
    ctl(g, "log-level", "session", "--end")
    check(json.loads(ctl(g, "log-level"))["modules"] == [], "the level is still there")
    ctl(g, "log-level", "sesion", "debug", code=64)
    ctl(g, "log-level", "session", code=64)


def checked(*words, code, limit=None, **environment):
    """The findings of `berth ctl check` by name: [(result, measured)]."""
    line = [berth, "ctl", "check", *words]
    if limit:
        line = ["bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash", *line]
    done = subprocess.run(line, cwd=work, text=True, capture_output=True, timeout=120, env={**os.environ, **environment})
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    found = {}
    for f in json.loads(done.stdout)["checks"]:
        check(f["result"] == "OK" or f["fix"], f"no fix: {f}")
        found.setdefault(f["check"], []).append((f["result"], f["measured"]))
    return found


def fix_of(check_name, *words, **environment):
    """What is to be done of a check that fails."""
    done = subprocess.run([berth, "ctl", "check", *words], cwd=work, text=True, capture_output=True, timeout=120, env={**os.environ, **environment})
    return next(f["fix"] for f in json.loads(done.stdout)["checks"] if f["check"] == check_name and f["result"] == "FAIL")


def written(name, text, mode=0o600):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def preflight(g):
    """What is wrong with a host or a Redis is a finding; nothing is left behind."""
    listen = "mqtt: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\nstore: {directory: %s/new/data}\n" % work
    good = written("good.yaml", listen)
    found = checked("--config", good, code=0)
    check(found["fdatasync"][0][1].startswith("p99 ") and found["port"][0][0] == "OK" and found["data directory"][0][0] in ("OK", "WARN"), found)
    for name in ("configuration", "open files", "clock", "free space", "secrets"):
        check(found[name][0][0] != "FAIL", (name, found))
    check(not os.path.exists(work + "/new") and not [f for f in os.listdir(work) if f.startswith(".berth")], os.listdir(work))
    taken = written("taken.yaml", listen.replace("admin: {listen: '127.0.0.1:0'}", f"admin: {{listen: '127.0.0.1:{g.admin}'}}"))
    check(("FAIL", f"admin.listen: listen on 127.0.0.1:{g.admin}: Address already in use") in checked("--config", taken, code=1)["port"], "a port that is taken")
    bad = checked("--config", written("bad.yaml", "nonsense: 1\n"), code=1)
    check(list(bad) == ["configuration"] and bad["configuration"][0][0] == "FAIL", bad)
    os.makedirs(work + "/held/data/store")
    with open(work + "/held/data/store/LOCK", "w") as lock:  # as a gateway has it
        fcntl.lockf(lock, fcntl.LOCK_EX)
        held = written("held.yaml", listen.replace("/new/data", "/held/data"))
        check(checked("--config", held, code=1)["store"] == [("FAIL", f"process {os.getpid()} has {work}/held/data/store open")], "a store that is held")
        second = subprocess.run([berth, "serve", "--config", held], cwd=work, text=True, capture_output=True, timeout=120)
        check(second.returncode != 0 and "another gateway has this data" in second.stdout + second.stderr, second.stdout + second.stderr)
        check("admin.token" not in os.listdir(work + "/held/data"), "a token is left in the directory of another gateway")
    check("store" not in checked("--config", held, code=0), "a store that is free")
    written("file", "")
    in_the_way = written("in_the_way.yaml", listen.replace("/new/data", "/file"))
    check("a file is in the way" in fix_of("data directory", "--config", in_the_way), "a file as the directory")
    check(checked("--config", good, code=1, limit=110)["open files"][0][0] == "FAIL", "few open files")
    token = written("token", "a-token-of-some-length", 0o644)
    found = checked("--config", written("open.yaml", listen.replace("admin: {", f"admin: {{token_file: {token}, ")), code=0)
    check(found["secrets"][0][0] == "WARN" and token in found["secrets"][0][1], found)
    if shutil.which("openssl"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "5", "-subj", "/CN=gate",
                        "-keyout", work + "/gate.key", "-out", work + "/gate.crt"], check=True, capture_output=True, timeout=60)
        os.chmod(work + "/gate.key", 0o600)
        tls = written("tls.yaml", listen + f"mqtts: {{listen: '127.0.0.1:0', cert_file: {work}/gate.crt, key_file: {work}/gate.key}}\n")
        found = checked("--config", tls, code=0)
        check(re.fullmatch(f"mqtts.cert_file {work}/gate.crt: [45] days left", found["certificate"][0][1]) and found["certificate"][0][0] == "WARN", found)
        os.remove(work + "/gate.key")
        check(checked("--config", tls, code=1)["configuration"][0][0] == "FAIL", "a key that is missing")
    check("nothing listens there" in fix_of("redis", "--config", good, BERTH_STORE_URL="redis://:secret-of-redis@127.0.0.1:1"), "no Redis")
    if not shutil.which("redis-server") or not shutil.which("redis-cli"):
        return print("no redis-server here")
    port = free_port()
    redis = Program(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "allkeys-lru", "--dir", work], "redis")
    redis.says("Ready to accept connections")
    url = {"BERTH_STORE_URL": f"redis://127.0.0.1:{port}"}
    wrong = {"BERTH_STORE_URL": f"redis://somebody:wrong@127.0.0.1:{port}"}
    check("the user and the password of Redis" in fix_of("redis", "--config", good, **wrong), "a wrong password")
    found = checked("--config", good, code=1, **url)
    for name in ("redis persistence", "redis eviction"):
        check(found[name][0][0] == "FAIL", (name, found))
    check(found["redis"][0][0] == "OK" and found["redis memory"][0][0] == "WARN" and found["redis version"][0][0] == "OK" and "fdatasync" not in found, found)
    for name, value in (("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction"), ("maxmemory", "100mb")):
        subprocess.run(["redis-cli", "-p", str(port), "config", "set", name, value], check=True, capture_output=True, timeout=60)
    found = checked("--config", good, code=0, **url)
    for name in ("redis persistence", "redis eviction", "redis memory", "redis replicas"):
        check(found[name][0][0] == "OK", (name, found))
    check(checked("--config", good, code=1, BERTH_STORE_REDIS_WAIT_REPLICAS="1", **url)["redis replicas"][0][0] == "FAIL", "no replica")
    redis.end(signal.SIGKILL)  # SIGTERM is refused while the first AOF is written


def unpacked(path):
    """Name -> text of a bundle, by Python's own reader."""
    check(os.stat(path).st_mode & 0o777 == 0o600, "others can read the bundle")
    with tarfile.open(path, "r:gz") as t:
        for m in t.getmembers():
            check(m.isfile() and "/" not in m.name and m.mode == 0o600 and abs(m.mtime - time.time()) < 600, m.get_info())
        return {m.name: t.extractfile(m).read().decode() for m in t.getmembers()}


def bundle(g):
    """What support needs is in it; what was planted is not."""
    publisher = Mqtt(g.mqtt, "door", "door@acme", "secret-of-door", ["v1/cmd/#"])
    publisher.publish("v1/event/x", json.dumps({"plate": PLATE}))
    for user in (TYPED, TYPED + "@acme"):
        check(Mqtt(g.mqtt, PLATE, user, "wrong", []).code != 0, "a wrong password is let in")
    check(Mqtt(g.mqtt, PLATE, "cam@acme", TYPED, []).code != 0, "a wrong password is let in")
    status, answer = g.ask("POST", "/api/v1/commands", {"id": "open-" + OTHER_PLATE, "tenant": "acme", "device": "door", "type": "open", "ttl_ms": 50,
                                                        "reason": PLATE, "payload": {"plate": PLATE}})
    check(status in (200, 202), answer)
    eventually(lambda: any(i["type"] == "command" for i in g.ask("GET", "/api/v1/history?tenant=acme&site=south")[1]["items"]), "the command has no outcome")
    for name, words in (("shown", []), ("numbers", ["--anonymous"])):
        path = os.path.join(work, name + ".tar.gz")
        made = json.loads(ctl(g, "support-bundle", "-o", path, *words))
        files = unpacked(path)
        check(made["file"] == path and made["bytes"] == os.path.getsize(path) and set(made["parts"]) | {"manifest.txt"} == set(files), made)
        check(made["left_out"] == [], made)
        for word in (*SECRETS, g.token):
            check(word.encode() not in open(path, "rb").read(), word)
            for f, text in files.items():
                check(word not in text, f"{word} is in {f}:\n{text[:2000]}")
        check("Support bundle of a berth gateway" in files["manifest.txt"] and "all-metrics.txt, " in files["manifest.txt"], files["manifest.txt"])
        check(json.loads(files["status.json"])["pid"] == g.process.pid and "berth_connections" in files["all-metrics.txt"], files["status.json"])
        check(files["readyz.txt"].startswith("HTTP 200\n") and "Max open files" in files["process.txt"] and "Max open files" in files["engine-1.txt"], files["process.txt"])
        settings = json.loads(files["config.json"])["settings"]
        check(settings["registry.file"] == "registry.yaml" and ("@" not in settings["store.url"] or "***@" in settings["store.url"]), settings)
        store = "redis  " if "***@" in settings["store.url"] else "fdatasync"
        check("it and the files that it names can be read" in files["check.txt"] and store in files["check.txt"], files["check.txt"])
        check(" is free" not in files["check.txt"] and "open files" not in files["check.txt"], files["check.txt"])
        events = json.loads(files["events.json"])["items"]
        check({"connected", "ended", "refused", "command"} <= {e["type"] for e in events}, events)
        check(any(e.get("detail") == "keepalive_timeout" or e.get("cause") == "connection_lost" for e in events), events)
        ends = json.loads(files["insights-ends.json"])["items"]
        check(any(i.get("device") == "door" for i in ends) == (not words) and ends and "cause" in ends[0], ends)
        flapping = json.loads(files["insights-flapping.json"])["items"]
        check(any(i["device"] == "door" for i in flapping) == (not words), flapping)
        check(("127.0.0.1:" in files["events.json"]) == (not words), files["events.json"][:2000])
    # A file that is there stays as it is.
    before = open(path, "rb").read()
    ctl(g, "support-bundle", "-o", path, code=1)
    check(open(path, "rb").read() == before, "an archive was written over")
    done = subprocess.run([berth, "ctl", "--admin", "127.0.0.1:1", "--timeout", "2", "support-bundle", "-o", work + "/none.tar.gz"], capture_output=True, timeout=60)
    check(done.returncode == 69 and not os.path.exists(work + "/none.tar.gz"), done)


def bare(_):
    """Without a registry there are no events: they are left out, and no file says that there were none."""
    g = Gateway(berth, {"berth.yaml": "auth: {anonymous: always}\n"}, "bare")
    first, second = (Mqtt(g.mqtt, "stranger", "", "", []) for _ in range(2))
    check(second.code == 0, "an anonymous client can't log in")
    second._socket.shutdown(2)

    def ends():
        o = json.loads(ctl(g, "why", "stranger"))
        return o if len(o["ends"]) == 2 else None
    o = eventually(ends, lambda: ctl(g, "why", "stranger"))
    check([e["cause"] for e in o["ends"]] == ["connection_lost", "taken_over"] and o["since"] and o["ends"][0]["address"].startswith("127.0.0.1:"), o)
    text = seen(g, "why", "stranger")
    for part in ("there is no registry here", "a newer connection with this client id logged in", "The last one: The connection was reset"):
        check(part in text, f"{part!r} is not in\n{text}")
    ctl(g, "why", "nobody", code=1)
    stay = Mqtt(g.mqtt, "stay", "", "", [])
    top = json.loads(ctl(g, "top"))
    check("not_answered" not in top and top["lists"]["connections"] == [{"address": "127.0.0.1", "connections": 1}], top)
    check("127.0.0.1" in seen(g, "top", "--by", "connections"), "the table of connections")
    stay.goodbye()
    path = work + "/bare.tar.gz"
    made = json.loads(ctl(g, "support-bundle", "-o", path))
    left_out = [l.split(": ", 1)[0] for l in made["left_out"]]
    check("events.json" in left_out and not set(left_out) & set(made["parts"]) and len(left_out) == len(set(left_out)), made)
    files = unpacked(path)
    check("fdatasync" in files["check.txt"] and re.search("events.json: .*there is no registry here", files["manifest.txt"]), files["manifest.txt"] + files["check.txt"])
    g.end(signal.SIGTERM)


def records(_):
    """Records are listed, shown, made, changed and removed; what a tenant uses is shown."""
    g = Gateway(berth, {"berth.yaml": "registry: {source: store}\n"}, "records")
    check(json.loads(ctl(g, "registry", "list", "tenant"))["items"] == [], "tenants of an empty registry")
    ctl(g, "registry", "put", "tenant", "acme", "{}")
    ctl(g, "registry", "put", "site", "north", "{}", "--tenant", "acme")
    record = written("cam-1.json", json.dumps({"site": "north", "display_name": "车道1", "credentials": [{"auth_id": "cam", "password": "secret-of-cam"}]}))
    ctl(g, "registry", "put", "device", "cam-1", record, "--tenant", "acme")
    done = subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{g.admin}", "registry", "put", "device", "cam-2", "-", "--tenant", "acme"],
                          input='{"site":"north"}', text=True, capture_output=True, timeout=60)
    check(done.returncode == 0, done)
    ctl(g, "registry", "put", "device", "cam-1", '{"firmware":"2.1"}', "--merge", "--tenant", "acme")
    one = json.loads(ctl(g, "registry", "get", "device", "cam-1", "--tenant", "acme"))
    check(one["display_name"] == "车道1" and one["firmware"] == "2.1" and "secret-of-cam" not in str(one), one)
    text = run_ctl(g, "registry", "list", "device", "--tenant", "acme", "--table").stdout
    for part in ("name", "cam-1", "车道1", "cam-2", "2.1"):
        check(part in text, f"{part!r} is not in\n{text}")
    page = run_ctl(g, "registry", "list", "device", "--tenant", "acme", "--table", "--limit", "1").stdout
    check("cam-2" not in page and "more: --cursor " in page, page)
    rest = json.loads(ctl(g, "registry", "list", "device", "--tenant", "acme", "--cursor", page.split("--cursor ")[1].strip()))
    check([i["name"] for i in rest["items"]] == ["cam-2"], rest)
    check("auth_id" in run_ctl(g, "registry", "get", "device", "cam-1", "--tenant", "acme", "--table").stdout, "a record in lines")
    device = Mqtt(g.mqtt, "cam-1", "cam@acme", "secret-of-cam", [])
    check(device.code == 0, "the device can't log in")

    def used():
        items = json.loads(ctl(g, "usage", "--by", "connections"))["items"]
        return items and items[0]["tenant"] == "acme" and items[0]["connections"] == 1
    eventually(used, lambda: ctl(g, "usage", "--by", "connections"))
    text = run_ctl(g, "usage", "acme", "--table").stdout
    check("sites" in text and "north" in text and "connections" in text, text)
    device.goodbye()
    ctl(g, "registry", "remove", "device", "cam-2", "--tenant", "acme")
    ctl(g, "registry", "get", "device", "cam-2", "--tenant", "acme", code=1)
    done = run_ctl(g, "registry", "remove", "tenant", "acme", "--table")
    check(done.returncode == 1 and done.stdout == "" and done.stderr.startswith("berth ctl: "), done)
    check(run_ctl(g, "registry", "remove", "tenant", "acme", "--recursive", "--table").stdout == "removed\n", "a tenant with all that it has")
    for words in (["list", "device"], ["get", "tenant", "acme", "--tenant", "acme"], ["list", "barrier"]):
        ctl(g, "registry", *words, code=64)
    check(run_ctl(g, "registry", "put", "tenant", "x", work + "/missing").returncode == 69, "a file that is missing")
    g.end(signal.SIGTERM)


def beaten(_):
    """A level in the file that a variable beats, and the file of defaults among the files."""
    defaults = written("defaults.yaml", "sys_interval_s: 7\n")
    g = Gateway(berth, {"berth.yaml": "log: {level: warn}\n"}, "beaten", BERTH_LOG_LEVEL="info", BERTH_DEFAULTS_FILE=defaults)
    o = json.loads(ctl(g, "config", "diff"))
    check(o["beaten"] == [{"key": "log.level", "files": "warn"}] and o["settings"] == [], o)
    check("no difference" in run_ctl(g, "config", "diff", "--table").stdout, "a diff without a difference")
    o = json.loads(ctl(g, "config", "show"))
    check(defaults in [f["path"] for f in o["files"]] and o["settings"]["sys_interval_s"] == "7", o["files"])
    check(" ago" in run_ctl(g, "config", "show", "--table").stdout, "the age of what is in force")
    written("defaults.yaml", "sys_interval_s: 8\n")

    def seen():
        return json.loads(run_ctl(g, "config", "show").stdout)["hash"] != o["hash"]
    eventually(seen, lambda: ctl(g, "config", "show"))
    check(json.loads(run_ctl(g, "config", "reload").stdout).get("engine") in ("taken", None), "the engine has the same files")
    g.end(signal.SIGTERM)
    bad = written("two.yaml", "log: {level: loud}\nnonsense: 1\nsession: {queue_messages: many}\n")
    said = subprocess.run([berth, "check-config", "--config", bad], text=True, capture_output=True, timeout=60)
    check(said.returncode == 78 and all(f"two.yaml:{n}: " in said.stderr for n in (1, 2, 3)), f"all that is wrong: {said}")


class Strange(http.server.BaseHTTPRequestHandler):
    """A gateway that says too much, or nothing."""
    hangs = threading.Event()  # set: they may end

    def do_GET(self):
        if self.path.startswith("/api/v1/insights"):
            return self.hangs.wait(60)
        body = b"x" * (17 << 20) if self.path == "/metrics" else b'{"pid":1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # it has closed the connection
            pass

    def log_message(self, *_):
        pass


def bounds(_):
    """A bundle is made of what comes in time and is not too long; the manifest has the rest."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = work + "/strange.tar.gz"
    try:
        done = subprocess.run([berth, "ctl", "--admin", f"127.0.0.1:{server.server_port}", "--timeout", "1", "support-bundle", "-o", path],
                              text=True, capture_output=True, timeout=60)
    finally:
        Strange.hangs.set()
        server.shutdown()
    check(done.returncode == 0, done)
    left_out = {l.split(": ", 1)[0]: l for l in json.loads(done.stdout)["left_out"]}
    check("body limit exceeded" in left_out["all-metrics.txt"], left_out)
    check("no answer within 1 s" in left_out["insights-flapping.json"], left_out)
    check("does not answer any more" in left_out["insights-slow.json"] and "does not answer any more" in left_out["events.json"], left_out)
    files = unpacked(path)
    check("all-metrics.txt: " in files["manifest.txt"] and "all-metrics.txt" not in files and "config.json" in files, files["manifest.txt"])


def main():
    config = CONFIG
    if shutil.which("redis-server"):  # its password is one of the secrets
        port = free_port()
        redis = Program(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "secret-of-redis", "--appendonly", "yes", "--dir", work],
                        "store")
        redis.says("Ready to accept connections")
        config += f"store: {{url: 'redis://:secret-of-redis@127.0.0.1:{port}'}}\n"
    g = Gateway(berth, {"berth.yaml": config, "registry.yaml": REGISTRY})
    for verb in (output, why, top, sessions, preflight, bundle, bare, records, beaten, bounds, log_level, trace):  # the last one kills the engine, and counts begin anew
        verb(g)
        print(f"{verb.__name__}: as documented")


main()
