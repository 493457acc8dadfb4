#!/usr/bin/env python3
"""What scripts/docker-test does with the images berth:test, redis:test, mosquitto:test, prometheus:test, in a dockerd of its own.

  run.py --docker CLIENT --namespace PID --revision REVISION [--oracle BINARY]

PID is a process in the network namespace of this dockerd: clients run there.
"""
import argparse, json, os, subprocess, sys, time, urllib.parse

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPOSE = os.path.join(SOURCE, "docker/compose.yaml")
WITHOUT = {"grafana"}  # no package of Debian
MEGABYTES_MAX = 120
asked = argparse.ArgumentParser()
for name in ("--docker", "--namespace", "--revision", "--oracle"):
    asked.add_argument(name)
asked = asked.parse_args()
IMAGES = {"BERTH_IMAGE": "berth:test", "REDIS_IMAGE": "redis:test", "MOSQUITTO_IMAGE": "mosquitto:test", "PROMETHEUS_IMAGE": "prometheus:test",
          "BERTH_AUTH_ANONYMOUS": "always"}  # the oracle's devices have no names


def run(*words, may_fail=False, **more):
    done = subprocess.run(words, text=True, capture_output=True, timeout=300, **more)
    if done.returncode != 0 and not may_fail:
        raise SystemExit(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def docker(*words, **more):
    return run(asked.docker, *words, **more)


def compose(*words, **more):
    return run("docker-compose", "-p", "berth", "-f", COMPOSE, *words, env={**os.environ, **IMAGES, "COMPOSE_DOCKER_CLI_BUILD": "0"}, **more)


def client(*words, **more):
    return run("nsenter", "-t", asked.namespace, "-n", *words, **more)


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def eventually(condition, seconds, what):
    deadline = time.time() + seconds
    while time.time() < deadline:
        if condition():
            return
        time.sleep(0.3)  # between looks
    raise SystemExit(f"not within {seconds} s: {what() if callable(what) else what}")


def address(container):
    return docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)


def health(container):
    return docker("inspect", "-f", "{{.State.Health.Status}}", container)


def the_image():
    size = int(docker("image", "inspect", "-f", "{{.Size}}", "berth:test"))
    labels = json.loads(docker("image", "inspect", "-f", "{{json .Config.Labels}}", "berth:test"))
    check(size < MEGABYTES_MAX * 2**20, f"{size >> 20} MB")
    check(labels["org.opencontainers.image.revision"] == asked.revision, f"labels {labels}")
    print(f"image: {size / 2**20:.0f} MB, revision {asked.revision}", flush=True)


def as_a_pod():
    docker("rm", "-f", "one", "two", may_fail=True)  # of a run before, with --keep
    docker("run", "-d", "--name", "one", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
           "--tmpfs", "/data:uid=10001,gid=10001", "berth:test", "--anonymous")
    eventually(lambda: health("one") == "healthy", 60, lambda: f"healthy: {docker('logs', 'one')}")
    at = address("one")
    client("mosquitto_pub", "-h", at, "-t", "t", "-q", "1", "-r", "-m", "stays")
    status = json.loads(docker("exec", "one", "berth", "ctl", "status", "--json"))
    engine = next(e["pid"] for e in status["engines"] if e["state"] == "serving")
    docker("exec", "one", "kill", "-9", str(engine))
    got = client("mosquitto_sub", "-h", at, "-t", "t", "-C", "1", "-W", "10")
    check(got == "stays", f"the retained message is gone: {got!r}")
    check(docker("exec", "one", "id", "-u") == "10001", "another user")
    docker("stop", "-t", "30", "one")
    check(docker("inspect", "-f", "{{.State.ExitCode}}", "one") == "0", docker("logs", "one"))
    docker("rm", "one")
    docker("run", "--name", "two", "-v", "kept:/data", "-d", "berth:test")
    eventually(lambda: health("two") == "healthy", 60, lambda: f"healthy: {docker('logs', 'two')}")
    log = subprocess.run([asked.docker, "logs", "two"], text=True, capture_output=True, timeout=60)
    check("every device on another host will be refused" in log.stdout + log.stderr, f"no helpful word: {log}")
    docker("rm", "-f", "two")
    print("container: served, survived its engine's death, stopped with 0; says what is missing", flush=True)


