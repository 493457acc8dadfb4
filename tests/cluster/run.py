#!/usr/bin/env python3
"""The cluster under trouble, and what its devices see of it; see scripts/cluster-test."""
import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from commands import registry_yaml, uplinks_yaml  # noqa: E402
from net import SERVICE, Net  # noqa: E402
from pods import ADMIN, MQTT, PORTS, Cluster, token_file  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLUMNS = ("scenario", "dropped %", "ack p50", "p99", "max ms", "silence", "acked", "lost", "doubled",
           "resent", "wills", "order", "reconn/s", "commands", "ok %", "safe %", "uncert %", "late", "twice", "open p50", "offline", "history",
           "stream")


UNTOLD_SHARE = 0.02  # of the commands, at most, may be UNCERTAIN for a link or store that was away at their deadline


class Worker:
    """A process in a pod of its own that works until it is asked to stop, and reports."""

    def __init__(self, net, name, argv):
        self.process = subprocess.Popen(net.inside(name) + argv, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def wait_connected(self):
        if self.process.stdout.readline().strip() != "connected":
            raise RuntimeError("devices could not connect")

    def ask_to_stop(self):
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()

    def report(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("devices ended without a report")
        return json.loads(line)

    def close(self):
        self.process.kill()
        self.process.wait()


class Oracle(Worker):
    """Devices with messages."""

    def __init__(self, net, build, name, protocol, devices, rate, reconnect):
        super().__init__(net, name, [os.path.join(build, "tests/berth-oracle"), protocol, SERVICE, str(PORTS[protocol]),
                                     str(MQTT), name, str(devices), str(rate), *(["reconnect"] if reconnect else [])])


class Commands(Worker):
    """A platform that commands devices of its own."""

    def __init__(self, net, name, directory, devices, rate, engines):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands.py")
        super().__init__(net, name, [sys.executable, path, SERVICE, str(MQTT), str(ADMIN), token_file(directory),
                                     str(devices), str(rate), ",".join([SERVICE] + [e.address for e in engines])])


def total(reports):
    out = {}
    for key in reports[0]:
        values = [r[key] for r in reports]
        if key == "settled":
            out[key] = all(values)
        elif key == "first_problem":
            out[key] = "; ".join(v for v in values if v)
        elif key.endswith("_ms"):
            out[key] = max(values)
        else:
            out[key] = sum(values)
    return out


def may_disconnect(rule, protocol):
    return rule is True or (rule == "tls" and protocol.endswith("s"))


# An edge is out of its engine's reach for a while: a device's result that came to the edge meanwhile comes to the engine
# after the deadline. Nobody can know then, so UNCERTAIN is right; of so many commands in a hundred at most.
SEPARATED = {"partition-edge": 5, "everything": 5}
STREAMED = ("baseline", "kill", "stop")  # the stream of events is judged


def broken(r, closed, name):
    """The invariants that do not hold; `closed`: connections that may not have been."""
    keys = ["lost", "resent_live", "wrong_wills", "qos2_doubled", "out_of_order", "second_connacks",
            "window_exceeded", "session_absent", "qos0_doubled"]
    bad = [f"{k}={r[k]}" for k in keys if r[k] != 0] + ([f"closed={closed}"] if closed else [])
    commands = ["cmd_no_outcome", "cmd_wrong_events", "cmd_late", "cmd_twice", "cmd_wrong", "cmd_unasked", "cmd_changed", "cmd_uplink_missing",
                "seen_false_offline", "seen_since_moved", "seen_unsettled", "seen_history_missing", "seen_history_wrong"]
    commands += ["seen_stream_missing", "seen_stream_backward"] if name in STREAMED else []
    bad += [f"{k}={r[k]}" for k in commands if r[k] != 0]
    if r["cmd_unexplained"] * 100 > r["cmd_accepted"] * SEPARATED.get(name, 0):
        bad.append(f"cmd_unexplained={r['cmd_unexplained']}")
    if closed == 0 and not r["may_disconnect"] and r["cmd_broken"]:
        bad.append(f"cmd_broken={r['cmd_broken']}")
    # A home decides at the deadline, whoever it can't hear then; what it did not hear stands beside the outcome.
    if r["cmd_untold"] > (0 if r["scenario"] == "baseline" else max(3, UNTOLD_SHARE * r["cmd_accepted"])):
        bad.append(f"cmd_untold={r['cmd_untold']}")
    if r["cmd_accepted"] == 0:
        bad.append("no command was accepted")
    # Else the gaps explain everything, or the stream was never at an engine or never at an edge.
    if name in STREAMED and r["seen_stream_in_gap"] * 10 > r["cmd_accepted"]:
        bad.append(f"seen_stream_in_gap={r['seen_stream_in_gap']}")
    if name == "kill" and (len(r["seen_stream_read_at"]) < 2 or SERVICE not in r["seen_stream_read_at"]):
        bad.append(f"the stream was read at {r['seen_stream_read_at']} only: {r['seen_stream_refused']}")
    return bad + [f"{k} not settled" for k in ("settled", "cmd_settled") if not r[k]]


def run_scenario(name, a):
    act, long, short, rule = SCENARIOS[name]
    seconds = a.seconds or (short if a.short else long)
    directory = tempfile.mkdtemp(prefix="berth-cluster-")
    net = Net()
    cluster = None
    oracles = []
    failed = True
    try:
        clients = [f"clients-{i}" for i in range(a.processes)]
        for c in clients + ["platform"]:
            net.pod(c)
        cluster = Cluster(net, directory, os.path.join(a.build, "berth"), clients + ["platform"],
                          partitions=a.partitions, registry=registry_yaml(a.commanded), uplinks=uplinks_yaml(net.address("platform")),
                          shipped=a.shipped, old=a.old if name == "skew" else None)
        share = a.devices // a.processes
        protocols = [a.protocols[i % len(a.protocols)] for i in range(a.processes)]
        oracles = [Oracle(net, a.build, c, p, share, a.rate / a.processes, may_disconnect(rule, p))
                   for c, p in zip(clients, protocols)]
        oracles.append(Commands(net, "platform", directory, a.commanded, a.commands, cluster.engines))
        for o in oracles:
            o.wait_connected()
        time.sleep(1)
        try:
            act(cluster, random.Random(a.seed), seconds)
        finally:
            for e in cluster.engines + cluster.edges:
                e.send(signal.SIGCONT)
        for o in oracles:
            o.ask_to_stop()
        reports = [o.report() for o in oracles]
        commands = reports.pop()
        r = total(reports)
        r.update(commands, may_disconnect=may_disconnect(rule, "mqtt"))
        if not cluster.all_knew_uplinks:
            r["cmd_uplink_missing"] = 0
        r.update(scenario=name, devices=share * a.processes, seconds=seconds, seed=a.seed,
                 stale_steps=sum(e.metric('berth_steps_total{result="refused_stale"}') for e in cluster.edges),
                 partitions=a.partitions,
                 gaps_ms=[1000 * e.metric("berth_engine_last_gap_seconds") for e in cluster.edges])
        r["broken"] = broken(r, sum(x["closed"] for x, p in zip(reports, protocols) if not may_disconnect(rule, p)), name)
        failed = bool(r["broken"])
        return r
    finally:
        for o in oracles:
            o.close()
        if cluster:
            cluster.close()
        net.close()
        if failed or a.keep:
            print(f"logs: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def row(r):
    return (r["scenario"], f"{100 * r['closed'] / r['devices']:.2f}", f"{r['p50_ms']:.1f}", f"{r['p99_ms']:.0f}",
            f"{r['max_ms']:.0f}", f"{r['silence_max_ms']:.0f}", str(r["published"]), str(r["lost"]),
            str(r["doubled"]), str(r["resent_live"]), str(r["wrong_wills"]), str(r["out_of_order"]),
            str(r["reconnects_peak"]), *of_commands(r))


def of_commands(r):
    share = lambda *outcomes: f"{100 * sum(r.get('cmd_outcome_' + o, 0) for o in outcomes) / max(1, r['cmd_accepted']):.1f}"
    return (str(r["cmd_accepted"]), share("succeeded"), share("not_delivered", "expired"), share("uncertain"),
            str(r["cmd_late"]), str(r["cmd_twice"]), f"{r['cmd_open_p50_ms']:.0f}",
            str(r["seen_false_offline"] + r["seen_since_moved"] + r["seen_unsettled"]),
            str(r["seen_history_missing"] + r["seen_history_wrong"]),
            str(r["seen_stream_missing"] + r["seen_stream_backward"]))


def may_make_namespaces():
    """Root, and a kernel and a container that let it: tried with all that is needed."""
    if os.getuid() != 0:
        return False
    child = os.fork()
    if child == 0:
        net = None
        try:
            net = Net()
            net.pod("a")
            net.service("a", PORTS.values(), ["10.244.0.3"])
            net.partition("a", "a")
            os._exit(0)
        except BaseException as e:  # noqa: BLE001
            print(f"no namespaces: {e}", file=sys.stderr)
            os._exit(1)
    good = os.waitpid(child, 0)[1] == 0
    for ns in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split():
        if ns.startswith(f"bt{child}-"):
            subprocess.run(["ip", "netns", "del", ns])
            shutil.rmtree(f"/etc/netns/{ns}", ignore_errors=True)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--short", action="store_true", help="a form for CI")
    p.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=int, default=0)
    p.add_argument("--devices", type=int, default=0, help="connections (1000; 300 with --short)")
    p.add_argument("--rate", type=float, default=0, help="messages a second of all devices")
    p.add_argument("--commanded", type=int, default=24, help="devices of the platform that sends commands")
    p.add_argument("--commands", type=float, default=20, help="commands a second")
    p.add_argument("--partitions", type=int, default=1, help="of the sessions")
    p.add_argument("--processes", type=int, default=2, help="of devices")
    p.add_argument("--protocols", default="mqtt,park", help="of these processes in turn: " + ", ".join(PORTS))
    p.add_argument("--build", default=os.path.join(ROOT, "build/release"), help="where the binaries are")
    p.add_argument("--old", help="a berth of another release, for the scenario skew")
    p.add_argument("--shipped", action="store_true", help="settings, probes and ends of pods as k8s/cluster/rendered.yaml has them")
    p.add_argument("--keep", action="store_true", help="keep the logs of scenarios that went well too")
    p.add_argument("--json", help="write the reports here too")
    a = p.parse_args()
    a.protocols = a.protocols.split(",")
    if a.shipped:
        from shipped import roles  # needs python3-yaml
        a.shipped = roles(ROOT)
    if "skew" in (a.scenario or []) and not a.old:
        p.error("skew needs --old")
    if not set(a.protocols) <= set(PORTS):
        p.error("--protocols: of " + ", ".join(PORTS))
    if not may_make_namespaces():
        print("skipped: this user may not make network namespaces")
        sys.exit(77)
    a.devices = a.devices or (300 if a.short else 1000)
    a.rate = a.rate or (1000 if a.short else 2000)
    print(f"machine: {os.cpu_count()} x {platform.machine()}, kernel {platform.release()}; devices {a.devices}, "
          f"partitions {a.partitions}, "
          f"{a.rate:.0f} messages/s, {' and '.join(a.protocols)}, seed {a.seed}; times in ms from PUBLISH or report to its "
          "acknowledgement")
    widths = [max(len(c), 9) for c in COLUMNS]
    widths[0] = 15
    print(" ".join(c.rjust(w) for c, w in zip(COLUMNS, widths)))
    reports = []
    for name in a.scenario or [s for s in SCENARIOS if s != "skew" or a.old]:
        # a process of its own: it moves into the scenario's network
        path = os.path.join(tempfile.gettempdir(), f"berth-cluster-report-{os.getpid()}.json")
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
            code = 1
            try:
                with open(path, "w") as f:
                    json.dump(run_scenario(name, a), f)
                code = 0
            except BaseException as e:  # noqa: BLE001
                print(f"{name}: {e}", file=sys.stderr)
            sys.stdout.flush()
            os._exit(code)
        status = os.waitpid(child, 0)[1]
        if status != 0:
            reports.append({"scenario": name, "broken": ["did not run"]})
            continue
        with open(path) as f:
            r = json.load(f)
        os.remove(path)
        reports.append(r)
        print(" ".join(c.rjust(w) for c, w in zip(row(r), widths)), flush=True)
        if r["broken"]:
            print(f"  BROKEN: {', '.join(r['broken'])} {r['first_problem']}", flush=True)
            print("".join(f"    {text}\n" for text in r["cmd_problems"]), end="", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(reports, f, indent=1)
    bad = [r["scenario"] for r in reports if r["broken"]]
    print("all invariants held" if not bad else f"broken: {', '.join(bad)}")
    sys.exit(1 if bad else 0)


main()
