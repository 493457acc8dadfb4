#!/usr/bin/env python3
"""The chart k8s/chart/berth: its schema, what it renders for all profiles and for values at random, against the types of the API
(unknown fields too), Pod Security, promtool and yamllint; Secrets that are made once; and the rendered pods' commands, files,
probes and end with the real binary on loopback.

  chart_test.py SOURCE CACHE [--berth BERTH] [--seed N] [--count N] [--write]

--write makes anew what is rendered from the chart: k8s/*/rendered.yaml and the table of values in docs/operations.md; the copies in
k8s/chart/berth/files; and k8s/kubesphere/dashboards.yaml.
Ends with 77 where helm can't be had.
"""
import argparse, base64, glob, http.server, json, os, re, shutil, socket, subprocess, sys, tempfile, threading

try:
    import yaml
except ImportError:  # another Python than Debian's
    if sys.executable == "/usr/bin/python3" or subprocess.run(["/usr/bin/python3", "-c", "import yaml"], capture_output=True).returncode:
        print("skipped: needs python3-yaml")
        sys.exit(77)
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chart as charts
import random_values
import settings_schema
from chart import Refused, named
import app_package
import images
import network
import outage
import rollout
from loopback import Cluster, Pod, eventually, free_port
from mqtt import Client

VERSIONS = ("1.25.0", "1.33.1")  # of Kubernetes: the oldest that the chart admits, and one that has all
failures = []


def fail(text):
    failures.append(text)
    print("FAIL", text)


def check(true, text):
    if not true:
        fail(text)


def profiles(chart):
    for path in sorted(glob.glob(chart.path + "/ci/*-values.yaml")):
        chart.run("lint", chart.path, "-f", path, "--strict")
        for version in VERSIONS:
            for f in charts.faults(chart.objects(path, "--kube-version", version)):
                fail(f"{os.path.basename(path)}, Kubernetes {version}: {f}")
    try:
        chart.objects({}, "--kube-version", "1.24.0")
        fail("Kubernetes 1.24 is admitted")
    except Refused:
        pass


def packaged(chart):
    """What people install: links to files of the repository are files in it."""
    chart.run("package", chart.path, "-d", chart.scratch)
    (package,) = glob.glob(chart.scratch + "/berth-*.tgz")
    values = chart.path + "/ci/cluster-full-values.yaml"
    rules = lambda path: named([o for o in yaml.safe_load_all(chart.run("template", "berth", path, "-f", values)) if o], "PrometheusRule", "berth")
    check(rules(package) == rules(chart.path), "a package renders something else")
    check(not [p for p in glob.glob(chart.path + "/**", recursive=True) if os.path.islink(p)], "a link leads nowhere where the chart alone was copied")
    check(os.path.getsize(package) < 500_000, "Helm keeps a release in a Secret: 1 MiB at most")


def chance(chart, schema, seed, count):
    rendered = 0
    for n in range(seed, seed + count):
        values = random_values.values(n, schema)
        try:
            objects = chart.objects(values, "--kube-version", VERSIONS[n % 2])
        except Refused as e:  # with a sentence of _validate.tpl, never by an error of a template
            check("execution error at (berth/templates/configmap.yaml:1:4)" in str(e), f"--seed {n}: {e}")
            continue
        rendered += 1
        for f in charts.faults(objects):
            fail(f"--seed {n}: {f}: {json.dumps(values)}")
    check(rendered >= count / 3, f"only {rendered} of {count} random values were rendered")
    return rendered


