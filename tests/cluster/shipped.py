"""The settings that the Helm chart ships, from k8s/cluster/rendered.yaml: how often a pod is asked, how long it must be ready, how it is ended."""
import time

import yaml


class Role:
    """Of edges or engines."""

    def __init__(self, objects, name):
        of = lambda kind, n: next(o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, n))
        spec = of("Deployment", f"berth-{name}")["spec"]
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        self.grace = pod["terminationGracePeriodSeconds"]
        self.pre_stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        self.min_ready = spec["minReadySeconds"]
        self.period = container["readinessProbe"]["periodSeconds"]
        config = yaml.safe_load(of("ConfigMap", f"berth-{name}")["data"]["berth.yaml"])
        self.linger = config.get("drain", {}).get("linger_s", 0)
        flat = {(section, key): value for section, keys in config.items() if isinstance(keys, dict) for key, value in keys.items()}
        flat |= {(key,): value for key, value in config.items() if not isinstance(value, dict)}
        # All that is not of a place: addresses, files, what a scenario decides itself.
        self.env = {"BERTH_" + "_".join(k).upper(): str(v) for k, v in flat.items() if isinstance(v, int) and not isinstance(v, bool)
                    and k not in (("cluster", "partitions"), ("shards",))}

    def ready(self, pod):
        """As the kubelet and the Deployment see it: asked once a period, and ready for min_ready without a break."""
        since = None
        deadline = time.monotonic() + 60 + self.min_ready
        while time.monotonic() < deadline:
            since = (since or time.monotonic()) if pod.ready() else None
            if since and time.monotonic() - since >= self.min_ready:
                return
            time.sleep(self.period)  # between two probes
        raise RuntimeError(f"timed out: {pod.name} ready for {self.min_ready} s")


def roles(root):
    with open(f"{root}/k8s/cluster/rendered.yaml", encoding="utf-8") as f:
        objects = [o for o in yaml.safe_load_all(f) if o]
    return {name: Role(objects, name) for name in ("edge", "engine")}
