#!/usr/bin/env python3
"""k8s/kubesphere: the Jenkinsfile and its bounds, the agents' pods, the Dashboards against Grafana's, the quotas of both sides with
a real gateway, and the example quota of the gateway's project against what the chart renders; and a file that swaps under a real
gateway as the kubelet swaps it. KubeSphere itself is not here.

  kubesphere_test.py SOURCE CACHE [--berth BERTH]      CACHE: that of chart_test.py, which has a helm
"""
import argparse, base64, contextlib, glob, hashlib, importlib.util, json, os, re, shutil, stat, subprocess, sys, tempfile

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
from api_types import Types
from jenkinsfile import parse
from loopback import end_with_us, eventually
from mqtt import Client

failures = []


def check(true, text):
    if not true:
        failures.append(text)
        print("FAIL", text)


# -- KubeSphere's types, in the form of api_types.json: monitoring-dashboard (v1alpha2), quota (v1alpha2), ks-devops (v1alpha3)

def fields(**of):
    return {"object": {k.rstrip("_"): [1 if k.endswith("_") else 0, v] for k, v in of.items()}}


META = {"ref": "apis/meta/v1/ObjectMeta"}
AXIS = fields(decimals="number", format="string")
PANEL = fields(id="number", type_={"one of": [{"word": t} for t in ("row", "graph", "singlestat", "bargauge", "table", "text")]}, title="string",
               description="string", decimals="number", format="string", lines="boolean", bars="boolean", stack="boolean", colors={"array": "string"},
               legend={"array": "string"}, yaxes={"array": AXIS}, xaxis=AXIS,
               targets={"array": fields(refId="number", expr="string", legendFormat="string", step="string")})
QUOTA = {"ref": "kubernetes-models/v1/ResourceQuotaSpec"}
TIMER = fields(cron="string", interval="string")
KUBESPHERE = {
    "monitoring.kubesphere.io/v1alpha2/Dashboard": fields(
        title="string", description="string", tags={"array": "string"}, editable="boolean", auto_refresh="string", time=fields(from_="string", to="string"),
        panels={"array": PANEL}, templatings={"array": "any"}),
    "quota.kubesphere.io/v1alpha2/ResourceQuota": fields(selector_={"map": "string"}, quota_=QUOTA),
    "devops.kubesphere.io/v1alpha3/Pipeline": fields(type_="string", pipeline="any", multi_branch_pipeline=fields(
        name_="string", description="string", source_type_="string", script_path_="string", timer_trigger=TIMER,
        git_source=fields(url="string", credential_id="string", discover_branches="boolean", discover_tags="boolean"),
        discarder=fields(days_to_keep="string", num_to_keep="string"))),
}


def types():
    t = Types()
    for kind, spec in KUBESPHERE.items():
        version, name = kind.rsplit("/", 1)
        t.all["types"][kind] = fields(apiVersion_={"word": version}, kind_={"word": name}, metadata_=META, spec_=spec)
        t.all["kinds"][kind] = kind
    return t


def typed(objects, where):
    t = types()
    for o in objects:
        for f in t.faults(o):
            check(False, f"{where}: {f}")
    return objects


def load(path):
    with open(path, encoding="utf-8") as f:
        return [o for o in yaml.safe_load_all(f) if o]


# -- the pipeline

SECONDS = {"MINUTES": 60, "HOURS": 3600}


def seconds(block):
    """Of `timeout` in the options of a block; 0: none."""
    options = block.child("options")
    m = options and re.search(r"timeout\(time: (\d+), unit: '(\w+)'\)", options.text)
    return int(m.group(1)) * SECONDS[m.group(2)] if m else 0


def leaves(block):
    """The stages that have steps, with the stages that they are in."""
    for s in block.child("stages").children("stage"):
        if s.child("stages"):
            yield from ((leaf, (s, *above)) for leaf, above in leaves(s))
        else:
            yield s, ()


