"""k8s/kubesphere/app: what its script makes is a chart that renders as the one of the repository, with what a store shows of it."""
import base64, os, re, subprocess, tarfile
import xml.etree.ElementTree

import yaml


def packaged(chart, check):
    out = os.path.join(chart.scratch, "app")
    digest = "sha256:" + "2" * 64
    run = lambda *a: subprocess.run([chart.source + "/k8s/kubesphere/app/package", *a], text=True, capture_output=True, timeout=120, env={**os.environ, "HELM": chart.helm})
    done = run("--version", "9.8.7", "--repository", "r.example/b", "--digest", digest, out)
    check(done.returncode == 0, f"app package: {done.stdout}{done.stderr}")
    check(sorted(os.listdir(out)) == ["berth-9.8.7.tgz", "icon.svg"], f"app package: {os.listdir(out)}")
    package = out + "/berth-9.8.7.tgz"
    with tarfile.open(package) as tar:
        read = lambda name: tar.extractfile("berth/" + name).read().decode()
        names, about, readme, values = tar.getnames(), yaml.safe_load(read("Chart.yaml")), read("README.md"), yaml.safe_load(read("values.yaml"))
    check(not [n for n in names if n.startswith("berth/ci/")] and {"berth/values.schema.json", "berth/files/runbook.markdown"} <= set(names), f"app package: {names}")
    check(about["version"] == "9.8.7" and about["type"] == "application" and about["keywords"] and about["maintainers"] and about["kubeVersion"], f"{about}")
    kind, _, data = about["icon"].partition(",")
    icon = xml.etree.ElementTree.fromstring(base64.b64decode(data))
    check(kind == "data:image/svg+xml;base64" and icon.get("width") == icon.get("height") == "96", "the icon")
    check(not [e for e in icon.iter() if e.tag.endswith(("script", "image", "use"))], "the icon loads something")
    for text in (about["description"], *about["annotations"].values(), readme):
        check(text.strip(), "an empty text")
    check(re.search("[\u4e00-\u9fff]", about["annotations"]["berth.io/display-name.zh"]) and re.search("[\u4e00-\u9fff]", about["description"]), "no Chinese name")
    chinese, english = readme.split("\n---\n")
    check(len(re.findall("^## ", chinese, re.M)) == len(re.findall("^## ", english, re.M)) == 3, "README: the languages differ in their chapters")
    keys = lambda text: sorted(set(re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:: [^`]*)?`", text)))
    check(keys(chinese) == keys(english) and len(keys(english)) > 12, f"README: the languages name other values: {set(keys(chinese)) ^ set(keys(english))}")
    for key in keys(english):
        at = values
        for word in key.split("."):
            check(isinstance(at, dict) and word in at or key.startswith("files.") or key in ("limits.cpu",), f"README: no value {key}")
            at = at.get(word) if isinstance(at, dict) else None
    check((values["image"]["repository"], values["image"]["digest"]) == ("r.example/b", digest), f"{values['image']}")
    # It renders the same objects, but for the version and the image.
    image = {"image": {"repository": "r.example/b", "digest": digest}}
    of = lambda text: [o for o in yaml.safe_load_all(re.sub(r"helm\.sh/chart: \S+", "", text)) if o and o["kind"] != "Secret"]
    for profile in ({}, {"profile": "cluster", "redis": {"existingSecret": "r"}, "tests": {"enabled": False}}):
        mine = of(chart.text({**profile, **image}))
        path = os.path.join(chart.scratch, "app-values.yaml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump(profile, f)
        check(of(chart.run("template", "berth", package, "--namespace", "berth", "-f", path)) == mine, f"the package renders something else: {profile}")
    broken = subprocess.run([chart.source + "/k8s/kubesphere/app/package", out], text=True, capture_output=True, timeout=60, env={**os.environ, "HELM": "/bin/false"})
    check(broken.returncode != 0, "a package without helm")