def refusals(chart, schema):
    for tree, paths in (random_values.of_wrong_types(schema), random_values.with_misspelt(schema)):
        try:
            chart.text(tree)
            fail("wrong values are taken")
        except Refused as e:
            lines = str(e)
            for p in paths:
                check(re.search(r"^- (\(root\)\.)?" + re.escape(p) + r"(\.\d+)?: ", lines, re.M), f"{p}: a wrong value is taken")
    full = {"profile": "cluster", "redis": {"existingSecret": "r"}}
    for key, value in random_values.REFUSED:  # by the schema, at their place
        try:
            chart.text(random_values.tree_of(key, value))
            fail(f"{'.'.join(key)}: {value} is taken")
        except Refused as e:
            check(f"- {key[0]}" in str(e), f"{'.'.join(key)}: {value}: {e}")
    try:
        chart.text({}, name="7up")
        fail("a release 7up makes Services that Kubernetes refuses")
    except Refused as e:
        check("fullnameOverride" in str(e), str(e))
    names = {o["metadata"]["name"] for o in chart.objects({}, name="a.b")}
    check(not [n for n in names if "." in n], f"release a.b: {names}")
    for values, word in [
            ({"profile": "cluster"}, "redis.url"), ({"redis": {"url": "redis://a", "existingSecret": "b"}}, "give one of"),
            ({**full, "edge": {"kind": "DaemonSet"}}, "edge.daemonSet.namespace"), ({**full, "link": {"certificates": "existing"}}, "link.engineSecret"),
            ({**full, "edge": {"kind": "DaemonSet", "daemonSet": {"namespace": "e"}, "autoscaling": {"enabled": True}}}, "autoscaling"),
            ({**full, "edge": {"maxConnections": 1000000, "drain": {"perSecond": 1}}}, "raise perSecond"),
            ({"config": {"admin": {"listen": "0.0.0.0:1"}}}, "config.admin.listen"), ({**full, "edge": {"config": {"drain_seconds": 3}}}, "edge.config.drain_seconds"),
            ({"listeners": {"mqtts": {"enabled": True}}}, "need a certificate"), ({"listeners": {"park": {"port": 9180}}}, "port of something else"),
            ({"listeners": {"park": {"servicePort": 1883}}}, "listeners.park.servicePort"), ({"listeners": {"mqtt": {"nodePort": 31000}, "park": {"nodePort": 31000}}}, "listeners.park.nodePort"),
            ({"listeners": {"mqtt": {"enabled": False}, "park": {"enabled": False}}}, "one of them must be enabled"),
            ({"redis": {"bundled": {"existingSecret": "s"}}}, "redis.bundled.existingSecret"),
            ({"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}, "twice")]:
        try:
            chart.text(values)
            fail(f"{values} is taken")
        except Refused as e:
            check(word in str(e), f"{values}: {e}")


# Edges with a namespace of their own, and TLS of cert-manager.
ISSUER = {"enabled": True, "issuerRef": {"name": "i", "kind": "ClusterIssuer"}, "dnsNames": ["a.example"]}
APART = {"profile": "cluster", "redis": {"existingSecret": "r"}, "edge": {"kind": "DaemonSet", "daemonSet": {"namespace": "berth-edge"}},
         "listeners": {"mqtts": {"enabled": True}}, "tls": {"certManager": ISSUER, "clientCertificates": "required"},
         "monitoring": {"podMonitor": {"enabled": True}}}


def secrets_of(chart):
    """Each Secret that a pod mounts is made in the pod's namespace: by the chart, by cert-manager, or it is named in the values."""
    for user in ("connect", "common_name"):
        objects = chart.objects({**APART, "tls": {**APART["tls"], "userName": user}})
        for f in charts.faults(objects):
            fail(f"edges with a namespace of their own: {f}")
        at = lambda o: o["metadata"].get("namespace", "berth")
        made = {(at(o), o["metadata"]["name"] if o["kind"] == "Secret" else o["spec"]["secretName"]) for o in objects if o["kind"] in ("Secret", "Certificate")}
        for o, pod in charts.pods_of(objects):
            for v in pod["spec"]["volumes"]:
                names = [v["secret"]["secretName"]] if "secret" in v else [s["secret"]["name"] for s in v.get("projected", {}).get("sources", []) if "secret" in s]
                for n in names:
                    check(n == "r" or (at(o), n) in made, f"tls.userName {user}: {o['kind']}/{o['metadata']['name']}: no Secret {n} in namespace {at(o)}")


def notes(chart):
    """What helm says after an install: where the Secrets of one's own belong, as docs/operations.md has it."""
    copy = os.path.join(chart.scratch, "notes", "berth")
    shutil.copytree(chart.path, copy)
    os.rename(copy + "/templates/NOTES.txt", copy + "/notes")
    with open(copy + "/templates/notes.yaml", "w", encoding="utf-8") as f:
        f.write('apiVersion: v1\nkind: Notes\nmetadata: {name: notes}\ntext: |\n  {{- tpl (.Files.Get "notes") . | nindent 2 }}\n')
    values = {**APART, "image": {"pullSecrets": ["reg"]}, "admin": {"token": {"existingSecret": "tok"}},
              "tls": {"existingSecret": "dev", "clientCertificates": "required", "ticketKey": {"existingSecret": "tick"}}}
    path = os.path.join(chart.scratch, "notes.yaml")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(values, f)
    said = named([o for o in yaml.safe_load_all(chart.run("template", "berth", copy, "-n", "berth", "-f", path)) if o], "Notes", "notes")["text"]
    for line in ("reg (image.pullSecrets): berth and berth-edge", "tok (admin.token.existingSecret): berth and berth-edge", "dev (tls.existingSecret): berth-edge",
                 "tick (tls.ticketKey.existingSecret): berth-edge", "r (redis.existingSecret): berth"):
        check(f"\n  {line}\n" in said + "\n", f"NOTES: no {line!r}: {said}")
    with open(chart.source + "/docs/operations.md", encoding="utf-8") as f:
        text = f.read()
    for name in re.findall(r"^  \S+ \((.*)\): berth", said, re.M):
        check(re.search(rf"^\| [^|]*`{re.escape(name)}`", text.split("### Secrets that you create")[1], re.M), f"docs/operations.md: no place of {name}")


def bundled(chart):
    """A Secret of one's own renders the same each time; what is kept in Redis fits."""
    values = {"profile": "cluster", "redis": {"bundled": {"enabled": True, "existingSecret": "mine"}}, "cluster": {"partitions": 4},
              "link": {"certificates": "existing", "engineSecret": "a", "edgeSecret": "b"}, "admin": {"token": {"existingSecret": "t"}}}
    check(chart.text(values) == chart.text(values), "redis.bundled.existingSecret: the next rendering differs")
    objects = chart.objects(values)
    check(not [o for o in objects if o["kind"] == "Secret"], "redis.bundled.existingSecret: Secrets are made")
    for f in charts.faults(objects):
        fail(f"redis.bundled.existingSecret: {f}")
    stores = [v["secret"]["secretName"] for v in named(objects, "Deployment", "berth-engine")["spec"]["template"]["spec"]["volumes"] if v["name"] == "store"]
    check(stores == ["mine"], f"engines read the URL of {stores}")
    config = lambda v, role="berth-engine": yaml.safe_load(named(chart.objects(v), "ConfigMap", role)["data"]["berth.yaml"])
    held = lambda c: c["history"]["max_bytes"] + c["commands"]["keep_bytes"] + c["retained"]["max_bytes"]
    check(4 * held(config(values)) <= 1024 * 2**20 / 2, "history, commands and retained messages of all partitions fill the bundled Redis")
    single = {"redis": {"bundled": {"enabled": True, "maxMemoryMb": 512}}}
    check(held(config(single, "berth-serve")) <= 512 * 2**20 / 2, "the same of profile single")
    own = config({**values, "config": {"history": {"max_bytes": 7000000}}})
    check(own["history"]["max_bytes"] == 7000000, "settings of the values count more")
    check("history" not in config(values, "berth-edge"), "edges are replaced when Redis' memory changes")
    rules = named(chart.objects({**values, "monitoring": {"prometheusRule": {"enabled": True}}}), "PrometheusRule", "berth")["spec"]
    (alert,) = rules["groups"][-1]["rules"]
    check(alert["alert"] == "BerthRedisFilling", "the alert of the bundled Redis")
    counted = 4 * sum(config(values)[section][key] for section, key in (("history", "max_bytes"), ("commands", "keep_bytes")))
    limit = int(alert["expr"].rsplit("> ", 1)[1])
    check(counted < limit and 2.1 * limit + 1.6 * 4 * config(values)["retained"]["max_bytes"] < 1024 * 2**20, "the alert fires always, or when Redis is full")
    promtool(chart, "bundled", rules)


def log_format(chart):
    """The image's variable would override the file."""
    for config, wanted in (({}, "ecs"), ({"config": {"log": {"format": "text"}}}, "text"), ({"engine": {"config": {"log": {"format": "text"}}}}, "text")):
        env = named(chart.objects({"profile": "cluster", "redis": {"existingSecret": "r"}, **config}), "Deployment", "berth-engine")["spec"]["template"]["spec"]["containers"][0]["env"]
        check([e["value"] for e in env if e["name"] == "BERTH_LOG_FORMAT"] == [wanted], f"BERTH_LOG_FORMAT with {config}: {env}")


def example(chart):
    """The values of docs/operations.md render."""
    with open(chart.source + "/docs/operations.md", encoding="utf-8") as f:
        blocks = re.findall(r"^```yaml\n(# values\.yaml\n.*?)^```$", f.read(), re.M | re.S)
    check(len(blocks) >= 1, "docs/operations.md: no values.yaml")
    for block in blocks:
        for f in charts.faults(chart.objects(yaml.safe_load(block))):
            fail(f"docs/operations.md, values.yaml: {f}")


def promtool(chart, name, groups):
    if not shutil.which("promtool"):
        return
    path = os.path.join(chart.scratch, name + ".yaml")
    with open(path, "w", encoding="utf-8") as f:
        yaml.safe_dump(groups, f)
    done = subprocess.run(["promtool", "check", "rules", path], text=True, capture_output=True, timeout=60)
    check(done.returncode == 0, done.stdout + done.stderr)


def shapes(chart):
    """What the values decide."""
    full = {"profile": "cluster", "redis": {"existingSecret": "r"}}
    spec = lambda values, kind, name, *flags: named(chart.objects(values, *flags), kind, name)["spec"]
    edge = spec({**full, "edge": {"maxConnections": 5000, "drain": {"perSecond": 100, "lingerSeconds": 7}}}, "Deployment", "berth-edge")
    check(edge["template"]["spec"]["terminationGracePeriodSeconds"] == 7 + 50 + 20 + 15, "grace of an edge")
    check(edge["minReadySeconds"] >= 7 + 50, "an edge drains before the next one begins")
    stop = ["berth", "ctl", "drain", "--wait", "--stay", "--timeout"]
    check(edge["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == [*stop, str(7 + 50 + 20 + 5)], "preStop")
    daemon = {**full, "edge": {"kind": "DaemonSet", "daemonSet": {"namespace": "e"}, "maxConnections": 90000, "drain": {"perSecond": 100}}}
    own = spec(daemon, "DaemonSet", "berth-edge")["template"]["spec"]["containers"][0]
    for probe, verb in (("startupProbe", "started"), ("readinessProbe", "ready"), ("livenessProbe", "live")):
        check(own[probe]["exec"]["command"] == ["berth", "ctl", "--timeout", "4", verb] and own[probe]["timeoutSeconds"] >= 5, f"{probe} of a DaemonSet")
    check(own["startupProbe"]["periodSeconds"] * own["startupProbe"]["failureThreshold"] > 900 + 20, "a new pod waits for the old one's TLS connections")
    config = lambda values, name: yaml.safe_load(named(chart.objects(values), "ConfigMap", name)["data"]["berth.yaml"])
    drains = config({**full, "edge": {"maxConnections": 5000, "drain": {"perSecond": 100}}}, "berth-edge")
    check((drains["cluster"]["drain_per_s"], drains["drain_seconds"], drains["drain"], drains["mqtt"]["max_connections"]) == (100, 70, {"linger_s": 10}, 5000),
          f"drain {drains}")
    check("replicas" not in spec({**full, "edge": {"autoscaling": {"enabled": True}}}, "Deployment", "berth-edge"), "replicas beside the autoscaler")
    # Other values of engines, a new chart or other settings of engines replace no edge.
    pods = lambda values: named(chart.objects(values), "Deployment", "berth-edge")["spec"]["template"]
    check(pods(full) == pods({**full, "engine": {"replicas": 9, "config": {"session": {"per_device": 2}}}}), "engines' settings replace edges")
    check(pods({**full, "edge": {"image": {"tag": "1"}}}) == pods({**full, "image": {"tag": "2"}, "edge": {"image": {"tag": "1"}}}), "engines' image replaces edges")
    check(pods(full) != pods({**full, "edge": {"config": {"mqtt": {"fresh_s": 1}}}}), "edges' settings do not replace edges")
    service = spec({"service": {"ipFamilyPolicy": "PreferDualStack"}, "listeners": {"mqtt": {"nodePort": 31000}}}, "Service", "berth")
    check(service["ipFamilyPolicy"] == "PreferDualStack" and service["ports"][0]["nodePort"] == 31000, "dual stack, node port")


def generated_once(chart):
    """A second `helm upgrade` makes no new Secrets: helm asks a server that plays the API."""
    stored = {}

    class Api(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            path = self.path.split("?")[0]
            name = path.rsplit("/", 1)[1]
            answers = {"/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}, "/api": {"kind": "APIVersions", "versions": ["v1"]},
                       "/apis": {"kind": "APIGroupList", "groups": []},
                       "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
                           {"name": n + "s", "singularName": n, "namespaced": True, "kind": k, "verbs": ["get"]} for n, k in (("secret", "Secret"), ("configmap", "ConfigMap"))]}}
            body = answers.get(path) or stored.get(path) or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                                                            "message": name + " not found"}
            text = json.dumps(body).encode()
            self.send_response(body.get("code", 200))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        config = os.path.join(chart.scratch, "kubeconfig")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                       "users": [{"name": "a", "user": {}}], "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]}, f)

        def secrets(values):
            found = [o for o in chart.objects(values, "--dry-run=server", env={"KUBECONFIG": config}) if o["kind"] == "Secret"]
            return {f"/api/v1/namespaces/{o['metadata'].get('namespace', 'berth')}/secrets/{o['metadata']['name']}": o for o in found}

        values = {"profile": "cluster", "redis": {"existingSecret": "r"}, "listeners": {"mqtts": {"enabled": True}}, "tls": {"existingSecret": "t"},
                  "edge": {"kind": "DaemonSet", "daemonSet": {"namespace": "berth-edge"}}}
        first = secrets(values)
        check({p.rsplit("/", 1)[1] for p in first} == {"berth-admin", "berth-ticket", "berth-link-ca", "berth-engine-link", "berth-edge-link"}, f"Secrets {list(first)}")
        check(first != secrets(values), "Secrets that are not stored can't stay")
        for path, o in first.items():
            check(o["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", f"{path} would go with the release")
        stored.update(first)
        check(secrets(values) == first, "an upgrade makes new Secrets")
        for path in list(first):  # old enough: new certificates of the same authority
            if path.endswith("-link"):
                stored[path] = {**first[path], "metadata": {**first[path]["metadata"], "annotations": {"berth.io/issued": "1"}}}
        renewed = secrets(values)
        for path in first:
            same = renewed[path]["data"] == first[path]["data"]
            check(same != path.endswith("-link"), f"{path} after renewAfterDays")
        engine = next(o for o in chart.objects(values) if o["metadata"]["name"] == "berth-engine" and o["kind"] == "ConfigMap")
        stored["/api/v1/namespaces/berth/configmaps/berth-engine"] = engine
        secrets({**values, "cluster": {"partitions": 1}})
        try:
            secrets({**values, "cluster": {"partitions": 2}})
            fail("an upgrade may change cluster.partitions")
        except Refused as e:
            check("cluster.partitions: the release has 1" in str(e), str(e))
        device = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t", "namespace": "berth"}, "data": {}}
        stored["/api/v1/namespaces/berth/secrets/t"] = device
        try:
            secrets(values)
            fail("a Secret that edges mount may be in the engines' namespace alone")
        except Refused as e:
            check("tls.existingSecret: the Secret t is in namespace berth, and pods of edges mount it in berth-edge" in str(e), str(e))
        stored["/api/v1/namespaces/berth-edge/secrets/t"] = device
        secrets(values)
        tokens = [o["data"] for p, o in first.items() if p.endswith("berth-admin")]
        check(len(tokens) == 2 and tokens[0] == tokens[1], "edges have another token than engines")
        ticket = next(o for p, o in first.items() if p.endswith("ticket"))["data"]["ticket.key"]
        check(len(base64.b64decode(ticket)) == 80, "ticket key")
        directory = os.path.join(chart.scratch, "pem")
        os.makedirs(directory)
        for s in (first, renewed):
            for path, o in s.items():
                if path.endswith("-link"):
                    for key in ("ca.crt", "tls.crt"):
                        with open(os.path.join(directory, key), "wb") as f:
                            f.write(base64.b64decode(o["data"][key]))
                    subprocess.run(["openssl", "verify", "-CAfile", directory + "/ca.crt", directory + "/tls.crt"], check=True, capture_output=True)
    finally:
        server.shutdown()
        server.server_close()


def tools(chart):
    """promtool over the rules as they come out; yamllint over what people read and what comes out."""
    text = chart.text(chart.path + "/ci/cluster-full-values.yaml")
    objects = [o for o in yaml.safe_load_all(text) if o]
    rules = named(objects, "PrometheusRule", "berth")["spec"]
    urls = [r["annotations"]["runbook_url"] for g in rules["groups"] for r in g["rules"] if "alert" in r]
    check(urls and all(u.startswith("https://git.example.com/berth/blob/main/docs/operations.md#") for u in urls), f"runbook_url {urls[:1]}")
    with open(chart.path + "/files/runbook.markdown", encoding="utf-8") as f:
        titles = {"#" + t.lower() for t in re.findall(r"^### (\w+)$", f.read(), re.M)}
    for u in urls:
        check("#" + u.split("#")[1] in titles, f"{u}: no such paragraph")
    for o in objects:
        if o["metadata"]["name"].endswith("-dashboard"):
            (board,) = o["data"].values()
            check(json.loads(board)["panels"], o["metadata"]["name"])
    adapter = yaml.safe_load(named(objects, "ConfigMap", "berth-prometheus-adapter")["data"]["rules.yaml"])[0]
    hpa = named(objects, "HorizontalPodAutoscaler", "berth-edge")["spec"]
    check(adapter["name"]["as"] == hpa["metrics"][0]["pods"]["metric"]["name"], "the adapter's rule makes another metric")
    check(hpa["metrics"][0]["pods"]["target"]["averageValue"] == "14000", "70 % of maxConnections")
    query = adapter["metricsQuery"].replace("<<.Series>>", "berth_connections").replace("<<.LabelMatchers>>", 'namespace="a",pod=~"b|c"').replace("<<.GroupBy>>", "pod")
    promtool(chart, "rules", rules)
    promtool(chart, "adapter", {"groups": [{"name": "a", "rules": [{"record": "a", "expr": query}]}]})
    if not shutil.which("yamllint"):
        return print("no yamllint here")
    rendered = os.path.join(chart.scratch, "rendered.yaml")
    with open(rendered, "w", encoding="utf-8") as f:
        f.write(text)
    own = [chart.path + "/values.yaml", chart.path + "/Chart.yaml", *glob.glob(chart.path + "/ci/*.yaml"), *glob.glob(chart.source + "/k8s/*/kustomization.yaml")]
    for files, config in ((own, "{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"),
                          ([rendered], "{extends: relaxed, rules: {line-length: disable, trailing-spaces: disable}}")):
        done = subprocess.run(["yamllint", "--strict", "-d", config, *files], text=True, capture_output=True, timeout=60)
        check(done.returncode == 0, done.stdout)


# -- what is rendered from the chart and stands in the repository

def plain_manifest(chart, directory):
    """For kubectl: without helm's labels; Secrets are the operator's."""
    text = chart.text(os.path.join(directory, "values.yaml"))
    lines = [l for l in text.splitlines() if not l.startswith("# Source: ") and not l.strip().startswith("helm.sh/chart:") and l.strip()]
    return ("# Rendered from k8s/chart/berth with the values.yaml beside it: `scripts/k8s-check --write` makes it anew.\n"
            + "\n".join(lines).replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl") + "\n")


def plain(chart, write):
    directories = [os.path.dirname(p) for p in sorted(glob.glob(chart.source + "/k8s/*/values.yaml"))]
    check(len(directories) == 3, f"plain manifests: {directories}")
    for d in directories:
        text = plain_manifest(chart, d)
        path = os.path.join(d, "rendered.yaml")
        if write:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        with open(path, encoding="utf-8") as f:
            there = f.read()
        check(there == text, f"{path} is not what the chart renders: scripts/k8s-check --write")
        objects = [o for o in yaml.safe_load_all(text) if o]
        check(not [o for o in objects if o["kind"] in ("Secret", "Pod")], f"{path}: Secrets or tests")
        for f in charts.faults(objects):
            fail(f"{path}: {f}")
        with open(os.path.join(d, "kustomization.yaml"), encoding="utf-8") as f:
            check(yaml.safe_load(f)["resources"] == ["rendered.yaml"], f"{d}: kustomization")


def table(schema, defaults):
    rows = ["| value | default | what |", "|---|---|---|"]
    def add(properties, at, prefix):
        for name, s in properties.items():
            if name == "global":
                continue
            if "properties" in s and name not in ("resources", "issuerRef") and name not in LISTENERS_AS_MQTT:
                add(s["properties"], at[name], f"{prefix}{name}.")
            elif name in LISTENERS_AS_MQTT:
                state = "enabled" if at[name]["enabled"] else "off"
                rows.append(f"| `{prefix}{name}` | {state}, {at[name]['port']} | {s['description']}; fields as those of `mqtt` |")
            else:
                value = json.dumps(at[name]).replace("|", "\\|")
                what = s["description"].replace("|", "\\|")
                if "enum" in s:
                    what = ", ".join(f"`{e}`" for e in s["enum"]) + ". " + what
                rows.append(f"| `{prefix}{name}` | {'' if value in ('{}', '[]', chr(34) * 2) else f'`{value}`'} | {what} |")
    add(schema["properties"], defaults, "")
    return "\n".join(rows) + "\n"


LISTENERS_AS_MQTT = ("mqtts", "ws", "wss", "park", "parks")
BEGIN, END = "<!-- values of the chart: scripts/k8s-check --write -->\n", "<!-- end of values -->\n"


def documented(chart, schema, write):
    with open(chart.path + "/values.yaml", encoding="utf-8") as f:
        defaults = yaml.safe_load(f)
    for path, s in random_values.leaves(schema):
        at = defaults
        for name in path:
            if path[0] == "global" or name in ("requests", "limits") or "issuerRef" in path:
                break
            check(isinstance(at, dict) and name in at, f"values.yaml has no {'.'.join(path)}")
            at = at.get(name) if isinstance(at, dict) else None
        check(len(s.get("description", "")) > 3, f"{'.'.join(path)}: no description")
    path = chart.source + "/docs/operations.md"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    there, after = rest.split(END)
    wanted = table(schema, defaults)
    if write and there != wanted:
        with open(path, "w", encoding="utf-8") as f:
            f.write(before + BEGIN + wanted + END + after)
    elif there != wanted:
        fail(f"{path}: the table of values is not that of the schema: scripts/k8s-check --write")


def runbook(source):
    """The chapters of docs/operations.md that somebody with the chart alone needs."""
    with open(source + "/docs/operations.md", encoding="utf-8") as f:
        chapters = re.split(r"^(?=## )", f.read(), flags=re.M)
    wanted = [c for c in chapters if c.startswith(("## Kubernetes\n", "## Alerts\n"))]
    check(len(wanted) == 2, "docs/operations.md: Kubernetes and Alerts")
    return "# Berth in Kubernetes, and its alerts\n\nTwo chapters of Berth's docs/operations.md; links lead to that file and to others of docs.\n\n" + "".join(wanted)


def copies(chart, write):
    """Files of the chart that have their source elsewhere: no links, since the chart alone may be copied into another repository."""
    wanted = {"runbook.markdown": runbook(chart.source), "settings.json": subprocess.run(
        [sys.executable, chart.source + "/k8s/chart/settings.py"], check=True, timeout=60, text=True, capture_output=True).stdout}
    for path in [*glob.glob(chart.source + "/metrics/grafana/*.json"), chart.source + "/metrics/prometheus/berth.rules.yaml"]:
        with open(path, encoding="utf-8") as f:
            wanted[os.path.basename(path)] = f.read()
    for name, text in wanted.items():
        path = os.path.join(chart.path, "files", name)
        if write:
            if os.path.islink(path):
                os.remove(path)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        there = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                there = f.read()
        check(there == text, f"{path} is no copy of its source: scripts/k8s-check --write")


# -- with the real binary

def wrong_settings(chart):
    for values, word in settings_schema.refused(chart):
        try:
            chart.text(values)
            fail(f"{values} is taken")
        except Refused as e:
            check(word in str(e), f"{values}: {e}")
    big = chart.text({"config": {"commands": {"keep_bytes": 8589934592}}})
    check("keep_bytes: 8589934592" in big, "a large number is written with an exponent")


def certificates(d):
    """A Secret of TLS."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9", "-subj", "/CN=x",
                    "-keyout", d + "/k", "-out", d + "/c"], check=True, capture_output=True)
    return {k: open(os.path.join(d, f), "rb").read() for k, f in (("tls.key", "k"), ("tls.crt", "c"), ("ca.crt", "c"))}


def settings(chart, berth):
    """Every profile's files of settings are good ones, with paths that are there: check-config says so."""
    with tempfile.TemporaryDirectory(dir=chart.scratch) as d:
        pem = certificates(d)
        secrets = {"device-tls": {**pem, "crl.pem": crl(d)}, "berth-tls": pem, "berth-redis": {"url": b"redis://127.0.0.1:1"}, "berth-store": {"url": b"redis://127.0.0.1:1"},
                   "berth-redis-tls": pem, "berth-users": {"passwords": b"u:$7$1000$c2FsdHNhbHQ=$" + base64.b64encode(b"x" * 64) + b"\n", "acl": b"topic readwrite #\n"},
                   "berth-tracing": {"headers": b"Authorization: Bearer t\n", "ca.crt": b""},
                   "berth-uplinks": {"uplinks.yaml": b"uplinks:\n  - {name: up, kind: mqtt, url: 'mqtt://127.0.0.1:1'}\n"}}
        for n, path in enumerate(sorted(glob.glob(chart.path + "/ci/*-values.yaml"))):
            objects = chart.objects(path)
            for m, (o, _) in enumerate(charts.pods_of(objects)):
                if o["kind"] == "Pod" or o["metadata"]["name"] == "berth-redis":
                    continue
                own = dict(secrets)
                if "cert-manager" in path:
                    own |= {"berth-edge-link": pem, "berth-engine-link": pem}
                pod = Pod(berth, os.path.join(d, f"{n}-{m}"), objects, o["kind"], o["metadata"]["name"], own)
                for f in pod.check_config():
                    fail(f"{os.path.basename(path)}, {o['metadata']['name']}: {f}")


def crl(d):
    with open(d + "/ca.cnf", "w", encoding="utf-8") as f:
        f.write(f"[ca]\ndefault_ca=a\n[a]\ndatabase={d}/index\ndefault_md=sha256\ndefault_crl_days=9\n")
    open(d + "/index", "w", encoding="utf-8").close()
    subprocess.run(["openssl", "ca", "-config", d + "/ca.cnf", "-gencrl", "-keyfile", d + "/k", "-cert", d + "/c", "-out", d + "/crl"], check=True, capture_output=True)
    with open(d + "/crl", "rb") as f:
        return f.read()


def names_answered(objects, pods):
    """Each Service with the admin port, by each of its names: the process knows the name."""
    for o in objects:
        if o["kind"] != "Service" or "admin" not in [p["name"] for p in o["spec"]["ports"]]:
            continue
        pod = pods[o["spec"]["selector"]["app.kubernetes.io/component"]]
        for suffix in ("", ".berth", ".berth.svc", ".berth.svc.cluster.local"):
            host = o["metadata"]["name"] + suffix
            check(pod.get("/readyz", Host=host) == 200, f"Host {host} is not allowed")


def through_the_service(berth, objects, command, pod):
    """The test of the devices' listeners, with a pod's ports instead of the Service's; and that it fails where nobody listens."""
    service = named(objects, "Service", "berth")["spec"]
    ports = {p["name"]: p["containerPort"] for p in pod.container.get("ports", [])}
    at = command.index("knock") + 1
    doors = {re.sub(r"^(\w+)://.*", r"\1", d): int(re.search(r":(\d+)(/|$)", d).group(1)) for d in command[at:]}
    check(doors == {p["name"]: p["port"] for p in service["ports"]}, f"helm test knocks at {doors}")
    paths = {d.split("://")[0]: re.sub(r"^\w+://[^/]+", "", d) for d in command[at:]}
    where = [f"{p['name']}://{pod.address}:{ports.get(p['targetPort'], p['targetPort'])}{paths[p['name']]}" for p in service["ports"]]
    run = lambda *urls: subprocess.run([berth, *command[1:at], *urls], text=True, capture_output=True, timeout=60)
    done = run(*where)
    check(done.returncode == 0 and done.stdout.count("\n") == len(where), f"helm test, devices: {done.stdout}{done.stderr}")
    for kind in doors:
        done = run(f"{kind}://127.0.0.1:{free_port()}")
        check(done.returncode == 69 and "NO ANSWER" in done.stdout, f"nobody listens: {done.returncode} {done.stdout}{done.stderr}")


def closed_ways(berth, command):
    """The test of policies: good where nobody is reached, bad where somebody is, or where there is no such name."""
    check(command[-1] == "tcp://kubernetes.default.svc:443", f"{command}")
    run = lambda url: subprocess.run([berth, *command[1:-1], url], text=True, capture_output=True, timeout=60)
    check(run(f"tcp://127.0.0.1:{free_port()}").returncode == 0, "a closed way")
    with socket.create_server(("127.0.0.1", 0)) as open_way:
        done = run(f"tcp://127.0.0.1:{open_way.getsockname()[1]}")
        check(done.returncode == 1 and "NOT CLOSED" in done.stdout, f"an open way: {done}")
    check(run("tcp://no-such-name.invalid:443").returncode == 1, "a name that is not there proves no policy")


def test_pod(chart, berth, objects, pods):
    """The commands of `helm test`, with the address of the process instead of the Service."""
    names_answered(objects, pods)
    spec = named(objects, "Pod", "berth-test")["spec"]
    front = pods["edge" if "edge" in pods else "serve"]
    for c in spec["containers"]:
        if c["name"] == "policies":
            closed_ways(berth, c["command"])
            continue
        if c["name"] == "devices":
            through_the_service(berth, objects, c["command"], front)
            continue
        command = list(c["command"])
        at = command.index("--admin") + 1
        service = command[at].rsplit(":", 1)[0]
        pod = pods[named(objects, "Service", service.split(".")[0])["spec"]["selector"]["app.kubernetes.io/component"]]
        check(pod.get("/api/v1/status", Host=service, Authorization="Bearer " + pod.token()) == 200, f"helm test: Host {service} is not allowed")
        command[0], command[at] = berth, f"127.0.0.1:{pod.admin_port()}"
        command = [pod.here(a) if a.startswith("/etc/") else a for a in command]
        env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}
        done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=60)
        check(done.returncode == 0, f"helm test {c['name']}: {done.stdout}{done.stderr}")


def token(pod):
    with open(pod.here("/etc/berth-auth/admin-token"), encoding="utf-8") as f:
        return f.read().strip()


Pod.token = token


def single(chart, berth):
    """All listeners, and devices that must show a certificate."""
    names = ("mqtt", "mqtts", "ws", "wss", "park", "parks")
    values = {"listeners": {n: {"enabled": True, "port": free_port()} for n in names}, "admin": {"port": free_port()},
              "tls": {"existingSecret": "device-tls", "clientCertificates": "required"}, "config": {"ws": {"path": "/devices"}}}
    objects = chart.objects(values)
    with tempfile.TemporaryDirectory(dir=chart.scratch) as d:
        pod = Pod(berth, d + "/serve", objects, "StatefulSet", "berth", {"device-tls": certificates(d)})
        try:
            pod.start()
            pod.become_ready()
            test_pod(chart, berth, objects, {"serve": pod})
            pod.terminate()
        finally:
            pod.kill()


def cluster(chart, berth):
    """From nothing to ready, helm test, a rolling deploy that devices do not notice, and the end of each pod: connections end in peace, at the
    pace of the values."""
    values = {"auth": {"anonymous": "always"}, "edge": {"drain": {"perSecond": 20, "lingerSeconds": 2}, "maxConnections": 200}}
    with tempfile.TemporaryDirectory(dir=chart.scratch) as d, Cluster(chart, berth, d, values) as c:
        test_pod(chart, berth, c.objects, {"engine": c.engine, "edge": c.edge})
        devices = [Client(c.mqtt, f"d{n}", True, 60) for n in range(40)]
        c.roll_engine()
        for device in devices:
            device.publish("t", b"after the deploy")
        check(all(device.receive()[0] == 0x40 for device in devices), "a PUBACK on the same connection, of the next engine")
        took = c.edge.terminate()
        check(took >= 2 + 1.8, f"lingering for 2 s, 40 devices at 20 a second were closed in {took} s")
        for device in devices:
            try:
                device.receive()
                fail("a packet at the end of an edge")
            except TimeoutError:
                fail("an edge ended without its device")
            except ConnectionResetError:
                fail("an edge reset its device")
            except OSError:
                device.close()
        c.next_engine.terminate()
        c.redis.terminate()


def daemon_set(chart, berth):
    """An update of an edge on the nodes' network: the new pod starts beside the old one, which ends when it is told to. No device notices."""
    values = {"auth": {"anonymous": "always"}, "edge": {"kind": "DaemonSet", "daemonSet": {"namespace": "berth"}}}
    with tempfile.TemporaryDirectory(dir=chart.scratch) as d, Cluster(chart, berth, d, values) as c:
        devices = [Client(c.mqtt, f"d{n}", True, 60) for n in range(10)]
        c.next_edge.start()
        eventually("taken over", lambda: c.next_edge.log().count('"ready ') and not c.next_edge.process.poll(), 60)
        c.next_edge.become_ready()
        check(c.edge.alive(), "the old process waits for the end of its pod, else the kubelet would start it again")
        eventually("the old pod's own probes", lambda: c.edge.probe("livenessProbe") and not c.edge.probe("readinessProbe"), 10)
        check(c.edge.terminate() < 5, "the old pod has nothing to drain")
        for device in devices:
            device.publish("t", b"after the update")
            check(device.receive()[0] == 0x40, "a PUBACK on the same connection")
        c.next_edge.terminate()


def acknowledged(chart, berth):
    """What a device had acknowledged is delivered, though the chart's Redis is killed again and again, and at last with everything else."""
    with tempfile.TemporaryDirectory(dir=chart.scratch) as d, Cluster(chart, berth, d, {"auth": {"anonymous": "always"}}) as c:
        ask = subprocess.run(["redis-cli", "-p", str(c.redis_port), "config", "get", "*append*"], env=c.redis.environment(), text=True, capture_output=True, timeout=10)
        words = ask.stdout.split()
        check(words[words.index("appendfsync") + 1] == "always" and words[words.index("appendonly") + 1] == "yes", f"Redis: {words}")
        Client(c.mqtt, "service", False).subscribe("t")
        sent, got = {}, set()

        def publish(device, n):
            for _ in range(n):
                number = len(sent)
                sent[number] = device.publish("t", b"%d" % number)

        def acknowledge(device, n):
            """Waits until n more are acknowledged."""
            names = {i: number for number, i in sent.items()}
            goal = len(got) + n
            while len(got) < goal:
                kind, body = device.receive()
                if kind == 0x40:
                    got.add(names[body[0] << 8 | body[1]])

        device = Client(c.mqtt, "device", True, 60)
        for _ in range(3):
            publish(device, 150)
            acknowledge(device, 50)  # in the midst of them
            c.redis.kill()
            c.redis.start()
            c.redis.become_ready()
            acknowledge(device, len(sent) - len(got))  # the connection is the same one
        publish(device, 150)
        acknowledge(device, 60)
        for pod in (c.redis, c.engine, c.edge):
            pod.kill()
        for pod in (c.redis, c.engine, c.edge):
            pod.start()
        c.edge.become_ready()
        service, there = Client(c.mqtt, "service", False, 30), set()
        while not got <= there:
            there.add(int(service.message()))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("source")
    p.add_argument("cache")
    p.add_argument("--berth")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=30)
    p.add_argument("--write", action="store_true")
    a = p.parse_args()
    helm = charts.find_helm(a.cache)
    if not helm:
        print("skipped: no helm, and none from npm")
        sys.exit(77)
    chart = charts.Chart(helm, os.path.abspath(a.source))
    if a.write and a.berth:
        settings_schema.write(chart.path + "/values.schema.json", a.berth)
    with open(chart.path + "/values.schema.json", encoding="utf-8") as f:
        schema = json.load(f)
    with tempfile.TemporaryDirectory() as scratch:
        chart.scratch = scratch
        if a.write:
            subprocess.run([sys.executable, chart.source + "/k8s/kubesphere/dashboards.py", "--write"], check=True, timeout=60)
        plain(chart, a.write)
        documented(chart, schema, a.write)
        copies(chart, a.write)
        profiles(chart)
        packaged(chart)
        app_package.packaged(chart, check)
        rendered = chance(chart, schema, a.seed, a.count)
        refusals(chart, schema)
        shapes(chart)
        images.by_digest(chart, images.pinned(chart.source, scratch, check), check)
        rollout.settings(chart, check)
        network.tracing(chart, check)
        network.admin_port(chart, check)
        secrets_of(chart)
        notes(chart)
        bundled(chart)
        log_format(chart)
        example(chart)
        generated_once(chart)
        tools(chart)
        wrong_settings(chart)
        if a.berth:
            for f in settings_schema.faults(schema, a.berth):
                fail(f)
            settings(chart, a.berth)
            single(chart, a.berth)
            if shutil.which("redis-server"):
                cluster(chart, a.berth)
                outage.no_engine(chart, a.berth, check)
                network.admin_apart(chart, a.berth, check)
                daemon_set(chart, a.berth)
                acknowledged(chart, a.berth)
    print(f"{rendered} of {a.count} random values rendered; {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
