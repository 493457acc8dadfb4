"""An outage of Redis, with the probes that the chart ships."""
import tempfile, time

from loopback import Cluster

QUICKER = 40  # the kubelet of this test asks so much more often than the period says


class Kubelet:
    """Asks the probes of a pod, and kills it when one has failed as often as the chart has it."""

    def __init__(self, pod):
        self.pod, self.failed, self.started, self.killed, self.lived = pod, 0, False, "", 0

    def ask(self):
        which = "livenessProbe" if self.started else "startupProbe"
        probe = self.pod.container[which]
        try:
            good = self.pod.probe(which)
        except OSError:
            good = False
        self.lived += self.started
        self.failed = 0 if good else self.failed + 1
        self.started = self.started or good
        if self.failed >= probe["failureThreshold"]:
            self.killed = which
        time.sleep(probe["periodSeconds"] / QUICKER)  # between two probes

    def content(self):
        """It would have killed by now what never answers."""
        return self.lived >= 3 * self.pod.container["livenessProbe"]["failureThreshold"]


def no_engine(chart, berth, check):
    """An edge that starts while no engine serves is not killed for it, however long that lasts; it is not ready. It serves as soon as there is
    an engine."""
    for kind in ("Deployment", "DaemonSet"):
        values = {"edge": {"kind": kind, "daemonSet": {"namespace": "berth"}}}
        with tempfile.TemporaryDirectory(dir=chart.scratch) as d:
            c = Cluster(chart, berth, d, values)
            try:
                c.edge.start()
                kubelet = Kubelet(c.edge)
                while not kubelet.killed and not kubelet.content():
                    kubelet.ask()
                check(not kubelet.killed, f"{kind}: an edge without an engine is killed: {kubelet.killed} has failed {kubelet.failed} times")
                check(c.edge.alive() and not c.edge.probe("readinessProbe"), f"{kind}: an edge without an engine is ready")
                for pod in (c.redis, c.engine):
                    pod.start()
                c.edge.become_ready()
            finally:
                c.__exit__()
