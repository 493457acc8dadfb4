"""The types of the Kubernetes API that the manifests use (api_types.json), and whether an object is of its type: unknown
fields, missing fields, wrong types and wrong words are faults.

  api_types.py NODE_MODULES      writes api_types.json anew, from the npm packages kubernetes-models,
                                 @kubernetes-models/prometheus-operator and @kubernetes-models/cert-manager
"""
import json, os, re, sys

KINDS = {
    "kubernetes-models": ["v1/Namespace", "v1/ConfigMap", "v1/Secret", "v1/Service", "v1/ServiceAccount", "v1/Pod", "apps/v1/Deployment",
                          "apps/v1/DaemonSet", "apps/v1/StatefulSet", "v1/ResourceQuota", "v1/LimitRange", "v1/PersistentVolumeClaim", "policy/v1/PodDisruptionBudget", "networking.k8s.io/v1/NetworkPolicy",
                          "autoscaling/v2/HorizontalPodAutoscaler"],
    "@kubernetes-models/prometheus-operator": [f"monitoring.coreos.com/v1/{k}" for k in ("PodMonitor", "ServiceMonitor", "PrometheusRule")],
    "@kubernetes-models/cert-manager": ["cert-manager.io/v1/Certificate", "cert-manager.io/v1/Issuer"],
}
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "api_types.json")


class Extractor:
    """Reads the declarations of TypeScript: interfaces of fields, aliases, words, arrays, maps."""

    def __init__(self, modules):
        self.modules, self.types, self.files = modules, {}, {}

    def load(self, path):
        """A file's name of each type that it imports, and its declarations."""
        if path not in self.files:
            text = re.sub(r"/\*.*?\*/", "", open(path + ".d.ts", encoding="utf-8").read(), flags=re.S)
            imports = {}
            for names, where in re.findall(r'import (?:type )?\{([^}]*)\} from "([^"]*)"', text):
                for name in names.split(","):
                    imports[name.split(" as ")[-1].strip()] = self.resolve(path, re.sub(r"\.js$", "", where))
            self.files[path] = text, imports
        return self.files[path]

    def resolve(self, path, where):
        if where.startswith("."):
            return os.path.normpath(os.path.join(os.path.dirname(path), where))
        base = os.path.dirname(path)
        while base != "/":
            if os.path.exists(os.path.join(base, "node_modules", where + ".d.ts")):
                return os.path.join(base, "node_modules", where)
            base = os.path.dirname(base)
        return None

    def declared(self, path):
        """The name of the type that a file declares; adds it, and those that it needs."""
        name = "/".join(path.split("/node_modules/")[-1].split("/")[-4:])
        if name in self.types:
            return name
        self.types[name] = "any"
        text, imports = self.load(path)
        stem = os.path.basename(path)
        m = re.search(r"export (?:declare )?interface I%s\b[^{]*\{" % stem, text)
        if m:
            self.types[name], _ = self.fields(text, m.end(), imports)
        else:
            m = re.search(r"export (?:declare )?type I%s = " % stem, text)
            if m:
                self.types[name], _ = self.type(text, m.end(), imports)
        return name

    def skip(self, text, at):
        return re.compile(r"\s*").match(text, at).end()

    def fields(self, text, at, imports):
        """Behind a {: fields up to its }."""
        fields, of_map = {}, None
        while True:
            at = self.skip(text, at)
            if text[at] == "}":
                return ({"map": of_map} if of_map is not None else {"object": fields}), at + 1
            m = re.compile(r'(?:"([^"]+)"|\[key: string\]|(\w+))(\??): ').match(text, at)
            kind, at = self.type(text, m.end(), {} if m.group(1) in ("status", "managedFields") else imports)
            if m.group(1) in ("status", "managedFields"):
                pass  # the API server's, not of manifests
            elif m.group(1) or m.group(2):
                fields[m.group(1) or m.group(2)] = [0 if m.group(3) else 1, kind]
            else:
                of_map = kind
            at = self.skip(text, at)
            if text[at] == ";":
                at += 1

    def type(self, text, at, imports):
        found = []
        while True:
            at = self.skip(text, at)
            m = re.compile(r'"([^"]*)"|Array<|\{|[\w.]+').match(text, at)
            at = m.end()
            if m.group(1) is not None:
                found.append({"word": m.group(1)})
            elif m.group(0) == "Array<":
                kind, at = self.type(text, at, imports)
                found.append({"array": kind})
                at = self.skip(text, at) + 1
            elif m.group(0) == "{":
                kind, at = self.fields(text, at, imports)
                found.append(kind)
            elif m.group(0) in ("string", "number", "boolean", "null"):
                found.append(m.group(0))
            elif imports.get(m.group(0)):
                found.append({"ref": self.declared(imports[m.group(0)])})
            else:
                found.append("any")
            at = self.skip(text, at)
            if text[at] == "[":  # T[]
                found[-1] = {"array": found[-1]}
                at = self.skip(text, text.index("]", at) + 1)
            if text[at] not in "|&":
                return (found[0] if len(found) == 1 else {"one of": found}), at
            at += 1