class Oracle:
    def __init__(self, host, name):
        self.p = subprocess.Popen(["nsenter", "-t", asked.namespace, "-n", asked.oracle, "mqtt", host, "1883", "1883", name, "40", "200"],
                                  text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        check(self.p.stdout.readline().strip() == "connected", "the oracle's devices can't connect")

    def report(self):
        self.p.stdin.write("stop\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())


def upstream_hears(host, messages=5):
    client("mosquitto_sub", "-h", host, "-t", "berth/v1/#", "-F", "%t", "-C", str(messages), "-W", "60")


def serving():
    """Of the engines those that serve."""
    out = []
    for e in ("engine-1", "engine-2"):
        page = run(asked.docker, "exec", f"berth_{e}_1", "wget", "-q", "-O", "-", "http://127.0.0.1:9180/metrics", may_fail=True)
        if "\nberth_engine_serving 1" in page:
            out.append(e)
    return out


def rolled():
    """Each engine's container is replaced under load; the one that serves first, so that the sessions move."""
    for _ in range(2):
        for engine in sorted(("engine-1", "engine-2"), key=lambda e: e not in serving()):
            before = docker("inspect", "-f", "{{.Id}}", f"berth_{engine}_1")
            compose("up", "-d", "--no-deps", "--force-recreate", engine)
            check(docker("inspect", "-f", "{{.Id}}", f"berth_{engine}_1") != before, f"{engine} was not replaced")
            eventually(lambda: health(f"berth_{engine}_1") == "healthy", 90, f"{engine} healthy")


def the_compose_file():
    services = [s for s in compose("config", "--services").split() if s not in WITHOUT]
    compose("up", "-d", *services)
    try:
        eventually(lambda: health("berth_edge_1") == "healthy", 120, lambda: compose("logs", "--tail", "20"))
        upstream = address("berth_upstream_1")
        upstream_hears(upstream)
        edge, prometheus = address("berth_edge_1"), address("berth_prometheus_1")

        def asked_prometheus(q):
            url = f"http://{prometheus}:9090/api/v1/query?" + urllib.parse.urlencode({"query": q})
            text = client("curl", "-sf", "--max-time", "5", url, may_fail=True)
            return [s["value"][1] for s in json.loads(text)["data"]["result"]] if text else []

        eventually(lambda: asked_prometheus("count(berth_build_info)") == ["3"], 60, "Prometheus sees the edge and two engines")
        eventually(lambda: asked_prometheus("sum(berth_connections)") not in ([], ["0"]), 60, "the lot's devices")
        closed = 'sum(berth_connection_closed_total{reason!~"client|taken_over"})'
        oracle = Oracle(edge, "swarm") if asked.oracle else None
        before = asked_prometheus(closed)
        rolled()
        upstream_hears(upstream)
        time.sleep(6)  # Prometheus' next look, 5 s apart
        check(asked_prometheus(closed) == before, f"connections were closed: {before}, now {asked_prometheus(closed)}")
        moved = float((asked_prometheus("sum(berth_connections_reattached_total)") or ["0"])[0])
        check(moved > 0, "no connection was handed to another engine: nothing was tried")
        print(f"compose: four engine containers replaced, {moved:.0f} connections handed over, none closed", flush=True)
        if oracle:
            report = oracle.report()
            print(" ".join(f"{k}={v}" for k, v in report.items() if k != "first_problem"), flush=True)
            bad = [k for k in ("lost", "closed", "resent_live", "qos2_doubled", "out_of_order", "second_connacks", "session_absent") if report[k]]
            check(report["settled"] and report["published"] and not bad, f"the oracle's devices noticed: {bad} {report['first_problem']}")
    finally:
        for c in docker("ps", "-a", "--format", "{{.Names}} {{.Status}}").splitlines():
            if "Exited" in c and "registry" not in c:
                print(c, docker("logs", "--tail", "20", c.split()[0]), file=sys.stderr)
        compose("down", "-v", "-t", "30")


the_image()
as_a_pod()
the_compose_file()
