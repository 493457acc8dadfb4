#!/usr/bin/env python3
"""shellcheck over every script of the repository, yamllint over the YAML that people read. 77: neither is here.

  scripts_test.py SOURCE
"""
import os, shutil, subprocess, sys

source = os.path.abspath(sys.argv[1])
FOLDERS = ("scripts", "docker", "k8s", ".ci", "config", "metrics")
YAML = "{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"
# A chart's templates are no YAML before they are rendered (tests/chart does that); these files are made by programs.
NO_YAML = ("/templates/", "/rendered.yaml", "k8s/kubesphere/dashboards.yaml")


def files():
    for folder in FOLDERS:
        for at, _, names in os.walk(os.path.join(source, folder)):
            yield from (os.path.join(at, n) for n in sorted(names))


def is_shell(path):
    with open(path, "rb") as f:
        first = f.readline()
    return first.startswith(b"#!") and first.rstrip().endswith(b"sh")


def checked(tool, *argv, paths):
    if not shutil.which(tool):
        print(f"no {tool} here")
        return False
    if not paths:
        raise SystemExit(f"nothing for {tool}")
    done = subprocess.run([*argv, *paths], text=True, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise SystemExit(f"{tool}:\n{done.stdout}{done.stderr}")
    print(f"{tool}: {len(paths)} files")
    return True


def main():
    every = list(files())
    shell = [p for p in every if is_shell(p)]
    yaml = [p for p in every if p.endswith(".yaml") and not any(n in p for n in NO_YAML)]
    for p in shell:
        if not os.access(p, os.X_OK):
            raise SystemExit(f"{p} can't be run")
    done = [checked("shellcheck", "shellcheck", paths=shell), checked("yamllint", "yamllint", "-d", YAML, paths=yaml)]
    sys.exit(0 if all(done) else 77)


main()