def pipeline(here, source):
    with open(os.path.join(here, "Jenkinsfile"), encoding="utf-8") as f:
        text = f.read()
    top = parse(text).child("pipeline")
    options = top.child("options").text
    for word in ("disableConcurrentBuilds()", "buildDiscarder(logRotator(", "skipDefaultCheckout()"):
        check(word in options, f"Jenkinsfile: no {word}")
    check("idleMinutes" not in text, "Jenkinsfile: idleMinutes")
    check(re.search(r"^\s*agent none$", text, re.M) and "agent any" not in text, "Jenkinsfile: an agent without bounds")
    all_leaves, pods = list(leaves(top)), {}
    for leaf, above in all_leaves:
        check(seconds(leaf) > 0, f"Jenkinsfile: {leaf.name} has no timeout")
        steps = leaf.child("steps").text
        agent = next((s.child("agent") for s in (leaf, *above) if s.child("agent")), None)
        check(("input " in steps) == (agent is None), f"Jenkinsfile: {leaf.name}: an agent that waits for a person, or none for work")
        if agent:
            (pod,) = re.findall(r"yamlFile '([^']+)'", agent.text)
            pods.setdefault(pod, []).append((leaf, steps))
    outer = top.child("stages").children("stage")
    check(all(map(seconds, outer)) and sum(map(seconds, outer)) <= seconds(top), "Jenkinsfile: the run ends before its stages")
    for s in outer:
        check(sum(seconds(l) for l, above in all_leaves if s in (l, *above)) <= seconds(s), f"Jenkinsfile: {s.name} ends before its stages")
    verbs = ci_verbs(here)
    for command in re.findall(r"k8s/kubesphere/ci (\w+)", text):
        check(command in verbs, f"Jenkinsfile: ci {command}")
    for script in re.findall(r"sh '([^']*)'", text):
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, timeout=30)
        check(done.returncode == 0, f"Jenkinsfile: {script}: {done.stderr}")
    (image,) = (l.child("steps").text for l, _ in all_leaves if l.name == "Image")
    for word in ("$(cat build/image.args)", "--digest-file $WORKSPACE/build/image.digest", "--tar-path $WORKSPACE/build/image.tar", "ci artifacts build/image.tar",
                 "archiveArtifacts artifacts: 'build/artifacts/*'", "env.DIGEST = readFile('build/image.digest')"):
        check(word in image, f"Jenkinsfile: Image has no {word}")
    (deploy,) = (l.child("steps").text for l, _ in all_leaves if l.name == "Deploy")
    check("ci deploy $REGISTRY $TAG $DIGEST" in deploy, "Jenkinsfile: a deploy by a tag that may move")
    with open(os.path.join(here, "Dockerfile.builder"), encoding="utf-8") as f:
        check(re.search(r"^ARG DEBIAN=.*\nFROM \$\{DEBIAN\}$", f.read(), re.M), "Dockerfile.builder: the base is no argument")
    for deploying in (l for l, _ in all_leaves if l.name in ("Approve", "Deploy", "Image")):
        check("branch 'main'" in deploying.child("when").text, f"Jenkinsfile: {deploying.name} of every branch")
    for path, stages in pods.items():
        agent_pod(source, path, stages)
    (p,) = typed(load(os.path.join(here, "pipeline.yaml")), "pipeline.yaml")
    check(os.path.exists(os.path.join(source, p["spec"]["multi_branch_pipeline"]["script_path"])), "pipeline.yaml: script_path")


