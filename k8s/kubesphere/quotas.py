#!/usr/bin/env python3
"""Sets the quotas of KubeSphere's workspaces and of Berth's tenants from one file, on both sides.

  quotas.py check FILE    asks both sides whether they would take it, and changes nothing
  quotas.py apply FILE    the same, then writes: first the cluster, then the gateway. Repeat it after a failure
  quotas.py show FILE     what is used of each quota, on both sides, the fullest first
  quotas.py print FILE    the objects of the cluster as YAML, for a pipeline of your own

  --api URL          the gateway's API (http://127.0.0.1:9180; kubectl port-forward service/berth-admin 9180)
  --token-file FILE  the admin token; with `print` not needed
  --create           tenants and sites that are not registered are made; else they are an error
  --kubectl PATH     kubectl, with its context: it needs rights on quota.kubesphere.io of the cluster

quotas.example.yaml has all fields. Of a workspace: `hard` is the sum of its projects (ResourceQuota of quota.kubesphere.io);
`projects` have their own `hard` (ResourceQuota) and `defaults` of containers (LimitRange). `tenant`, `limits` and `sites` are
those of the gateway (docs/registry.md): a limit that the file does not name is removed there. A workspace without `tenant`
has no part in the gateway. Needs python3-yaml and kubectl.
Exit status: 0 done, 1 a side has refused or can't be reached, 2 the file is bad (nothing was asked).
"""
import argparse, json, re, subprocess, sys, urllib.error, urllib.request

import yaml

SECONDS = 30  # for each request and each kubectl
WORKSPACE = "kubesphere.io/workspace"
FIELDS = {"workspace": {"name", "hard", "projects", "tenant", "limits", "sites"}, "project": {"name", "hard", "defaults"},
          "defaults": {"requests", "limits"}}
SUFFIX = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class Bad(Exception):
    """The file."""


class Refused(Exception):
    """A side."""


def quantity(text, where):
    m = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(text))
    if not m or m.group(2) not in SUFFIX or isinstance(text, bool):
        raise Bad(f"{where}: {text!r} is no quantity")
    return float(m.group(1)) * SUFFIX[m.group(2)]


def mapping(value, where):
    if not isinstance(value, dict):
        raise Bad(f"{where}: expected fields, not {value!r}")
    return value


def known(value, kind, where):
    unknown = set(mapping(value, where)) - FIELDS[kind]
    if unknown:
        raise Bad(f"{where}: no field {sorted(unknown)[0]!r}; there are {', '.join(sorted(FIELDS[kind]))}")


def name_of(value, where):
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", value) or len(value) > 63:
        raise Bad(f"{where}: {value!r} is no name of an object")
    return value


def read(path):
    """The workspaces of a file, checked."""
    try:
        with open(path, encoding="utf-8") as f:
            content = yaml.safe_load(f)
    except (OSError, yaml.YAMLError) as e:
        raise Bad(str(e)) from e
    if not isinstance(content, dict) or set(content) != {"workspaces"} or not isinstance(content["workspaces"], list):
        raise Bad("expected one field, workspaces, with a list")
    names, projects = [], []
    for w in content["workspaces"]:
        known(w, "workspace", "a workspace")
        names.append(name_of(w.get("name"), "workspaces: name"))
        projects += check_workspace(w)
    for kind, all_names in (("workspace", names), ("project", projects),
                            ("tenant", [w["tenant"] for w in content["workspaces"] if "tenant" in w])):
        for n in set(all_names):
            if all_names.count(n) > 1:
                raise Bad(f"{kind} {n}: twice")
    return content["workspaces"]


