#!/usr/bin/env python3
"""What a registry costs: memory a device, seconds to import and to start with, CPU a log-in.

  bench/registry.py [--devices 100000] [--connects 5000] [--rounds 3]

One gateway in one process. CPU is that of the server, of CONNECT with clean session, CONNACK, DISCONNECT: nobody needs a
name (the floor), a password file's name, and a registered device that has been here before and one that has not.
"""
import argparse, http.client, os, platform, socket, statistics, subprocess, tempfile, time

from cluster_scale import BERTH, ROOT, Process, free_port, wait_for
from partitions import cpu_ms
from tls import rss


def field(text):
    b = text.encode()
    return len(b).to_bytes(2, "big") + b


def connect_packet(client, user=None, password=None):
    flags = 2 | (0xC0 if user else 0)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + field(client)
    if user:
        body += field(user) + field(password)
    return bytes([0x10, len(body)]) + body


def connects(pid, port, packets):
    """Microseconds of the server's CPU for each."""
    before = cpu_ms(pid)
    for p in packets:
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(p)
        answer = s.recv(4)
        assert answer[3] == 0, answer
        s.sendall(b"\xe0\x00")
        s.close()
    return (cpu_ms(pid) - before) * 1000 / len(packets)


def token():
    with open(f"{ask.data}/admin.token") as f:
        return f.read().strip()


def ask(port, method, path, body=None, kind="application/json"):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    c.request(method, path, body, {"Content-Type": kind, "Authorization": f"Bearer {token()}"})
    r = c.getresponse()
    text = r.read()
    assert r.status < 300, text
    return text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--devices", type=int, default=100000)
    p.add_argument("--connects", type=int, default=5000)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, commit {commit}, registry.password_iterations 1000")
    with tempfile.TemporaryDirectory() as d:
        port = free_port()
        ask.data = f"{d}/data"
        with open(f"{d}/g.yaml", "w") as f:
            f.write("auth: {failures_per_address: 0, failures_per_name: 0}\nregistry: {source: store}\nlog: {level: warn}\n")
        argv = [BERTH, "serve", "--single-process", "--config", f"{d}/g.yaml", "--mqtt", f"127.0.0.1:{port}", "--admin",
                "127.0.0.1:ADMIN", "--data", f"{d}/data"]
        server = Process(argv, d, "g")
        try:
            wait_for("server", lambda: server.get("/readyz") == "ok\n")
            base = rss(server.process.pid)
            ask(server.admin, "POST", "/api/v1/registry/import", "tenants: [{name: acme, sites: [{name: north}]}]", "application/yaml")
            begin = time.time()
            chunk = 20000
            for at in range(0, a.devices, chunk):
                rows = "".join(f"acme,north,device-{i},device-{i},$7$101$AAAAAAAAAAAAAAAA$qPZJrd0pZ7nyw7sQXnZ0Jr3jmLRXcBGqKHk2xRNoeS0YJnEkpmPVOUVmrm1ZkJU+A7AYxYmrt6oqC2lCGyD3Mw==\n"
                               for i in range(at, min(at + chunk, a.devices)))
                ask(server.admin, "POST", "/api/v1/registry/import", "tenant,site,device,auth_id,password_hash\n" + rows, "text/csv")
            seconds = time.time() - begin
            rows = "".join(f"acme,north,p-{i},p-{i},secret\n" for i in range(a.connects))
            ask(server.admin, "POST", "/api/v1/registry/import", "tenant,site,device,auth_id,password\n" + rows, "text/csv")
            server.end()
            server = Process(argv, d, "g")
            begin = time.time()
            wait_for("server", lambda: server.get("/readyz") == "ok\n")
            started = time.time() - begin
            # what the import left behind is gone with the process
            print(f"{a.devices} devices imported in {seconds:.1f} s, start with them {started:.2f} s, "
                  f"{(rss(server.process.pid) - base) / (a.devices + a.connects):.0f} bytes of memory each")
            nobody = [connect_packet(f"c{i}") for i in range(a.connects)]
            known = [connect_packet(f"c{i}", f"p-{i}@acme", "secret") for i in range(a.connects)]
            pid = server.process.pid
            first = connects(pid, port, known)
            print(f"CPU of a log-in that is new: {first:.0f} us")
            extra = []
            for _ in range(a.rounds):
                floor, again = connects(pid, port, nobody), connects(pid, port, known)
                extra.append(again - floor)
                print(f"CPU of a connect: nobody's name {floor:.1f} us, known device {again:.1f} us: {again - floor:+.1f} us")
            print(f"a cached log-in adds {statistics.median(extra):.1f} us (goal 30)")
        finally:
            server.end()


if __name__ == "__main__":
    main()
