#!/usr/bin/env python3
"""The image's root file system without a docker: docker/root-file-system makes it, the COPY lines of docker/Dockerfile fill it, and the
entry point runs in it as the image's user, with the image's variables, in namespaces of its own. Needs root and Debian's mirror (else
77: skipped).

  image_test.py BERTH SOURCE CACHE
"""
import filecmp, gzip, hashlib, io, json, os, re, shlex, shutil, signal, stat, subprocess, sys, tarfile, tempfile, time

berth, source, cache = (os.path.abspath(a) for a in sys.argv[1:4])
MEGABYTES_MAX = 120


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def bare_root():
    """The packages, unpacked; kept, since they come from a mirror."""
    script = source + "/docker/root-file-system"
    with open(script, "rb") as f:
        kept = f"{cache}/root-{hashlib.sha256(f.read()).hexdigest()[:12]}"
    if not os.path.exists(kept):
        os.makedirs(cache, exist_ok=True)
        made = kept + ".new"
        shutil.rmtree(made, ignore_errors=True)
        done = subprocess.run([script, made], text=True, capture_output=True, timeout=240)
        if done.returncode != 0:
            skip(f"{script}: {done.stdout} {done.stderr}")
        os.rename(made, kept)
    return kept


def last_stage():
    """(instruction, words) of the image's own stage."""
    with open(source + "/docker/Dockerfile", encoding="utf-8") as f:
        text = f.read().replace("\\\n", " ")
    lines = text[text.rindex("\nFROM "):].splitlines()
    return [(l.split(" ", 1)[0], l.split(" ", 1)[1]) for l in lines if re.match(r"^[A-Z]+ ", l)]


def fill(root):
    """As COPY does it; --from=root is there already."""
    for instruction, rest in last_stage():
        words = [w for w in rest.split() if not w.startswith("--")]
        if instruction != "COPY" or "--from=root" in rest:
            continue
        *files, to = words
        for name in files:
            at = berth if "--from=build" in rest else f"{source}/{name}"
            target = root + to + (os.path.basename(name) if to.endswith("/") else "")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(at):
                shutil.copytree(at, target)
            else:
                shutil.copy(at, target)
    subprocess.run(["strip", root + "/usr/bin/berth"], check=True)


def environment():
    out = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for instruction, rest in last_stage():
        if instruction == "ENV":
            out |= dict(w.split("=", 1) for w in shlex.split(rest))
    return out


def look(root):
    size = 0
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            s = os.lstat(path)
            size += s.st_blocks * 512 if stat.S_ISREG(s.st_mode) else 0
            check(not s.st_mode & (stat.S_ISUID | stat.S_ISGID) or stat.S_ISDIR(s.st_mode), f"setuid: {path}")
            check(stat.S_ISLNK(s.st_mode) or not s.st_mode & stat.S_IWOTH or s.st_mode & stat.S_ISVTX, f"everybody writes {path}")
            check(not re.search(r"bin/(perl.*|apt.*|dpkg.*|gcc|su|mount)$|/perl/|/lib/apt/", path), f"not for an image: {path}")
    for gone in ("var/lib/apt", "var/cache/apt", "usr/share/man", "usr/share/locale"):
        check(not os.path.isdir(f"{root}/{gone}") or not os.listdir(f"{root}/{gone}"), f"{gone} is in the image")
    check(size < MEGABYTES_MAX * 2**20, f"{size >> 20} MB")
    check(os.path.exists(root + "/etc/ssl/certs/ca-certificates.crt") and os.path.exists(root + "/usr/lib/os-release"), "no authorities, or no os-release")
    data = os.stat(root + "/data")
    check((data.st_uid, data.st_gid, data.st_mode & 0o777) == (10001, 10001, 0o700), "/data is not the user's")
    return size


