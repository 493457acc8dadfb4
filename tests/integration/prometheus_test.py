#!/usr/bin/env python3
"""A real Prometheus scrapes a gateway under load, and a cluster: every query of every dashboard panel and every alert
expression's inner series must return data, and every family of /metrics is in a panel or a rule. Also runs promtool over the
rules, their tests and /metrics.

  prometheus_test.py BERTH BERTH_LOAD SOURCE_DIR
"""
import glob, gzip, json, os, re, signal, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request

berth, load, source = sys.argv[1:4]
processes = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# What these gateways have not: revoked certificates, more tenants than have series of their own.
ELSEWHERE = ["_crl", "_other"]
# What a person looks for has a row, or a panel, of this name.
SECTIONS = {"berth-overview.json": ["At a glance", "Objectives", "Connections", "Messages", "How long it takes", "Tenants and sites", "Sessions and runtime",
                                    "What is wrong"],
            "berth-cluster.json": ["Is the deploy an event", "Moves", "Edges", "Store", "Links and redundancy"],
            "berth-platform.json": ["At a glance", "Commands", "Presence and history", "API, log, files"]}


def sources():
    """Names of metrics that stand in the sources."""
    found = set()
    for path in glob.glob(source + "/metrics/*.h") + glob.glob(source + "/gateway/**/*.cc", recursive=True):
        found.update(re.findall(r'"(berth_[a-z0-9_]+)"', open(path).read()))
    return found | {"berth_build_info"} | {f"berth_{of}_{what}" for of in ("tenant", "site") for what in USED}


# Families in no panel and no rule, and why.
LEFT_OUT = {"berth_engine_build_info": "the panel Versions has berth_build_info; this one is for `berth ctl`",
            "process_virtual_memory_bytes": "resident memory is what counts",
            **{f"berth_{of}_{what}_per_second": "the panels have the rate of the counter" for of in ("tenant", "site")
               for what in ("connects", "messages", "bytes", "commands", "slowed", "dropped", "refused")}}


def shown(pages):
    """Every family of the pages is in a panel or a rule."""
    families = {l.split(" ")[2] for page in pages for l in page.splitlines() if l.startswith("# TYPE ")}
    with open(source + "/metrics/prometheus/berth.rules.yaml", encoding="utf-8") as f:
        queried = f.read() + " ".join(q for _, q in queries())
    queried = {re.sub(r"_(bucket|count|sum)$", "", m) for m in re.findall(r"\b(?:berth|process)_[a-z0-9_]+", queried)}
    missing = families - queried
    if missing != LEFT_OUT.keys() & families or LEFT_OUT.keys() - families:
        raise SystemExit(f"in no panel and no rule: {sorted(missing - LEFT_OUT.keys())}; no longer left out: {sorted(LEFT_OUT.keys() - missing)}")


USED = ["messages_total", "connections", "slowed_total", "dropped_total", "refused_total", "bytes_total", "connects_total", "commands_total",
        "sessions", "retained_messages", "queue_bytes"]


def sections():
    for name, wanted in SECTIONS.items():
        with open(f"{source}/metrics/grafana/{name}", encoding="utf-8") as f:
            rows = [p["title"] for p in json.load(f)["panels"] if p["type"] == "row"]
        missing = [w for w in wanted if not any(r.startswith(w) for r in rows)]
        if missing:
            raise SystemExit(f"{name}: no row {missing}")
        several_installations(name)


def several_installations(name):
    """One Prometheus may have several: no query of a dashboard mixes what the reader has not chosen together."""
    with open(f"{source}/metrics/grafana/{name}", encoding="utf-8") as f:
        board = json.load(f)
    variables = [v["name"] for v in board["templating"]["list"]]
    if variables != ["datasource", "namespace", "instance"]:
        raise SystemExit(f"{name}: variables {variables}")
    asked = [t["expr"] for p in board["panels"] for t in p.get("targets", [])] + [a["expr"] for a in board["annotations"]["list"]]
    for q in asked:
        series = re.findall(r"\b(?:berth|process)[_:][a-z0-9_:]+(\{[^}]*\})?", q.replace("berth:slo_budget", "").replace("/ process_max_fds", ""))
        if not all('namespace=~"$namespace"' in s for s in series):
            raise SystemExit(f"{name}: does not ask for $namespace: {q}")
    if not any("berth_build_info" in a["expr"] for a in board["annotations"]["list"]):
        raise SystemExit(f"{name}: no annotation where another version begins")


