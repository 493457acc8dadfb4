#!/usr/bin/env python3
"""TLS of devices: handshakes a second of server CPU (full and resumed, ECDSA P-256), and user space memory of an
idle connection.

  bench/tls.py [--seconds 3] [--connections 1000]

A gateway in one process and OpenSSL's own client (s_time) on the same machine: the figure is handshakes per CPU second of
the server, so the client's share does not count. Needs build/release/berth and openssl.
"""
import argparse, os, platform, re, socket, ssl, subprocess, tempfile, time

from cluster_scale import BERTH, ROOT, Process, free_port, wait_for
from partitions import cpu_ms

CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05c%04d"


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def handshakes(server, port, seconds, kind, version):
    before = cpu_ms(server.process.pid), server.metric('berth_tls_handshakes_total{kind="%s"}' % kind)
    subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new" if kind == "full" else "-reuse", "-time",
                    str(seconds), version], capture_output=True, timeout=60)
    time.sleep(0.5)
    done = server.metric('berth_tls_handshakes_total{kind="%s"}' % kind) - before[1]
    return done / max((cpu_ms(server.process.pid) - before[0]) / 1000, 1e-9)


def openssl_itself(directory, seconds, version):
    """The same of OpenSSL's own server: what the library allows."""
    port = free_port()
    s = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", f"{directory}/cert", "-key", f"{directory}/key",
                          version, "-quiet", "-num_tickets", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         stdin=subprocess.PIPE)
    try:
        wait_for("s_server", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        before = cpu_ms(s.pid)
        out = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds), version],
                             capture_output=True, text=True, timeout=60).stdout
        done = int(re.search(r"(\d+) connections in \d+ real", out).group(1))
        return done / max((cpu_ms(s.pid) - before) / 1000, 1e-9)
    finally:
        s.kill()
        s.wait()


def idle(server, ports, n, context):
    """Bytes that an idle connection takes, after its CONNACK."""
    before = rss(server.process.pid)
    held = []
    for i in range(n):
        s = socket.create_connection(("127.0.0.1", ports))
        if context:
            s = context.wrap_socket(s)
        s.sendall(CONNECT % (i + (5000 if context else 0)))
        s.recv(16)
        held.append(s)
    time.sleep(1)
    used = (rss(server.process.pid) - before) / n
    for s in held:
        s.close()
    time.sleep(1)
    return used


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--connections", type=int, default=1000)
    a = p.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"machine: {os.cpu_count()} x {platform.machine()}, {ssl.OPENSSL_VERSION}, commit {commit}")
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", f"{d}/key", "-out", f"{d}/cert"], capture_output=True, check=True)
        plain, tls = free_port(), free_port()
        with open(f"{d}/g.yaml", "w") as f:
            f.write(f"mqtts:\n  listen: 127.0.0.1:{tls}\n  cert_file: {d}/cert\n  key_file: {d}/key\n")
        server = Process([BERTH, "serve", "--single-process", "--anonymous", "--config", f"{d}/g.yaml", "--mqtt", f"127.0.0.1:{plain}",
                          "--admin", "127.0.0.1:ADMIN", "--data", f"{d}/data", "--log-level", "warn"], d, "g")
        try:
            wait_for("ready", lambda: server.get("/readyz") == "ok\n")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            idle(server, plain, 100, None)  # what the first connections bring with them
            without, with_tls = idle(server, plain, a.connections, None), idle(server, tls, a.connections, context)
            print(f"idle connection: {without:.0f} B plain, {with_tls:.0f} B with TLS")
            for version in ("-tls1_3", "-tls1_2"):
                print(f"handshakes per CPU second {version}: full {handshakes(server, tls, a.seconds, 'full', version):.0f},"
                      f" of openssl s_server {openssl_itself(d, a.seconds, version):.0f}")
            # s_time does not read the tickets of TLS 1.3, which come after the handshake
            print(f"handshakes per CPU second -tls1_2: resumed {handshakes(server, tls, a.seconds, 'resumed', '-tls1_2'):.0f}")
        finally:
            server.end()


if __name__ == "__main__":
    main()
