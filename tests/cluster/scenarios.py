"""What happens to the cluster while devices talk. Each takes (cluster, random, seconds)."""
import signal
import time

from pods import wait_for


def every(seconds, period, act):
    end = time.monotonic() + seconds
    next_at = time.monotonic() + min(period, 1.0)
    while time.monotonic() < end:
        time.sleep(max(0.0, min(next_at, end) - time.monotonic()))
        if time.monotonic() >= end:
            return
        act()
        next_at += period


def baseline(c, random, seconds):
    """What this machine does to devices by itself: pods that come and go, doing nothing."""
    def act():
        c.net.pod("idle")
        c.endpoints()
        c.net.remove("idle")
    every(seconds, 1, act)


def rolling(c, random, seconds):
    end = time.monotonic() + seconds
    while True:
        c.roll_engines()
        time.sleep(1)
        if time.monotonic() > end:
            return


def dns_cache(c, random, seconds):
    """Nodes have a cache of names: for a while after a change of the engines all pods find those of before. Engines are replaced one
    after the other meanwhile, and the one that serves is killed."""
    end = time.monotonic() + seconds
    for cache_s in (5, 30, 60):
        c.dns_cache_s = cache_s
        c.roll_engines()
        c.active().kill()
        c.revive()
        c.active(30)
        if time.monotonic() > end:
            return


def scale(c, random, seconds):
    while len(c.engines) > 2:
        c.remove_engine(c.engines[0])
    for _ in range(2):
        c.add_engine()
        time.sleep(1)
    for _ in range(2):
        c.remove_engine(c.active())
        time.sleep(1)
    time.sleep(max(0, seconds - 6))


def kill(c, random, seconds):
    def act():
        c.revive()
        random.choice(c.engines).send(signal.SIGKILL)
    every(seconds, 2, act)
    c.revive()


def kill_active(c, random, seconds):
    def act():
        c.revive()
        c.active().kill()
    every(seconds, 2, act)
    c.revive()


def stop(c, random, seconds):
    def act():
        e = c.active()
        e.send(signal.SIGSTOP)
        time.sleep(5)
        e.send(signal.SIGCONT)
    every(seconds, 7, act)


def partition_edge(c, random, seconds):
    """The serving engine and one edge don't hear one another; then it and all edges."""
    turn = [0]

    def act():
        e = c.active()
        turn[0] += 1
        cut = c.edges[:1] if turn[0] % 2 == 1 else c.edges
        for edge in cut:
            c.net.partition(e.name, edge.name)
        time.sleep(5)
        for p in [e] + cut:
            c.net.heal(p.name)
    every(seconds, 8, act)


def partition_redis(c, random, seconds):
    def act():
        e = c.active()
        for r in c.redis + [c.sentinel]:
            c.net.partition(e.name, r.name)
        time.sleep(5)
        for p in [e, c.sentinel] + c.redis:
            c.net.heal(p.name)
    every(seconds, 8, act)


def partition_engines(c, random, seconds):
    """Two engines don't hear one another: what they have for one another waits in the store."""
    def act():
        a, b = random.sample(c.engines, 2)
        c.net.partition(a.name, b.name)
        time.sleep(4)
        for p in (a, b):
            c.net.heal(p.name)
    every(seconds, 7, act)


def orphan(c, random, seconds):
    """An edge and an engine that serves die together: the sessions are the survivors'."""
    def act():
        edge, engine = random.choice(c.edges), c.active()
        edge.send(signal.SIGKILL)
        engine.kill()
        edge.kill()
        c.endpoints()
        c.revive()
        edge.start()
        wait_for("edge ready", edge.ready)
        c.endpoints()
    every(seconds, 8, act)


def redis_failover(c, random, seconds):
    def act():
        old = c.master()
        old.kill()
        wait_for("another master", lambda: c.master() is not None)
        old.start(c.master())  # a StatefulSet's pod comes back, as a replica
        wait_for("replicas", lambda: c.master().ask("INFO", "replication").count("state=online") == 2)
    every(seconds, 10, act)


def edge_drain(c, random, seconds):
    def act():
        old = c.edges[0]
        new = c.add_edge(f"edge-{time.monotonic_ns() % 100000}")
        wait_for("edge ready", new.ready)
        c.end_edge(old)
        old.delete()
    every(seconds, 8, act)


def edge_upgrade(c, random, seconds):
    """Each edge is replaced on its host, one after the other."""
    every(seconds, 1, lambda: [e.upgrade() for e in c.edges])


def skew(c, random, seconds):
    """An upgrade and its roll back, with both releases in the cluster meanwhile (--old): engines first and back, then edges on their
    hosts under engines of the release before, then engines; then the whole way back. The cluster began with the old release."""
    new, old = c.release["new"], c.release["old"]
    for role, berth in (("engine", new), ("engine", old), ("edge", new), ("engine", new), ("edge", old), ("engine", old), ("edge", new)):
        c.berth_of[role] = berth
        if role == "engine":
            c.roll_engines()
        else:
            for e in c.edges:
                e.upgrade()
        time.sleep(1)


def edge_succession(c, random, seconds):
    """Edges with many TLS connections, which the old process closes at a slow pace, are replaced on their host; in turn the new pod
    is ended before it has everything (the old one keeps all), and the old one is (it finishes)."""
    c.edge_env["BERTH_CLUSTER_DRAIN_PER_S"] = "50"
    for e in c.edges:  # from now on at that pace
        e.upgrade()
    turns = [None, "new", "old"]

    def act():
        end = turns[0]
        turns.append(turns.pop(0))
        for e in c.edges:
            e.upgrade(end)
    every(seconds, 1, act)


def edge_kill(c, random, seconds):
    def act():
        e = random.choice(c.edges)
        e.kill()
        c.endpoints()
        e.start()
        wait_for("edge ready", e.ready)
        c.endpoints()
    every(seconds, 8, act)


def everything(c, random, seconds):
    acts = [lambda: c.active().kill(), lambda: random.choice(c.engines).kill(), c.roll_engines,
            lambda: stop(c, random, 7), lambda: partition_edge(c, random, 8),
            lambda: partition_redis(c, random, 8), lambda: redis_failover(c, random, 10),
            lambda: partition_engines(c, random, 7), lambda: orphan(c, random, 8),
            lambda: edge_kill(c, random, 8), lambda: edge_drain(c, random, 8)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        c.revive()
        random.choice(acts)()
        time.sleep(random.random())
    c.revive()


# name -> (what it does, seconds, seconds with --short, devices may be disconnected: no, yes, those with TLS)
SCENARIOS = {
    "baseline": (baseline, 10, 5, False),
    "rolling": (rolling, 20, 8, False),
    "dns-cache": (dns_cache, 400, 1, False),
    "scale": (scale, 15, 8, False),
    "kill": (kill, 30, 9, False),
    "kill-active": (kill_active, 30, 9, False),
    "stop": (stop, 30, 9, False),
    "partition-edge": (partition_edge, 34, 17, False),
    "partition-redis": (partition_redis, 30, 9, False),
    "partition-engines": (partition_engines, 20, 8, False),
    "redis-failover": (redis_failover, 30, 10, False),
    "edge-drain": (edge_drain, 25, 9, True),
    "edge-upgrade": (edge_upgrade, 20, 7, "tls"),
    "edge-succession": (edge_succession, 40, 20, "tls"),
    "skew": (skew, 20, 20, "tls"),  # with --old only
    "edge-kill": (edge_kill, 25, 9, True),
    "orphan": (orphan, 25, 9, True),
    "everything": (everything, 180, 30, True),
}