def sooner(text):
    """Sums of 5 minutes and hours that begin now, not at the next full ones."""
    return re.sub(r":(5m|1h)\]", ":1s]", text)


def cluster(d):
    """Ports of the admin listeners of an edge and two engines on one Redis."""
    redis, links, admins = free_port(), [free_port(), free_port()], [free_port() for _ in range(3)]
    start(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", d], d + "/redis.log")
    engines = ",".join(f"127.0.0.1:{p}" for p in links)
    for i, link in enumerate(links):
        start([berth, "engine", "--anonymous", "--store", f"redis://127.0.0.1:{redis}", "--links", f"127.0.0.1:{link}", "--engines", engines,
               "--admin", f"127.0.0.1:{admins[i + 1]}", "--data", f"{d}/engine{i}"], f"{d}/engine{i}.log")
    start([berth, "edge", "--engines", engines, "--mqtt", "127.0.0.1:0", "--admin", f"127.0.0.1:{admins[0]}"], d + "/edge.log")
    for a in admins:
        eventually(lambda: get(f"http://127.0.0.1:{a}/readyz") == "ok\n", 60, "the cluster ready")
    return admins


def get(url):
    with urllib.request.urlopen(url, timeout=5) as r:
        return r.read().decode()


def eventually(condition, seconds, what):
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.2)  # between looks
    raise SystemExit(f"not within {seconds} s: {what}")


def start(argv, log):
    p = subprocess.Popen(argv, stdout=open(log, "w"), stderr=subprocess.STDOUT)
    processes.append(p)
    return p


def compressed(url):
    """As Prometheus asks: OpenMetrics, by gzip. It is the same page."""
    ask = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
                                               "Accept-Encoding": "gzip"})
    with urllib.request.urlopen(ask, timeout=5) as r:
        small = r.read()
        kind = r.headers["Content-Type"], r.headers["Content-Encoding"]
    page = gzip.decompress(small).decode()
    if kind != ("application/openmetrics-text; version=1.0.0; charset=utf-8", "gzip") or not page.endswith("\n# EOF\n"):
        raise SystemExit(f"not OpenMetrics by gzip: {kind} … {page[-100:]!r}")
    names = {l.split("{")[0].split(" ")[0] for l in page.splitlines() if l and not l.startswith("#")}
    plain = {l.split("{")[0].split(" ")[0] for l in get(url).splitlines() if l and not l.startswith("#")}
    if names != plain:
        raise SystemExit(f"the formats differ: {names ^ plain}")
    print(f"{len(page.splitlines())} lines, {len(page)} bytes, {len(small)} compressed")


def queries():
    """(where, PromQL) of all panels and rules, with Grafana's variables filled in."""
    for path in glob.glob(source + "/metrics/grafana/*.json"):
        for panel in json.load(open(path))["panels"]:
            for t in panel.get("targets", []):
                q = sooner(t["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*").replace("$namespace", ".*"))
                yield f"{os.path.basename(path)}: {panel['title']}", q
    text = open(source + "/metrics/prometheus/berth.rules.yaml").read()
    for name in sorted(set(re.findall(r"\bberth_[a-z0-9_]+(?:\{[^}]*\})?", text))):
        yield f"rules: {name}", name


