#!/usr/bin/env python3
"""Uplinks over TLS (docs/uplinks.md): the platform's certificate is checked, the gateway's own is shown, and each kind of log-in; what is
wrong is refused with its reason, and nothing goes to a platform that has proven nothing.

  uplink_tls_test.py BERTH SOURCE BERTH_KAFKA rabbitmq|kafka|mqtt
"""
import json, os, re, socket, subprocess, sys

berth, source, kafka_program = (os.path.abspath(a) for a in sys.argv[1:4])
sys.path.insert(0, os.path.join(source, "tests/support"))
from authority import Authority  # noqa: E402
from gateway import Program, eventually, work  # noqa: E402
from kafka_front import KafkaFront  # noqa: E402
from mqtt import Mqtt  # noqa: E402
from uplinks import Kafka, check, start, state, write  # noqa: E402


class Trial:
    """One uplink after the other, each by the keys that it is given, to one platform."""

    def __init__(self, kind, payloads):
        self.kind, self.url = kind, ""
        self.payloads, self.said = payloads, 0
        for name in ("right", "wrong"):
            self.says(name, name)
        self.gateway = start(berth, "uplinks: []\n")
        self.device = Mqtt(self.gateway.mqtt, "cam", "cam@acme", "right", [])

    @staticmethod
    def says(name, password):
        """A file of this name has this password."""
        with open(f"{work}/{name}", "w", encoding="utf-8") as f:
            f.write(password + "\n")

    def use(self, keys):
        """Without an uplink first: what is seen then is the new one's."""
        write("uplinks: []\n")
        eventually(lambda: not state(self.gateway).get("configured"), lambda: state(self.gateway))
        more = "".join(f", {k}: {v}" for k, v in keys.items())
        write(f"uplinks:\n  - {{name: up, kind: {self.kind}, url: '{self.url}', select: [event]{more}}}\n")
        eventually(lambda: state(self.gateway).get("configured"), lambda: f"{state(self.gateway)} {self.gateway.said()[-2000:]}")

    def say(self):
        self.said += 1
        self.device.publish("v1/event/parts", json.dumps({"n": self.said}))
        return self.said

    def refused(self, keys, why):
        """The error names the cause, and what is said meanwhile waits."""
        before = len(self.payloads())
        self.use(keys)
        self.say()
        eventually(lambda: re.search(why, state(self.gateway)["error"]), lambda: f"{keys} is not refused with {why!r}: {state(self.gateway)}")
        now = state(self.gateway)
        check(now["connected"] == 0 and now["queued"] >= 1 and len(self.payloads()) == before, f"{keys}: {now}")

    def works(self, keys):
        """What has waited comes too, in order."""
        self.use(keys)
        self.say()
        self.arrives()

    def arrives(self):
        wanted = [{"n": i + 1} for i in range(self.said)]
        eventually(lambda: [json.loads(p) for p in self.payloads()] == wanted, lambda: f"{state(self.gateway)} {self.payloads()}")
        eventually(lambda: state(self.gateway)["queued"] == 0 and state(self.gateway)["error"] == "", lambda: state(self.gateway))

    def end(self):
        self.device.goodbye()
        self.gateway.end()


def pair(certificate):
    return {"cert_file": certificate[0], "key_file": certificate[1]}


def rabbitmq():
    try:
        from rabbit import Rabbit
    except ImportError:  # pika is Debian's, and this may be another Python
        check(sys.executable != "/usr/bin/python3", "python3-pika is missing")
        os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(sys.argv[0])] + sys.argv[1:])
    ours, other = Authority("ours"), Authority("other")
    broker = Rabbit(ours)
    broker.bind("all", "berth", "event.#")
    taken = []

    def payloads():
        taken.extend(body.decode() for _, _, body in broker.take_all("all"))
        return taken
    trial = Trial("rabbitmq", payloads)
    trial.url = f"amqps://127.0.0.1:{broker.tls_port}"
    ca, user = {"ca_file": ours.file}, {"user_name": "berth", "password_file": work + "/right"}
    external = {"sasl": "EXTERNAL"}
    trial.refused({**user}, "certificate: .*certificate")
    trial.refused({"ca_file": other.file, **user}, "certificate: unable to get local issuer certificate|certificate: .*self.signed certificate")
    trial.works({**ca, **user})
    trial.refused({**ca, **user, "password_file": work + "/wrong"}, "log-in: .*ACCESS_REFUSED")
    trial.works({**ca, **external, **pair(ours.issue("external"))})
    trial.refused({**ca, **external, **pair(ours.issue("nobody"))}, "log-in: .*ACCESS_REFUSED")
    trial.refused({**ca, **external, **pair(other.issue("external"))}, "alert")
    broker.kill()
    broker.use_tls(ours, needs_certificate=True, external=False)
    broker.start()
    trial.refused({**ca, **user}, "alert certificate required|alert handshake failure")
    trial.works({**ca, **user, **pair(ours.issue("whoever"))})
    trial.refused({**ca, **external, **pair(ours.issue("external"))}, "log-in: unsupported sasl method")
    trial.use({"ca_file": work + "/nothing", **user})
    eventually(lambda: "/nothing" in state(trial.gateway)["error"], lambda: state(trial.gateway))
    broker.kill()
    broker.use_tls(ours, address="127.0.0.2")
    broker.start()
    trial.refused({**ca, **user}, "certificate: .*mismatch")
    trial.end()