class Container:
    """The entry point in the root, read-only but for /data, alone in its namespaces."""

    def __init__(self, root, *words, files=None, data_owner="10001", **variables):
        self.log = tempfile.NamedTemporaryFile("w+")
        self.files = tempfile.TemporaryDirectory()
        self.root = root
        steps = [f"mount --bind {root} {root}", f"mount -t tmpfs none {root}/dev", f"mknod -m 666 {root}/dev/null c 1 3", f"mknod -m 666 {root}/dev/urandom c 1 9",
                 f"mount -t tmpfs -o mode=0700,uid={data_owner},gid={data_owner} none {root}/data", f"mount -t proc none {root}/proc",
                 f"mount -t tmpfs none {root}/run", "ip link set lo up"]
        for n, (path, text) in enumerate((files or {}).items()):
            at = f"{self.files.name}/{n}"
            with open(at, "w", encoding="utf-8") as f:
                f.write(text)
            steps += [f"touch {root}{path}"] * path.startswith("/run/") + [f"mount --bind {at} {root}{path}"]
        env = [f"{k}={v}" for k, v in {**environment(), **variables}.items()]
        steps += [f"mount -o remount,ro,bind {root}", f"cd {root}",
                  "exec " + shlex.join(["chroot", "--userspec=10001:10001", root, "/usr/bin/env", "-i", *env, "/bin/sh", "-c", 'exec "$@"', "sh",
                                        "berth-entrypoint", *words])]
        os.chmod(self.files.name, 0o755)
        self.p = subprocess.Popen(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--propagation", "private", "sh", "-c", " && ".join(steps)],
                                  stdout=self.log, stderr=subprocess.STDOUT)

    def text(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def inner(self):
        """The process id, outside, of the first process inside."""
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children", encoding="utf-8") as f:
            return f.read().split()[0]

    def run(self, *words, **more):
        """A program of the image, as docker exec."""
        env = [f"{k}={v}" for k, v in environment().items()]
        return subprocess.run(["nsenter", "-t", self.inner(), "-m", "-n", "-p", "chroot", "--userspec=10001:10001", self.root, "/usr/bin/env", "-i", *env, *words],
                              text=True, capture_output=True, timeout=60, **more)

    def outside(self, *words):
        """A program of this host, in the container's network."""
        return subprocess.run(["nsenter", "-t", self.inner(), "-n", *words], text=True, capture_output=True, timeout=60)

    def wait_for(self, condition, what, seconds=60):
        deadline = time.time() + seconds
        while time.time() < deadline:
            check(self.p.poll() is None, f"{what}: ended with {self.p.returncode}: {self.text()}")
            try:
                if condition():
                    return
            except (OSError, IndexError):
                pass
            time.sleep(0.1)  # between looks
        raise SystemExit(f"not within {seconds} s: {what}: {self.text()}")

    def ready(self):
        self.wait_for(lambda: self.run("berth-entrypoint", "healthcheck").returncode == 0, "ready")
        return self

    def ended(self, seconds=60):
        code = self.p.wait(seconds)
        return code, self.text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is not None:
            return
        try:
            os.kill(int(self.inner()), signal.SIGTERM)
            self.p.wait(30)
        except (OSError, IndexError, subprocess.TimeoutExpired):
            self.p.kill()
            self.p.wait(30)


REFUSED = "every device on another host will be refused"


def serves(root):
    with Container(root) as c:
        c.ready()
        check(REFUSED in c.text() and "auth.password_file" in c.text(), f"no word about what is missing: {c.text()}")
        check('"@timestamp"' in c.text(), "the log is not for a collector")
        places = c.run("berth-entrypoint", "check-config", "--places")
        check("mqtt=0.0.0.0:1883" in places.stdout and "data=/data" in places.stdout, places.stdout + places.stderr)
        check(c.run("id", "-u").stdout == "10001\n", "another user")
        check(c.run("touch", "/x").returncode != 0, "the root can be written")
        check("listening" not in c.text() or "0.0.0.0" in c.text(), c.text())
    code, text = c.ended()
    check(code == 0, f"SIGTERM: {code} {text}")


def file_counts(root):
    """What the image sets gives way to a mounted file, and the file to -e."""
    file = "mqtt: {listen: '0.0.0.0:2883'}\nlog: {format: text}\nauth: {anonymous: always}\n"
    with Container(root, files={"/etc/berth/berth.yaml": file}) as c:
        c.ready()
        check(REFUSED not in c.text() and '"@timestamp"' not in c.text(), c.text())
        check(c.outside("mosquitto_pub", "-p", "2883", "-t", "t", "-m", "x", "-q", "1").returncode == 0, c.text())
    with Container(root, files={"/etc/berth/berth.yaml": file}, BERTH_MQTT_LISTEN="0.0.0.0:3883", BERTH_ADMIN_LISTEN="0.0.0.0:9999") as c:
        c.wait_for(lambda: c.run("env", "BERTH_ADMIN_LISTEN=0.0.0.0:9999", "berth-entrypoint", "healthcheck").returncode == 0, "healthy at another port")
        check(c.outside("mosquitto_pub", "-p", "3883", "-t", "t", "-m", "x", "-q", "1").returncode == 0, c.text())


def arguments(root):
    with Container(root, "--anonymous") as c:
        c.ready()
        check(c.outside("mosquitto_pub", "-p", "1883", "-t", "t", "-m", "x", "-q", "1").returncode == 0, c.text())
    for words, wanted in ((("--version",), r"^berth \d"), (("ctl", "--help"), "quarantine"), (("id", "-u"), "^10001$"), (("check-config",), r"\nok$|^ok$"),
                          (("edge", "--help"), "--engines"), (("sim", "--help"), "lot")):
        with Container(root, *words) as c:
            code, text = c.ended()
            check(code == 0 and re.search(wanted, text.strip(), re.S), f"{words}: {code} {text}")
    for words, wanted in ((("serv",), "serve"), (("serve", "--anonimous"), "--anonymous")):
        with Container(root, *words) as c:
            code, text = c.ended()
            check(code == 64 and wanted in text, f"{words}: {code} {text}")


def secrets(root):
    with Container(root, files={"/run/word": "always\n"}, BERTH_AUTH_ANONYMOUS_FILE="/run/word") as c:
        c.ready()
        check(REFUSED not in c.text() and "unknown variable" not in c.text(), c.text())
    for variables, wanted in (({"BERTH_AUTH_ANONYMOUS": "never"}, "both set"), ({}, "BERTH_AUTH_ANONYMOUS_FILE: ")):
        with Container(root, "serve", files={"/run/word" if variables else "/run/other": "always"}, BERTH_AUTH_ANONYMOUS_FILE="/run/word", **variables) as c:
            code, text = c.ended()
            check(code == 78 and wanted in text, f"{variables}: {code} {text}")


def data_of_another(root):
    with Container(root, data_owner="0") as c:
        code, text = c.ended()
        check(code != 0 and "chown 10001:10001" in text, f"{code} {text}")


def bill(root):
    """Every package that the image has, with its version, and the binary's hash."""
    made = json.loads(subprocess.run([source + "/scripts/sbom", root, "--revision", "r"], check=True, text=True, capture_output=True).stdout)
    there = set(os.listdir(root + "/var/lib/dpkg/status.d"))
    named = {c["name"] for c in made["components"]}
    check(there and there <= named, f"not in the bill: {there - named}")
    check(all(re.match("pkg:(deb/debian|npm)/", c["purl"]) and c["version"] for c in made["components"]), "a component without a version")
    check(len({c["bom-ref"] for c in made["components"]}) == len(made["components"]), "a component twice")
    pages = {c["name"] for c in made["components"] if c["purl"].startswith("pkg:npm/")}
    check({"vue", "uplot", "@vue/runtime-core", "@vue/shared"} <= pages and not pages & {"vite", "vitest", "typescript"}, f"the console's packages: {pages}")
    bare = [c["name"] for c in made["components"] if not c.get("licenses")]
    check(not bare, f"no licence of {bare}")
    with open(root + "/usr/bin/berth", "rb") as f:
        check(made["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(f.read()).hexdigest(), "another binary")


def bundle(packages):
    """What a site gets: whole, in order, twice the same."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
        outs = [f"{d}/{n}.tar.gz" for n in "ab"]
        for out in outs:
            done = subprocess.run([source + "/scripts/bundle", "--berth", berth, "--root", packages, out], text=True, capture_output=True, timeout=300)
            check(done.returncode == 0, done.stdout + done.stderr)
        check(filecmp.cmp(*outs, shallow=False), "two bundles of the same sources differ")
        subprocess.run(["tar", "-C", d, "-xzf", outs[0]], check=True)
        (top,) = (n for n in os.listdir(d) if os.path.isdir(f"{d}/{n}"))
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=f"{d}/{top}", check=True)
        for name in ("bin/berth", "bin/berth.1", "bin/berth.bash", "images/berth.tar.gz", "install.sh", "k8s/kubesphere/Jenkinsfile", "metrics/grafana/berth-overview.json",
                     "metrics/prometheus/berth.rules.yaml", "docs/operations.md", "docker/compose.yaml", "berth.cdx.json", "k8s/cluster/rendered.yaml", "INSTALL.txt"):
            check(os.path.exists(f"{d}/{top}/{name}"), f"the bundle has no {name}")
        image_of(f"{d}/{top}")
        installs(f"{d}/{top}", d)


def image_of(top):
    """The archive is an image as docker and containerd read one, with the settings of the Dockerfile, and the bill is that of it."""
    with tarfile.open(f"{top}/images/berth.tar.gz") as image:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        config = image.extractfile(manifest["Config"]).read()
        check(manifest["Config"] == hashlib.sha256(config).hexdigest() + ".json", "the configuration's name")
        (layer,) = manifest["Layers"]
        packed = image.extractfile(layer).read()
    config = json.loads(config)
    check(config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(packed).hexdigest()], "the layer's digest")
    check(re.fullmatch(r"berth:\d+\.\d+\.\d+", manifest["RepoTags"][0]), f"{manifest}")
    c = config["config"]
    check(c["User"] == "10001:10001" and c["Entrypoint"] == ["berth-entrypoint"] and c["Cmd"] == ["serve"] and c["Volumes"] == {"/data": {}}, f"{c}")
    check({"BERTH_DEFAULTS_FILE=/usr/share/berth/image.yaml"} <= set(c["Env"]) and "1883/tcp" in c["ExposedPorts"], f"{c}")
    check(c["Healthcheck"]["Test"] == ["CMD", "berth-entrypoint", "healthcheck"] and c["Healthcheck"]["Interval"] == 10**10, f"{c}")
    for label in ("revision", "version", "created", "licenses", "base.name"):
        check(c["Labels"].get("org.opencontainers.image." + label), f"no label {label}: {c['Labels']}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        owners = {m.name: (m.uid, m.gid, m.mode) for m in tar}
    check(owners["data"] == (10001, 10001, 0o700) and owners["usr/bin/berth"] == (0, 0, 0o755), f"{owners['data']} {owners['usr/bin/berth']}")
    check({o[:2] for n, o in owners.items() if n != "data"} == {(0, 0)}, "files of somebody else")
    with gzip.open(f"{top}/images/berth.tar.gz") as f, tempfile.NamedTemporaryFile(suffix=".tar") as plain:
        shutil.copyfileobj(f, plain)
        plain.flush()
        made = json.loads(subprocess.run([source + "/scripts/sbom", plain.name], check=True, text=True, capture_output=True).stdout)
    with open(f"{top}/berth.cdx.json", encoding="utf-8") as f:
        there = json.load(f)
    check(made["components"] == there["components"] and len(there["components"]) > 30, "another bill of the image than of its root")


def installs(top, d):
    """install.sh with stand-ins for its tools: in its order; and nothing is changed where a check fails."""
    os.makedirs(d + "/tools")
    for name, says in (("helm", ""), ("ctr", "cat >/dev/null"), ("kubectl", 'case "$1" in get) cat "$NODES" ;; esac')):
        with open(f"{d}/tools/{name}", "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\necho "{name} $*" >>"{d}/calls"\n{says}\n')
        os.chmod(f"{d}/tools/{name}", 0o755)

    def run(code, *args, nodes=""):
        with open(d + "/nodes", "w", encoding="utf-8") as f:
            f.write(nodes or subprocess.run(["dpkg", "--print-architecture"], text=True, capture_output=True, check=True).stdout)
        open(d + "/calls", "w", encoding="utf-8").close()
        done = subprocess.run([top + "/install.sh", *args], text=True, capture_output=True, timeout=120,
                              env={**os.environ, "PATH": f"{d}/tools:{os.environ['PATH']}", "NODES": d + "/nodes"})
        check(done.returncode == code, f"install.sh {args}: {done.returncode} {done.stdout}{done.stderr}")
        with open(d + "/calls", encoding="utf-8") as f:
            return f.read(), done.stdout + done.stderr

    calls, _ = run(0)
    order = [calls.find(w) for w in ("kubectl version", "helm template", "ctr -n k8s.io images import -", "helm upgrade --install berth", "helm test berth")]
    check(-1 not in order and order == sorted(order), f"install.sh: {calls}")
    check("--set image.repository=berth --set-string image.tag=" in calls, calls)
    check("upgrade" not in run(1, nodes="riscv64\n")[0], "an image for other nodes")
    calls, said = run(0, "--dry-run", "--push", "r.example/berth")
    check("upgrade" not in calls and "image.repository=r.example/berth" in said, said)
    check("usage" not in run(64, "--nonsense")[0], "a flag that is not known")
    with open(top + "/docs/operations.md", "a", encoding="utf-8") as f:
        f.write("changed\n")
    check(run(1)[0] == "", "files that were changed")


def main():
    if os.geteuid() != 0:
        skip("not root")
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        skip("no namespaces here")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
        root = d + "/root"
        subprocess.run(["cp", "-a", bare_root(), root], check=True)
        fill(root)
        size = look(root)
        bill(root)
        for what in (serves, file_counts, arguments, secrets, data_of_another):
            what(root)
        bundle(bare_root())
    print(f"{size / 2**20:.0f} MB; the entry point does what it says")


main()