def agent_pod(source, path, stages):
    (pod,) = typed(load(os.path.join(source, path)), path)
    spec = pod["spec"]
    check(sum(seconds(leaf) for leaf, _ in stages) <= spec["activeDeadlineSeconds"], f"{path}: ends before its stages")
    check(spec["automountServiceAccountToken"] is False and spec["restartPolicy"] == "Never", f"{path}: token, restart")
    names = [c["name"] for c in spec["containers"]]
    for c in spec["containers"]:
        for part in ("requests", "limits"):
            check({"cpu", "memory"} <= set(c["resources"].get(part, {})), f"{path}: {c['name']} has no {part}")
        check("privileged" not in c.get("securityContext", {}) and not any("hostPath" in v for v in spec.get("volumes", [])), f"{path}: {c['name']}: the node's")
    for _, steps in stages:
        for used in re.findall(r"container\('(\w+)'\)", steps):
            check(used in names, f"{path}: no container {used}")
    claims = [v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes", []) if "persistentVolumeClaim" in v]
    terms = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms")
    check(terms == [{"matchExpressions": [{"key": "node-role.kubernetes.io/worker", "operator": "In", "values": ["ci"]}]}], f"{path}: affinity {terms}")
    check(spec.get("tolerations") == [{"key": "node.kubernetes.io/ci", "operator": "Exists"}], f"{path}: the nodes for CI refuse it")
    if claims:  # the pod that compiles
        cache = typed(load(os.path.join(source, "k8s/kubesphere/build-cache.yaml")), "build-cache.yaml")
        check(claims == [o["metadata"]["name"] for o in cache], f"{path}: claims {claims}")
        build = next(c for c in spec["containers"] if c["name"] == "build")
        env = {e["name"]: e for e in build["env"]}
        mounted = [m["mountPath"] for m in build["volumeMounts"] if m["name"] == "cache"]
        check(env["CCACHE_DIR"]["value"].startswith(mounted[0] + "/"), f"{path}: CCACHE_DIR is not on the volume")
        for name in ("JOBS_CPU", "JOBS_MEMORY_MB"):
            check(env[name]["valueFrom"]["resourceFieldRef"]["containerName"] == "build", f"{path}: {name}")


def ci_verbs(here):
    with open(os.path.join(here, "ci"), encoding="utf-8") as f:
        return re.findall(r"^  (\w+)\)$", f.read(), re.M)


def stages_by_hand(here, source, scratch):
    """ci with programs that only say how they were called."""
    copy = os.path.join(scratch, "copy")
    os.makedirs(copy + "/k8s/kubesphere")
    os.makedirs(copy + "/build/release")
    shutil.copy(os.path.join(here, "ci"), copy + "/k8s/kubesphere/ci")
    for folder in ("docker", "config"):
        shutil.copytree(os.path.join(source, folder), os.path.join(copy, folder))
    executable(copy + "/build/release/berth", "#!/bin/sh\necho berth 1.2.3\n")
    os.makedirs(copy + "/scripts")
    for name, says in (("source-address", "https://git.example/berth"), ("sbom", "{}")):
        executable(f"{copy}/scripts/{name}", f"#!/bin/sh\necho '{says}'\n")
    executable(copy + "/scripts/bundle", '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\ntouch "$1" "$1.sha256"\n')
    executable(os.path.join(copy, "scripts/build-console"), f'#!/bin/sh\necho "build-console" >>"{scratch}/calls"\n')
    programs = os.path.join(scratch, "programs")
    os.makedirs(programs)
    calls = os.path.join(scratch, "calls")
    executable(os.path.join(programs, "git"), '#!/bin/sh\ncase "$1" in log) echo 2026-01-02T03:04:05Z ;; *) echo 0123456789ab ;; esac\n')
    for name in ("cmake", "ctest", "helm", "ccache", "strip"):
        executable(os.path.join(programs, name), f'#!/bin/sh\necho "{name} $* jobs=$CMAKE_BUILD_PARALLEL_LEVEL/$(nproc)" >>"{calls}"\n')

    def ci(*args, **env):
        open(calls, "w").close()
        subprocess.run([copy + "/k8s/kubesphere/ci", *args], check=True, capture_output=True, timeout=60,
                       env={"PATH": programs + ":" + os.environ["PATH"], **env})
        with open(calls, encoding="utf-8") as f:
            return f.read()

    check("cmake --build --preset release jobs=2/2\n" in ci("build", JOBS_CPU="4", JOBS_MEMORY_MB="4000"), "memory does not bound the jobs")
    check("build-console\n" in ci("build", JOBS_CPU="4", JOBS_MEMORY_MB="4000"), "the console")
    check("jobs=1/1" in ci("build", JOBS_CPU="4", JOBS_MEMORY_MB="100"), "no job at all")
    check(" -j 3 " in ci("test", JOBS_CPU="3", JOBS_MEMORY_MB="99999"), "jobs of the tests")
    edges = os.path.join(scratch, "edges")  # the image of the edges that are there
    executable(os.path.join(programs, "kubectl"), f'#!/bin/sh\necho "kubectl $*" >>"{calls}"\ncat "{edges}"\n')

    def there(image):
        with open(edges, "w", encoding="utf-8") as f:
            f.write(image)

    there("r.example/berth:before")
    deploy = ci("deploy", "r.example/berth", "abc", EDGE_TAG="old", NAMESPACE="n")
    check("--namespace n " in deploy and "--set-string image.tag=abc --set-string edge.image.tag=old " in deploy and "helm test berth" in deploy, deploy)
    kept = ci("deploy", "r.example/berth", "abc", NAMESPACE="n")
    check("--set-string image.tag=abc --set-string edge.image.tag=before " in kept and "kubectl --namespace n get" in kept, f"a build replaces the edges: {kept}")
    check("edge.image.tag=abc " in ci("deploy", "r.example/berth", "abc", EDGE_TAG="follow"), "EDGE_TAG=follow")
    digest = "sha256:" + "1" * 64
    deploy = ci("deploy", "r.example/berth", "abc", digest)
    check(f"--set-string image.digest={digest} " in deploy and "edge.image.tag=before " in deploy, f"by digest: {deploy}")
    check(f"--set-string edge.image.digest={digest} " in ci("deploy", "r.example/berth", "abc", digest, EDGE_TAG="follow"), "EDGE_TAG=follow with a digest")
    there("r.example/berth@sha256:12")
    check("edge.image.digest=sha256:12 " in ci("deploy", "r.example/berth", "abc"), "edges with a digest")
    there("")
    check("edge.image.tag=abc " in ci("deploy", "r.example/berth", "abc"), "the first install")
    for bad in ("other.example/berth:before", "r.example/berth:a r.example/berth:b", None):
        if bad is None:  # kubectl fails
            os.remove(edges)
        else:
            there(bad)
        try:
            ci("deploy", "r.example/berth", "abc")
            check(False, f"deployed beside edges of {bad}")
        except subprocess.CalledProcessError:
            with open(calls, encoding="utf-8") as f:
                check("helm" not in f.read(), f"{bad}: helm before the refusal")
    ci("context", "build/image", DEBIAN="debian@" + digest)
    with open(copy + "/build/image.args", encoding="utf-8") as f:
        given = dict(re.findall(r"^--build-arg (\w+)=(\S+)$", f.read(), re.M))
    check(given == {"REVISION": "0123456789ab", "VERSION": "1.2.3", "CREATED": "2026-01-02T03:04:05Z", "SOURCE": "https://git.example/berth",
                    "DEBIAN": "debian@" + digest}, f"arguments of the image: {given}")
    open(copy + "/build/image.tar", "w", encoding="utf-8").close()
    ci("artifacts", "build/image.tar", "build/artifacts")
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=copy + "/build/artifacts", check=True)
    check(set(os.listdir(copy + "/build/artifacts")) == {"berth.cdx.json", "berth-site.tar.gz", "SHA256SUMS"}, "what a build leaves")
    with open(copy + "/build/image/Dockerfile", encoding="utf-8") as f:
        dockerfile = f.read()
    stages = re.findall(r"^FROM (.*)$", dockerfile, re.M)
    check(stages == ["${DEBIAN} AS root", "scratch"] and "\nARG DEBIAN=" in "\n" + dockerfile and "ENTRYPOINT" in dockerfile, dockerfile)
    last = dockerfile[dockerfile.rindex("\nFROM "):]
    for argument in given:
        check(re.search(rf"^ARG {argument}\b", last, re.M), f"the image's stage does not take {argument}")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', last))
    for name, value in {"revision": "$REVISION", "version": "$VERSION", "created": "$CREATED", "source": "$SOURCE", "base.name": "$DEBIAN", "licenses": "$LICENSES"}.items():
        check(labels.get(name) == value, f"label {name}: {labels.get(name)}")
    for line in re.findall(r"^COPY ((?!--from=root).*)$", dockerfile, re.M):
        for copied in line.split()[:-1]:
            check(os.path.exists(f"{copy}/build/image/{copied}"), f"the image's context has no {copied}")