def kafka():
    ours, other = Authority("ours"), Authority("other")
    cluster = Kafka(kafka_program)
    server, users, ca = ours.issue("server"), {"berth": "right"}, {"ca_file": ours.file}
    with_users = KafkaFront(cluster.brokers, server, users)
    trial = Trial("kafka", cluster.payloads)
    trial.url = f"kafkas://{with_users.brokers}"
    user = {"user_name": "berth", "password_file": work + "/right"}
    plain = {**ca, **user, "sasl": "PLAIN"}
    trial.refused({**plain, "ca_file": other.file}, "certificate verify failed")
    trial.refused({**user, "sasl": "PLAIN"}, "certificate verify failed")
    check(not with_users.logins, f"a log-in at a platform that has proven nothing: {with_users.logins}")
    trial.refused({**plain, "password_file": work + "/wrong"}, "Invalid username or password")
    trial.says("wrong", "right")  # the file is read again
    trial.arrives()
    trial.says("wrong", "wrong")
    trial.refused(ca, "(?i)disconnected|closed|no broker")
    for sasl in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        trial.works({**plain, "sasl": sasl})
        check(with_users.logins[-1] == (sasl, ""), f"{with_users.logins}")
    trial.refused({**plain, "sasl": "SCRAM-SHA-256", "password_file": work + "/wrong"}, "Invalid username or password")
    with_certificates = KafkaFront(cluster.brokers, server, client_authority=ours.file)
    trial.url = f"kafkas://{with_certificates.brokers}"
    closed = "SSL routines::|Disconnected"  # Python's server ends the connection, and sends no alert that would say why
    trial.refused(ca, closed)
    trial.refused({**ca, **pair(other.issue("berth"))}, closed)
    check(not with_certificates.logins, f"{with_certificates.logins}")
    trial.works({**ca, **pair(ours.issue("berth"))})
    check(set(with_certificates.logins) == {("", "berth")}, f"{with_certificates.logins}")
    both = KafkaFront(cluster.brokers, server, users, ours.file)
    trial.url = f"kafkas://{both.brokers}"
    trial.works({**plain, **pair(ours.issue("berth"))})
    check(set(both.logins) == {("PLAIN", "berth")}, f"{both.logins}")
    elsewhere = KafkaFront(cluster.brokers, ours.issue("elsewhere", "127.0.0.2"), users)
    trial.url = f"kafkas://{elsewhere.brokers}"
    trial.refused(plain, "certificate verify failed")
    trial.end()
    cluster.process.stdin.close()
    cluster.process.wait(30)


def mqtt():
    """Mosquitto, which takes the user's name from the certificate (use_identity_as_username), or asks for a password too."""
    ours, other = Authority("ours"), Authority("other")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    crt, key = ours.issue("server")
    heard = []

    class Mosquitto(Program):
        def __init__(self, name, more):
            with open(f"{work}/{name}.conf", "w", encoding="utf-8") as f:
                f.write(f"listener {port} 127.0.0.1\ncertfile {crt}\nkeyfile {key}\ncafile {ours.file}\nuser root\n{more}\n")
            super().__init__(["mosquitto", "-v", "-c", f"{work}/{name}.conf"], name)
            self.says("running")
            me = ours.issue("reader")
            self.reader = Program(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "--cafile", ours.file, "--cert", me[0], "--key", me[1],
                                   "-u", "berth", "-P", "right", "-q", "1", "-t", "berth/#", "-d", "-F", "got %p"], name + "-reader")
            self.reader.says("SUBACK")

        def end(self):
            heard.extend(payloads_of(self))
            for p in (self.reader, super()):
                p.end()

    def payloads_of(broker):
        return re.findall(r"^got (.*)$", broker.reader.said(), re.M)
    broker = Mosquitto("certificates", "require_certificate true\nuse_identity_as_username true")
    trial = Trial("mqtt", lambda: heard + payloads_of(broker))
    trial.url = f"mqtts://127.0.0.1:{port}"
    ca = {"ca_file": ours.file}
    trial.refused({"ca_file": other.file, **pair(ours.issue("berth"))}, "no MQTT connection: .*certificates")
    trial.refused(ca, "no MQTT connection")
    trial.refused({**ca, **pair(other.issue("berth"))}, "no MQTT connection")
    for version in (5, 4):
        trial.works({**ca, **pair(ours.issue("berth")), "version": version})
        broker.says(rf"as berth\S* \(p{5 if version == 5 else 2}, c1, k20, u'berth'\)")
    broker.end()
    subprocess.run(["mosquitto_passwd", "-c", "-b", work + "/users", "berth", "right"], check=True)
    broker = Mosquitto("passwords", f"require_certificate true\npassword_file {work}/users")
    user = {"user_name": "berth", "password_file": work + "/right"}
    trial.refused({**ca, **pair(ours.issue("berth"))}, "log-in: 0x8[67]")
    trial.works({**ca, **pair(ours.issue("berth")), **user})
    trial.end()


{"rabbitmq": rabbitmq, "kafka": kafka, "mqtt": mqtt}[sys.argv[4]]()
print("a platform is known by its certificate, and the gateway by its log-in")