def check_workspace(w):
    where = f"workspace {w['name']}"
    if "tenant" not in w and ("limits" in w or "sites" in w):
        raise Bad(f"{where}: limits and sites are a tenant's: name the tenant")
    if "tenant" in w and not isinstance(w["tenant"], str):
        raise Bad(f"{where}: tenant: {w['tenant']!r} is no name")
    for limits in (w.get("limits", {}), *mapping(w.get("sites", {}), f"{where}: sites").values()):
        for k, v in mapping(limits, f"{where}: limits").items():
            if isinstance(v, bool) or not isinstance(v, int) or v < 0:
                raise Bad(f"{where}: {k}: {v!r} is no number")
    sums = {}
    for p in w.get("projects", []):
        known(p, "project", f"{where}: a project")
        in_project = f"{where}: project {name_of(p.get('name'), where + ': projects: name')}"
        known(p.get("defaults", {}), "defaults", f"{in_project}: defaults")
        for part in p.get("defaults", {}).values():
            for k, v in mapping(part, f"{in_project}: defaults").items():
                quantity(v, f"{in_project}: defaults: {k}")
        for k, v in mapping(p.get("hard", {}), f"{in_project}: hard").items():
            sums[k] = sums.get(k, 0) + quantity(v, f"{in_project}: {k}")
        if ("limits.cpu" in p.get("hard", {}) or "limits.cpu" in w.get("hard", {})) and "cpu" not in p.get("defaults", {}).get("limits", {}):
            raise Bad(f"{in_project}: a quota of limits.cpu refuses each pod without a CPU limit: leave limits.cpu out, or give defaults.limits.cpu")
    for k, v in mapping(w.get("hard", {}), f"{where}: hard").items():
        if sums.get(k, 0) > quantity(v, f"{where}: {k}"):
            raise Bad(f"{where}: {k}: the projects have more together than the workspace ({v})")
    return [p["name"] for p in w.get("projects", [])]


def objects(workspaces):
    """Of the cluster."""
    for w in workspaces:
        labels = {WORKSPACE: w["name"]}
        if "hard" in w:
            yield {"apiVersion": "quota.kubesphere.io/v1alpha2", "kind": "ResourceQuota", "metadata": {"name": w["name"], "labels": labels},
                   "spec": {"selector": labels, "quota": {"hard": {k: str(v) for k, v in w["hard"].items()}}}}
        for p in w.get("projects", []):
            metadata = {"name": "default", "namespace": p["name"]}  # the name that the console uses
            if "hard" in p:
                yield {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {k: str(v) for k, v in p["hard"].items()}}}
            if "defaults" in p:
                text = lambda part: {k: str(v) for k, v in p["defaults"].get(part, {}).items()}
                item = {"type": "Container", "default": text("limits"), "defaultRequest": text("requests")}
                yield {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [{k: v for k, v in item.items() if v}]}}


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def as_yaml(workspaces):
    return yaml.dump_all(objects(workspaces), Dumper=Plain, sort_keys=False, explicit_start=True)