def executable(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


# -- the Dashboards

def dashboards(here, source):
    spec = importlib.util.spec_from_file_location("dashboards", os.path.join(here, "dashboards.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with open(os.path.join(here, "dashboards.yaml"), encoding="utf-8") as f:
        check(f.read() == module.text(), "dashboards.yaml is not what metrics/grafana has: k8s/kubesphere/dashboards.py --write")
    boards = {o["metadata"]["name"]: o["spec"] for o in typed(load(os.path.join(here, "dashboards.yaml")), "dashboards.yaml")}
    for path in glob.glob(source + "/metrics/grafana/*.json"):
        with open(path, encoding="utf-8") as f:
            grafana = json.load(f)
        there = boards.pop(grafana["uid"])
        count = lambda panels: sum(len(p.get("targets", [])) for p in panels)
        check(count(there["panels"]) == count(grafana["panels"]), f"{path}: queries are missing")
        for p in there["panels"]:
            for t in p.get("targets", []):
                check("$" not in t["expr"] and re.search(r"\b(berth|process)[_:]", t["expr"]), f"{p['title']}: {t['expr']}")
                names = set(re.findall(r"\{\{(\w+)\}\}", t["legendFormat"]))
                grouped = re.search(r"\bby \(([^)]*)\)", t["expr"])
                check(not grouped or names <= set(grouped.group(1).replace(" ", "").split(",")), f"{p['title']}: {t['legendFormat']}")
    check(not boards, f"Dashboards without a source: {list(boards)}")


# -- the quotas

FAKE_KUBECTL = f"#!{sys.executable}" + """
import json, os, sys, yaml
here = os.path.dirname(os.path.abspath(__file__))
if os.path.exists(here + "/refuses"):
    sys.exit("Error from server (Forbidden)")
if sys.argv[1] == "apply":
    objects = list(yaml.safe_load_all(sys.stdin))
    with open(here + ("/dry" if "--dry-run=server" in sys.argv else "/applied"), "w") as f:
        json.dump(objects, f)
else:
    total = {"hard": {"requests.cpu": "8"}, "used": {"requests.cpu": "7500m"}}
    print(json.dumps({"status": {"total": total} if "kubesphere" in sys.argv[2] else total}))
"""

BAD = [("workspaces: [{name: a, quota: {}}]", "no field 'quota'"), ("workspaces: [{name: a, limits: {connections: 1}}]", "name the tenant"),
       ("workspaces: [{name: a}, {name: a}]", "twice"), ("workspaces: [{name: a, hard: {requests.cpu: many}}]", "no quantity"),
       ("workspaces: [{name: a, tenant: a, limits: {connections: yes}}]", "no number"), ("workspaces: [{name: A_b}]", "no name"), ("a: 1", "workspaces"),
       ("workspaces: [{name: a, hard: {requests.memory: 3Gi}, projects: [{name: p, hard: {requests.memory: 2Gi}}, {name: q, hard: {requests.memory: 1.5Gi}}]}]", "more together"),
       ("workspaces: [{name: a, hard: {limits.cpu: 4}, projects: [{name: p}]}]", "without a CPU limit")]


class Quotas:
    def __init__(self, here, scratch):
        self.script, self.scratch = os.path.join(here, "quotas.py"), scratch
        self.kubectl = os.path.join(scratch, "kubectl")
        executable(self.kubectl, FAKE_KUBECTL)
        self.more = []

    def run(self, verb, text, *flags):
        path = os.path.join(self.scratch, "quotas.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run([sys.executable, self.script, verb, path, "--kubectl", self.kubectl, *self.more, *flags], text=True, capture_output=True, timeout=60)

    def applied(self, name="applied"):
        path = os.path.join(self.scratch, name)
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
        os.remove(path)
        return found


def quota_files(here, quotas):
    for text, word in BAD:
        done = quotas.run("check", text)
        check(done.returncode == 2 and word in done.stderr, f"{text}: {done.returncode} {done.stderr}")
    with open(os.path.join(here, "quotas.example.yaml"), encoding="utf-8") as f:
        example = f.read()
    done = quotas.run("print", example)
    objects = typed(list(yaml.safe_load_all(done.stdout)), "quotas.example.yaml")
    kinds = [(o["kind"], o["metadata"].get("namespace")) for o in objects]
    check(kinds == [("ResourceQuota", None), ("ResourceQuota", "berth"), ("LimitRange", "berth"), ("ResourceQuota", None),
                    ("ResourceQuota", "acme-backend"), ("LimitRange", "acme-backend")], f"quotas.example.yaml: {kinds}")
    return example, objects


@contextlib.contextmanager
def gateway(berth, scratch, settings):
    """Gives the addresses of the admin port and of mqtt."""
    directory = tempfile.mkdtemp(dir=scratch)
    config, log = directory + "/berth.yaml", directory + "/log"
    with open(config, "w", encoding="utf-8") as f:
        f.write(settings)
    with open(log, "wb") as out:
        process = subprocess.Popen([berth, "serve", "--single-process", "--config", config, "--data", directory + "/data", "--mqtt", "127.0.0.1:0",
                                    "--admin", "127.0.0.1:0"], stdout=out, stderr=subprocess.STDOUT, preexec_fn=end_with_us)
    try:
        def addresses():
            with open(log, encoding="utf-8") as f:
                text = f.read()
            found = [re.search(r"admin port listens .*?at=(\S+)", text), re.search(r" ready .*?mqtt=(\S+)", text)]
            return all(found) and [m.group(1) for m in found]
        admin, mqtt = eventually(f"ready: {log}", addresses)
        yield admin, int(mqtt.rsplit(":", 1)[1]), directory
    finally:
        process.terminate()
        process.wait(30)


def quotas_of_both(quotas, example, berth, scratch):
    """With a gateway, and a kubectl that keeps what it is given."""
    with gateway(berth, scratch, "registry: {source: store}\n") as (admin, _, directory):
        quotas.more = ["--api", "http://" + admin, "--token-file", directory + "/data/admin.token"]
        done = quotas.run("apply", example)
        check(done.returncode == 1 and "not registered" in done.stderr and quotas.applied() is None, f"a tenant that is not there: {done}")
        done = quotas.run("check", example, "--create")
        check(done.returncode == 0 and quotas.applied() is None and len(quotas.applied("dry")) == 6, f"check: {done}")
        done = quotas.run("apply", example, "--create")
        check(done.returncode == 0 and len(quotas.applied()) == 6, f"apply: {done}")
        done = quotas.run("apply", example)
        check(done.returncode == 0 and done.stdout.count("unchanged") == 4, f"repeated: {done}")
        changed = example.replace("connections: 1000, sessions: 2000,", "connections: 7,")
        done = quotas.run("apply", changed)
        check(done.returncode == 0 and '/tenants/acme: {"connections": 7, "sessions": null}\n' in done.stdout, f"changed: {done}")
        quotas.applied()
        done = quotas.run("apply", example.replace("connections: 1000", "conections: 1000"))
        check(done.returncode == 1 and "conections" in done.stderr and quotas.applied() is None, f"a limit that the gateway does not know: {done}")
        with open(os.path.join(scratch, "refuses"), "w", encoding="utf-8"):
            done = quotas.run("apply", example)
        check(done.returncode == 1 and "Forbidden" in done.stderr, f"kubectl refuses: {done}")
        os.remove(os.path.join(scratch, "refuses"))
        done = quotas.run("check", changed)  # so the gateway has not been changed either
        check(done.stdout.count("unchanged") == 2, f"one side alone was written: {done}")
        lines = quotas.run("show", example).stdout.splitlines()
        check(lines[1].split()[-4:] == ["requests.cpu", "7500m", "8", "94"], f"show: {lines}")
        check(any(l.split() == ["tenant", "acme", "connections", "0", "1000", "0"] for l in lines), f"show: {lines}")
        quotas.more[-1] = directory + "/berth.yaml"  # no token
        done = quotas.run("check", example)
        check(done.returncode == 1 and "401" in done.stderr, f"without a token: {done}")


# -- a file that swaps

def passwords(*users):
    """As mosquitto_passwd writes them; a user's password is the user's name."""
    lines = []
    for u in users:
        salt = u.encode() * 12
        proof = hashlib.pbkdf2_hmac("sha512", u.encode(), salt, 101, 64)
        lines.append(f"{u}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(proof).decode()}\n")
    return "".join(lines)


class Volume:
    """Of a Secret or a ConfigMap: passwords is a link into ..data, which is a link that the kubelet renames over."""

    def __init__(self, path):
        self.path, self.swaps = path, 0
        os.makedirs(path, mode=0o700)
        os.symlink("..data/passwords", path + "/passwords")

    def swap(self, text, gap=False):
        self.swaps += 1
        new, data = f"{self.path}/..{self.swaps}", self.path + "/..data"
        os.mkdir(new, mode=0o700)
        with open(new + "/passwords", "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(text)
        os.symlink(os.path.basename(new), self.path + "/..data_tmp")
        old = os.path.realpath(data)
        if gap:  # worse than the kubelet: for a moment there is no file
            os.unlink(data)
        os.rename(self.path + "/..data_tmp", data)
        if self.swaps > 1:
            shutil.rmtree(old)


def swapping(berth, scratch):
    """Clients log in and stay while the file swaps a hundred times, with moments without it, and while it is away for seconds."""
    volume = Volume(os.path.join(scratch, "volume"))
    volume.swap(passwords("stays", "comes"))
    with gateway(berth, scratch, f"auth: {{anonymous: never, password_file: {volume.path}/passwords}}\n") as (_, port, directory):
        stays = Client(port, "stays", True, user="stays", password="stays")

        def unnoticed():
            try:
                stays.ping()
                Client(port, "comes", True, user="comes", password="comes").close()
            except OSError as e:
                raise AssertionError(f"a swap is an event: {e}") from e

        def logged(words):
            unnoticed()
            with open(directory + "/log", encoding="utf-8") as f:
                return words in f.read()

        for n in range(100):
            volume.swap(passwords("stays", "comes", f"user{n}"), gap=n % 2 == 0)
            unnoticed()
        # The file is read once it has been the same from one look to the next: all swaps together are one change.
        eventually("the file is read again", lambda: logged("password_file read again users=3 added=1 removed=0 changed=0"))
        Client(port, "new", True, user="user99", password="user99").close()
        os.unlink(volume.path + "/..data")
        eventually("the loss of the file is told", lambda: logged("password_file not taken, the users of before stay"))


def quantity_of(text):
    m = re.fullmatch(r"([\d.]+)(\w*)", str(text))
    return float(m.group(1)) * {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30}[m.group(2)]


def room(here, chart, objects):
    """The example quota of the gateway's project admits each pod of the values for KubeSphere, and a rollout's one more of each."""
    (hard,) = [o["spec"]["hard"] for o in objects if o["kind"] == "ResourceQuota" and o["metadata"].get("namespace") == "berth"]
    rendered = chart.objects(os.path.join(here, "berth-values.yaml"))
    for f in charts.faults(rendered):
        check(False, f"berth-values.yaml: {f}")
    needed = dict.fromkeys(hard, 0)
    for o, pod in charts.pods_of(rendered):
        for c in pod["spec"]["containers"]:
            for k in hard:
                part, resource = k.split(".")
                check(resource in c["resources"].get(part, {}), f"{o['metadata']['name']}: the quota would refuse it: no {k}")
                needed[k] += quantity_of(c["resources"][part].get(resource, 0)) * (o["spec"].get("replicas", 1) + 1 if o["kind"] != "Pod" else 1)
            check("cpu" not in c["resources"].get("limits", {}), f"{o['metadata']['name']}: a CPU limit")
    for k, v in hard.items():
        check(needed[k] <= quantity_of(v), f"{k}: the chart needs {needed[k]}, the quota has {v}")
    logs = [o["data"]["berth.yaml"] for o in rendered if o["kind"] == "ConfigMap" and "berth.yaml" in o["data"]]
    check(logs and all(yaml.safe_load(l)["log"]["format"] == "ecs" for l in logs), "berth-values.yaml: the log is no JSON")


def lint(here):
    with open(os.path.join(here, "quotas.py"), encoding="utf-8") as f:
        compile(f.read(), "quotas.py", "exec")
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", os.path.join(here, "ci")], text=True, capture_output=True, timeout=60)
        check(done.returncode == 0, done.stdout)
    if shutil.which("yamllint"):
        config = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"
        files = [p for p in glob.glob(here + "/*.yaml") if not p.endswith("dashboards.yaml")]
        done = subprocess.run(["yamllint", "--strict", "-d", config, *files], text=True, capture_output=True, timeout=60)
        check(done.returncode == 0, done.stdout)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("source")
    p.add_argument("cache")
    p.add_argument("--berth")
    a = p.parse_args()
    source = os.path.abspath(a.source)
    here = os.path.join(source, "k8s/kubesphere")
    lint(here)
    pipeline(here, source)
    dashboards(here, source)
    with tempfile.TemporaryDirectory() as scratch:
        stages_by_hand(here, source, scratch)
        quotas = Quotas(here, scratch)
        example, objects = quota_files(here, quotas)
        if a.berth:
            quotas_of_both(quotas, example, a.berth, scratch)
            swapping(a.berth, scratch)
        helm = charts.find_helm(a.cache)
        if helm:
            chart = charts.Chart(helm, source)
            chart.scratch = scratch
            room(here, chart, objects)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
