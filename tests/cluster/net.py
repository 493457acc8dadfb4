"""Pods as network namespaces on one bridge, a Service address balanced with nftables, partitions.

Nothing is made in the machine's own network: the bridge is in a namespace too, into which this process
moves. Everything has the prefix of one Net and goes away with it.
"""
import ctypes
import os
import signal
import subprocess

CLONE_NEWNET = 0x40000000
SERVICE = "10.96.0.1"


def run(*argv, check=True, text_input=None):
    done = subprocess.run(argv, capture_output=True, text=True, input=text_input)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Net:
    def __init__(self):
        self.prefix = f"bt{os.getpid()}"
        self.switch = f"{self.prefix}-switch"
        self.pods = {}
        self.count = 0
        run("ip", "netns", "add", self.switch)
        fd = os.open(f"/run/netns/{self.switch}", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", "10.244.0.1/16", "dev", "br0")
        run("ip", "link", "set", "br0", "up")

    def pod(self, name):
        """A namespace with an address. Returns the address."""
        self.count += 1
        ns, link = f"{self.prefix}-{name}", f"v{self.count}"
        address = f"10.244.{self.count // 250}.{self.count % 250 + 2}"
        os.makedirs(f"/etc/netns/{ns}", exist_ok=True)
        open(f"/etc/netns/{ns}/hosts", "w").write("127.0.0.1 localhost\n")
        run("ip", "netns", "add", ns)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", ns)
        run("ip", "link", "set", link, "master", "br0", "up")
        for command in (["link", "set", "lo", "up"], ["addr", "add", address + "/16", "dev", "eth0"],
                        ["link", "set", "eth0", "up"], ["route", "add", "default", "via", "10.244.0.1"]):
            run("ip", "-n", ns, *command)
        self.nft(ns, "add table ip cut; add chain ip cut in { type filter hook input priority 0; }; "
                     "add chain ip cut out { type filter hook output priority 0; }")
        self.pods[name] = (ns, address)
        return address

    def remove(self, name):
        """With the processes in it: none may go on when the start of a cluster has failed."""
        ns, _ = self.pods.pop(name)
        for pid in run("ip", "netns", "pids", ns, check=False).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run("ip", "netns", "del", ns, check=False)
        try:
            os.remove(f"/etc/netns/{ns}/hosts")
            os.rmdir(f"/etc/netns/{ns}")
        except OSError:
            pass

    def close(self):
        for name in list(self.pods):
            self.remove(name)
        run("ip", "netns", "del", self.switch, check=False)

    def address(self, name):
        return self.pods[name][1]

    def inside(self, name):
        """The words that make a command run in this pod."""
        return ["ip", "netns", "exec", self.pods[name][0]]

    def nft(self, ns, script):
        run("ip", "netns", "exec", ns, "nft", "-f", "-", text_input=script.replace("; ", "\n") + "\n")

    def hosts(self, name, entries):
        """What names mean in this pod: (address, name)."""
        path = f"/etc/netns/{self.pods[name][0]}/hosts"
        text = "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for a, n in entries)
        with open(path, "r+") as f:  # the same inode: it is mounted; and never empty: who looks then
            f.write(text)            # would go on to ask a name server that is not there
            f.truncate()

    def service(self, client, ports, backends):
        """New connections from `client` to SERVICE and one of the ports go to one of the backends; those that are
        established stay where they are."""
        ns = self.pods[client][0]
        entries = ", ".join(f"{i} : {b}" for i, b in enumerate(backends))
        self.nft(ns, "add table ip service; delete table ip service; add table ip service; "
                     "add chain ip service out { type nat hook output priority -100; }; "
                     + (f"add rule ip service out ip daddr {SERVICE} tcp dport {{ {', '.join(map(str, ports))} }} "
                        f"dnat to numgen inc mod {len(backends)} map {{ {entries} }}" if backends else ""))

    def partition(self, a, b):
        """Silence between two pods: no reset, nothing arrives."""
        for here, there in ((a, b), (b, a)):
            if here not in self.pods or there not in self.pods:
                continue
            peer = self.address(there)
            self.nft(self.pods[here][0], f"add rule ip cut in ip saddr {peer} drop; "
                                         f"add rule ip cut out ip daddr {peer} drop")

    def heal(self, name):
        if name in self.pods:
            self.nft(self.pods[name][0], "flush chain ip cut in; flush chain ip cut out")