class Cluster:
    def __init__(self, kubectl):
        self.kubectl = kubectl

    def run(self, *args, text=None):
        try:
            done = subprocess.run([self.kubectl, *args], input=text, text=True, capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as e:
            raise Refused(f"kubectl: {e}") from e
        if done.returncode:
            raise Refused(f"kubectl {' '.join(args[:2])}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, workspaces, dry):
        if any(objects(workspaces)):
            flags = ["--dry-run=server"] if dry else []
            print(self.run("apply", "--server-side", "--force-conflicts", "--field-manager=berth-quotas", *flags, "-f", "-", text=as_yaml(workspaces)), end="")

    def used(self, workspaces):
        for o in objects(workspaces):
            if o["kind"] == "ResourceQuota":
                kind = "resourcequotas.quota.kubesphere.io" if "/" in o["apiVersion"] else "resourcequotas"
                name = o["metadata"].get("namespace")
                there = json.loads(self.run("get", kind, o["metadata"]["name"], *(["-n", name] if name else []), "-o", "json"))
                status = there.get("status", {}).get("total", there.get("status", {}))
                for k, v in status.get("hard", {}).items():
                    yield f"project {name}" if name else f"workspace {o['metadata']['name']}", k, status.get("used", {}).get(k, "0"), v


class Gateway:
    def __init__(self, api, token_file, create):
        self.api, self.create, self.token = api.rstrip("/") + "/api/v1", create, None
        if token_file:
            try:
                with open(token_file, encoding="utf-8") as f:
                    self.token = f.read().strip()
            except OSError as e:
                raise Refused(f"the token: {e}") from e

    def ask(self, method, path, body=None, **headers):
        """(status, ETag, body); a 404 is an answer."""
        request = urllib.request.Request(self.api + path, method=method, data=None if body is None else json.dumps(body).encode())
        for k, v in ({"Authorization": f"Bearer {self.token}"} if self.token else {}).items():
            request.add_header(k, v)
        for k, v in headers.items():
            request.add_header(k.replace("_", "-"), v)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as r:
                return r.status, r.headers.get("ETag"), json.loads(r.read() or b"null")
        except urllib.error.HTTPError as e:
            text = e.read().decode(errors="replace")
            if e.code == 404:
                return 404, None, None
            raise Refused(f"{method} {path}: {e.code} {text}") from e
        except (OSError, ValueError) as e:
            raise Refused(f"{method} {path}: {e}") from e

    def records(self, workspaces):
        for w in workspaces:
            if "tenant" in w:
                yield f"/tenants/{w['tenant']}", w.get("limits", {})
                for site, limits in w.get("sites", {}).items():
                    yield f"/tenants/{w['tenant']}/sites/{site}", limits

    def apply(self, workspaces, dry):
        query, made = ("?dry_run=true" if dry else ""), set()
        for path, limits in self.records(workspaces):
            status, etag, record = self.ask("GET", path)
            if status == 404:
                if not self.create:
                    raise Refused(f"{path}: not registered; --create makes it")
                made.add(path)
                if not dry or "/sites/" not in path or path.split("/sites/")[0] not in made:  # its tenant is not there yet
                    self.ask("PUT", path + query, {"limits": limits}, If_None_Match="*")
                print(f"{path}: made" + (" (dry run)" if dry else ""))
                continue
            there = {k: int(v) for k, v in record.get("limits", {}).items()}  # 64 bits come as a string
            patch = {k: limits.get(k) for k in {*there, *limits} if there.get(k, 0) != limits.get(k, 0)}
            if patch:  # a merge patch: null removes a limit
                self.ask("PATCH", path + query, {"limits": patch}, If_Match=etag)
            print(f"{path}: {'unchanged' if not patch else json.dumps(patch, sort_keys=True)}" + (" (dry run)" if dry and patch else ""))

    def used(self, workspaces):
        for w in workspaces:
            if "tenant" not in w:
                continue
            status, _, usage = self.ask("GET", f"/usage/{w['tenant']}")
            if status == 404:
                raise Refused(f"tenant {w['tenant']}: not registered")
            yield from rows(f"tenant {w['tenant']}", usage, w.get("limits", {}))
            for site, limits in w.get("sites", {}).items():
                yield from rows(f"site {w['tenant']}/{site}", usage.get("sites", {}).get(site, {}), limits)


def rows(who, usage, limits):
    """A site without a connection has no usage yet."""
    for k, limit in limits.items():
        if limit:
            yield who, k, usage.get(k, 0), limit


def show(cluster, gateway, workspaces):
    found = [*cluster.used(workspaces), *gateway.used(workspaces)]
    share = lambda row: quantity(row[2], row[0]) / (quantity(row[3], row[0]) or 1)
    lines = [("WHO", "WHAT", "USED", "QUOTA", "%")] + [(*map(str, r), f"{100 * share(r):.0f}") for r in sorted(found, key=share, reverse=True)]
    widths = [max(len(l[i]) for l in lines) for i in range(5)]
    for l in lines:
        print("  ".join(c.ljust(w) for c, w in zip(l, widths)).rstrip())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("verb", choices=("check", "apply", "show", "print"))
    p.add_argument("file")
    p.add_argument("--api", default="http://127.0.0.1:9180")
    p.add_argument("--token-file")
    p.add_argument("--create", action="store_true")
    p.add_argument("--kubectl", default="kubectl")
    a = p.parse_args()
    try:
        workspaces = read(a.file)
        if a.verb == "print":
            print(as_yaml(workspaces), end="")
            return 0
        cluster, gateway = Cluster(a.kubectl), Gateway(a.api, a.token_file, a.create)
        if a.verb == "show":
            show(cluster, gateway, workspaces)
            return 0
        gateway.apply(workspaces, dry=True)
        cluster.apply(workspaces, dry=True)
        if a.verb == "apply":
            cluster.apply(workspaces, dry=False)
            gateway.apply(workspaces, dry=False)
        return 0
    except Bad as e:
        print(f"{a.file}: {e}", file=sys.stderr)
        return 2
    except Refused as e:
        print(e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
