"""Images by name: whole versions, which do not move from one minor release to the next, or digests."""
import glob, os, re, subprocess

import yaml

OWN = ("berth:latest", "berth", "registry.example/")  # made from this tree
WHOLE = re.compile(r"[^@]*:[^:@]*\d+\.\d+\.\d+[^:@]*(@sha256:[0-9a-f]{64})?|.*@sha256:[0-9a-f]{64}")


def named_in(source):
    """(where, image)"""
    with open(source + "/docker/compose.yaml", encoding="utf-8") as f:
        yield from (("docker/compose.yaml", i) for i in re.findall(r"_IMAGE:-([^}]+)\}", f.read()))
    with open(source + "/k8s/chart/berth/values.yaml", encoding="utf-8") as f:
        yield "values.yaml", yaml.safe_load(f)["redis"]["bundled"]["image"]
    for path in [*glob.glob(source + "/k8s/*/rendered.yaml"), *glob.glob(source + "/k8s/kubesphere/*-pod.yaml")]:
        with open(path, encoding="utf-8") as f:
            yield from ((os.path.relpath(path, source), i) for i in re.findall(r"^ *(?:- )?image: \"?([^\s\"]+)", f.read(), re.M))


def pinned(source, scratch, check):
    found = list(named_in(source))
    check(len(found) > 8, f"images: {found}")
    for where, image in found:
        check(WHOLE.fullmatch(image) or image.startswith(OWN), f"{where}: {image} is a tag that moves")
    # The script, with a docker that only answers.
    tools = os.path.join(scratch, "docker-of-images")
    os.makedirs(tools)
    with open(tools + "/docker", "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\n[ "$1 $2 $3" = "buildx imagetools inspect" ] && printf "sha256:%064d\\n" 7\n')
    os.chmod(tools + "/docker", 0o755)
    run = lambda *a: subprocess.run([source + "/scripts/image-digests", *a], check=True, text=True, capture_output=True, timeout=60,
                                    env={**os.environ, "PATH": tools + ":" + os.environ["PATH"]}).stdout
    digest = "sha256:" + "7".rjust(64, "0")
    lines = dict(l.split("=", 1) for l in run().splitlines())
    check(set(lines) == {"REDIS_IMAGE", "MOSQUITTO_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"} and all(v.endswith("@" + digest) for v in lines.values()), f"{lines}")
    values = yaml.safe_load(run("--values"))
    check(values["redis"]["bundled"]["digest"] == digest, f"{values}")
    return values


def by_digest(chart, values, check):
    """Every image of a rendered release, when the values say so."""
    own = "sha256:" + "1" * 64
    values["redis"]["bundled"]["enabled"] = True
    for o in chart.objects({**values, "profile": "cluster", "image": {"digest": own}}):
        pod = o if o["kind"] == "Pod" else o.get("spec", {}).get("template", {})
        for c in pod.get("spec", {}).get("containers", []):
            check(re.search(r"@sha256:[0-9a-f]{64}$", c["image"]), f"{o['kind']}/{o['metadata']['name']}: {c['image']}")