def main():
    sections()
    rules = source + "/metrics/prometheus/"
    subprocess.run(["promtool", "check", "rules", rules + "berth.rules.yaml"], check=True)
    subprocess.run(["promtool", "test", "rules", *sorted(glob.glob(rules + "*_test.yaml"))], check=True)
    with tempfile.TemporaryDirectory() as d:
        mqtt, admin, prom = free_port(), free_port(), free_port()
        with open(d + "/registry.yaml", "w") as f:
            f.write("tenants: [{name: acme, sites: [{name: n}], devices: [{name: c, site: n, credentials: [{auth_id: c, password: p}]}]}]\n")
        with open(d + "/uplinks.yaml", "w") as f:  # to a platform that is away: its figures are there
            f.write(f"uplinks:\n  - {{name: up, kind: mqtt, url: 'mqtt://127.0.0.1:{free_port()}', topics: ['uplink/#']}}\n")
        with open(d + "/berth.yaml", "w") as f:
            f.write(f"uplinks: {{file: {d}/uplinks.yaml}}\n")
            f.write(f"registry: {{source: file, file: {d}/registry.yaml}}\n"
                    f"mqtts: {{listen: 127.0.0.1:0, cert_file: {d}/x.crt, key_file: {d}/x.key}}\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90",
                        "-subj", "/CN=x", "-keyout", d + "/x.key", "-out", d + "/x.crt"], check=True, capture_output=True)
        os.chmod(d + "/x.key", 0o600)
        start([berth, "serve", "--config", d + "/berth.yaml", "--mqtt", f"127.0.0.1:{mqtt}", "--admin", f"127.0.0.1:{admin}", "--data", d + "/data", "--anonymous"], d + "/berth.log")
        eventually(lambda: get(f"http://127.0.0.1:{admin}/readyz") == "ok\n", 30, "gateway ready")
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(mqtt), "-u", "c@acme", "-P", "p", "-t", "v1/event/x", "-m", "1"], check=True)
        others = cluster(d)
        with open(rules + "berth.rules.yaml", encoding="utf-8") as f, open(d + "/rules.yaml", "w", encoding="utf-8") as faster:
            faster.write(sooner(f.read()))
        with open(d + "/prometheus.yml", "w") as f:
            f.write("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n"
                    f"scrape_configs: [{{job_name: berth, static_configs: [{{targets: {[f'127.0.0.1:{p}' for p in (admin, *others)]}}}]}}]\n")
        start(["prometheus", f"--config.file={d}/prometheus.yml", f"--storage.tsdb.path={d}/tsdb", f"--web.listen-address=127.0.0.1:{prom}"], d + "/prometheus.log")
        eventually(lambda: "Ready" in get(f"http://127.0.0.1:{prom}/-/ready"), 30, "prometheus ready")
        lint = subprocess.run(["promtool", "check", "metrics"], input=get(f"http://127.0.0.1:{admin}/metrics"), text=True, capture_output=True)
        if lint.stdout + lint.stderr:
            raise SystemExit("promtool check metrics:\n" + lint.stdout + lint.stderr)
        compressed(f"http://127.0.0.1:{admin}/metrics")
        shown(get(f"http://127.0.0.1:{p}/metrics") for p in (admin, *others))
        loader = start([load, "durable", "--port", str(mqtt), "--subs", "5", "--rate", "500", "--messages", "30000"], d + "/load.log")

        def ask(q):
            r = json.loads(get(f"http://127.0.0.1:{prom}/api/v1/query?" + urllib.parse.urlencode({"query": q})))
            values = [s["value"][1] for s in r["data"]["result"]]
            return bool(values) and ("histogram_quantile" in q or all(v not in ("NaN", "+Inf") for v in values))

        n = 0
        known = sources()
        for where, q in queries():
            if any(m in q for m in ELSEWHERE):
                continue
            unknown = [m for m in re.findall(r"\bberth_[a-z0-9_]+", q) if m not in known and re.sub("_(bucket|count|sum)$", "", m) not in known]
            if unknown:
                raise SystemExit(f"{where}: no such metric {unknown}")
            eventually(lambda: ask(q), 30, f"{where}: {q}")
            n += 1
        r = json.loads(get(f"http://127.0.0.1:{prom}/api/v1/rules"))
        for g in r["data"]["groups"]:
            for rule in g["rules"]:
                if rule["health"] != "ok":
                    raise SystemExit(f"rule {rule['name']}: {rule.get('lastError')}")
        print(f"{n} queries return data, {sum(len(g['rules']) for g in r['data']['groups'])} rules evaluate")


try:
    main()
finally:
    for p in processes:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
