#!/usr/bin/env python3
"""An MQTT 5 device in Python with paho-mqtt, to read beside docs/mqtt-devices.md.

It is a barrier with a screen: it reports its state, a plate, the result of each command (open, close, display), and the result
of each part of its desired state (hold) that it has applied.
"""
import argparse, collections, json, random, ssl, time
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

COMMANDS_KEPT = 256
SLOW = {0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C}  # CONNACK codes that only a new configuration ends


class Device:
    def __init__(self, client_id, user, password, ca, cert, key):
        version = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        self.client = c = mqtt.Client(*version, client_id=client_id, protocol=mqtt.MQTTv5)
        if user:  # a certificate is a log-in without a user name
            c.username_pw_set(user, password)
        if ca:  # checks the authority, and that the certificate names the host
            tls = ssl.create_default_context(cafile=ca)
            if cert:
                tls.load_cert_chain(cert, key)
            c.tls_set_context(tls)
        c.will_set("v1/event/alarm", json.dumps({"alarm": {"code": "offline", "active": True}}), 1)
        c.on_connect, c.on_message, c.on_disconnect = self.on_connect, self.on_message, self.on_end
        self.results = collections.OrderedDict()  # firmware keeps it in flash: "CHILD/ID": outcome
        self.position, self.code, self.count, self.online = "CLOSED", 0, 0, False
        self.start = f"{random.randrange(1 << 32):08x}"

    def on_connect(self, client, _, flags, code, properties=None):
        self.code = code.value
        if self.code:
            return print(f"refused code={self.code:#x} {code}", flush=True)
        self.online = True
        print(f"connected session_present={flags['session present']}", flush=True)
        client.subscribe([("v1/cmd/#", 1), ("v1/sub/+/cmd/+/req/+", 1), ("v1/desired", 1), ("v1/sub/+/desired", 1)])
        if not flags["session present"]:
            self.report("v1/state", {"barrier": {"lane": "1", "position": self.position}}, True)

    def on_end(self, client, _, code, properties=None):
        code, self.online = getattr(code, "value", code), False
        self.code = self.code or code  # the CONNACK's says more
        print(f"disconnected code={code:#x}", flush=True)

    def report(self, topic, body, retain=False):
        self.count += 1  # paho keeps a QoS 1 message until its PUBACK, over reconnects too
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        envelope = {"eventId": f"{self.start}-{self.count}", "eventTime": at, **body}
        if not self.online:  # it waits for a connection
            envelope["replay"] = True
        self.client.publish(topic, json.dumps(envelope), 1, retain)

    def on_message(self, client, _, m):
        levels = m.topic.split("/")  # v1/cmd/ID/req/NAME or v1/sub/CHILD/cmd/ID/req/NAME
        if levels[-1] == "desired":
            return self.on_desired("/".join(levels[:-1]) + "/cmd", m.payload)
        if levels[-2] != "req":
            return  # of a subscription of an earlier firmware
        root, ident, name = "/".join(levels[:-3]), levels[-3], levels[-1]
        left_s = getattr(m.properties, "MessageExpiryInterval", None)
        then = self.results.get(f"{root}/{ident}")
        if then:
            outcome = "DUPLICATE" if then == "EXECUTED" else then
        elif left_s == 0:  # the deadline has passed since the PUBLISH was sent first
            outcome = "EXPIRED"
        elif name not in ("open", "close", "display"):
            outcome = "REJECTED"
        else:
            print(f"execute {name} {ident} {m.payload!r}", flush=True)
            self.position, outcome = {"open": "OPEN", "close": "CLOSED"}.get(name, self.position), "EXECUTED"
        self.answer(root, ident, outcome, not then)

    def answer(self, root, ident, outcome, is_first):
        if is_first:
            self.results[f"{root}/{ident}"] = outcome
            while len(self.results) > COMMANDS_KEPT:
                self.results.popitem(last=False)
        self.report(f"{root}/{ident}/res", {"result": {"commandId": ident, "outcome": outcome}})
        self.report("v1/state", {"barrier": {"lane": "1", "position": self.position}}, True)

    def on_desired(self, root, payload):
        """The whole document, at each connection and after each change: apply it, and answer each part once."""
        print(f"desired {payload!r}", flush=True)
        try:
            parts = json.loads(payload or "{}").get("desired", {})  # empty: nothing is desired any more
            named = [(kind, part["command_id"], part["payload"]) for kind, part in parts.items()]
        except (AttributeError, KeyError, TypeError, ValueError):
            return print("desired: not understood", flush=True)
        for kind, ident, wanted in named:
            if f"{root}/{ident}" in self.results:
                continue  # applied and answered; paho sends the answer again until its PUBACK
            mode = wanted.get("mode") if kind == "hold" and isinstance(wanted, dict) else None
            if mode in ("HOLD_OPEN", "HOLD_CLOSED"):
                self.position = mode.removeprefix("HOLD_")
            known = mode in ("HOLD_OPEN", "HOLD_CLOSED", "AUTO")
            print(f"hold {mode} {ident}", flush=True)
            self.answer(root, ident, "EXECUTED" if known else "REJECTED", True)

    def run(self, host, port):
        expiry = Properties(PacketTypes.CONNECT)
        expiry.SessionExpiryInterval = 7 * 86400
        plate, wait_s = {"plate": {"lane": "1", "plate": {"number": "粤B12345"}}}, 1
        self.report("v1/event/plate", plate)
        while True:
            begin, self.code = time.monotonic(), 0
            try:
                self.client.connect(host, port, 30, clean_start=False, properties=expiry)
                while self.client.loop(1) == mqtt.MQTT_ERR_SUCCESS:
                    pass
            except OSError as e:
                print(f"no connection: {e}", flush=True)
            if time.monotonic() - begin > 60:
                wait_s = 1
            pause_s = max(wait_s, 120 if self.code in SLOW else 0) * random.uniform(0.75, 1.25)
            wait_s = min(wait_s * 2, 120)
            print(f"next try in {pause_s:.1f} s", flush=True)
            time.sleep(pause_s)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("address", metavar="HOST:PORT")
    p.add_argument("client_id", metavar="CLIENT_ID")
    p.add_argument("user", nargs="?", metavar="AUTH_ID@TENANT")
    p.add_argument("password_file", nargs="?", metavar="PASSWORD_FILE")
    p.add_argument("--ca", metavar="FILE", help="TLS: the authority of the gateway's certificate")
    p.add_argument("--cert", metavar="FILE", help="log-in by certificate, instead of a user")
    p.add_argument("--key", metavar="FILE", help="of --cert")
    a = p.parse_args()
    if bool(a.user) != bool(a.password_file) or bool(a.user) == bool(a.cert):
        p.error("either AUTH_ID@TENANT and PASSWORD_FILE, or --cert and --key")
    if a.cert and not (a.ca and a.key):
        p.error("--cert needs --key and --ca")
    host, port = a.address.rsplit(":", 1)
    password = None
    if a.password_file:
        with open(a.password_file) as f:
            password = f.read().rstrip("\n")
    device = Device(a.client_id, a.user, password, a.ca, a.cert, a.key)
    try:
        device.run(host.strip("[]"), int(port))
    except KeyboardInterrupt:
        device.client.disconnect()


if __name__ == "__main__":
    main()