def extract(modules):
    e, kinds = Extractor(modules), {}
    for package, names in KINDS.items():
        for name in names:
            kinds[name] = e.declared(os.path.join(os.path.abspath(modules), package, name))
    with open(FILE, "w", encoding="utf-8") as f:
        versions = {p: json.load(open(os.path.join(modules, p, "package.json")))["version"] for p in KINDS}
        f.write('{"from": ' + json.dumps(versions) + ',\n "kinds": ' + json.dumps(kinds, sort_keys=True) + ',\n "types": {\n')
        f.write(",\n".join(f"  {json.dumps(n)}: {json.dumps(t, separators=(',', ':'))}" for n, t in sorted(e.types.items())) + "\n }}\n")


class Types:
    def __init__(self):
        with open(FILE, encoding="utf-8") as f:
            self.all = json.load(f)

    def faults(self, o):
        """Of an object, as lines of text."""
        kind = f"{o.get('apiVersion')}/{o.get('kind')}"
        if kind not in self.all["kinds"]:
            return [f"{kind}: no such kind in api_types.json"]
        where = f"{o['kind']}/{o.get('metadata', {}).get('name')}"
        found = []
        self.check(o, {"ref": self.all["kinds"][kind]}, where, found)
        return found

    def check(self, v, kind, where, found):
        if kind == "any":
            return
        if isinstance(kind, str):
            right = {"string": lambda: isinstance(v, str), "boolean": lambda: isinstance(v, bool), "null": lambda: v is None,
                     "number": lambda: isinstance(v, (int, float)) and not isinstance(v, bool)}[kind]()
            if not right:
                found.append(f"{where}: {v!r} is no {kind}")
        elif "ref" in kind:
            self.check(v, self.all["types"][kind["ref"]], where, found)
        elif "word" in kind:
            if v != kind["word"]:
                found.append(f"{where}: {v!r} is not {kind['word']!r}")
        elif "one of" in kind:
            tries = []
            for k in kind["one of"]:
                tries.append([])
                self.check(v, k, where, tries[-1])
            if all(tries):
                found.append(f"{where}: {v!r} is none of {json.dumps(kind['one of'])[:200]}")
        elif "array" in kind:
            if not isinstance(v, list):
                found.append(f"{where}: {v!r} is no list")
            else:
                for i, x in enumerate(v):
                    self.check(x, kind["array"], f"{where}[{i}]", found)
        elif not isinstance(v, dict):
            found.append(f"{where}: {v!r} is no object")
        elif "map" in kind:
            for k, x in v.items():
                self.check(x, kind["map"], f"{where}.{k}", found)
        else:
            self.check_fields(v, kind["object"], where, found)

    def check_fields(self, v, fields, where, found):
        for k, x in v.items():
            if k not in fields:
                found.append(f"{where}: no field {k!r}")
            else:
                self.check(x, fields[k][1], f"{where}.{k}", found)
        for k, (needed, _) in fields.items():
            if needed and k not in v:
                found.append(f"{where}: {k!r} is missing")


if __name__ == "__main__":
    extract(sys.argv[1])
