"""A RabbitMQ of the test's own: its node, its port mapper and its files; and a consumer (pika)."""
import base64, glob, hashlib, json, os, signal, socket

import pika
from gateway import Program, work


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _definitions():
    """Users guest (password: guest), berth (right), and external, which has no password."""
    def user(name, password):
        salt = b"salt"
        digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode() if password else ""
        return {"name": name, "password_hash": digest, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
    users = [user(*u) for u in (("guest", "guest"), ("berth", "right"), ("external", ""))]
    rights = [{"user": u["name"], "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"} for u in users]
    return json.dumps({"users": users, "vhosts": [{"name": "/"}], "permissions": rights})


class Rabbit:
    """`port`: AMQP on 127.0.0.1; kill() and start() again, its queues stay. With an `authority` also `tls_port`, see use_tls()."""

    def __init__(self, authority=None):
        self.home = os.path.join(work, "rabbit")
        os.makedirs(self.home)
        self.port, self.dist, self.epmd = free_port(), free_port(), free_port()
        with open(self.home + "/plugins", "w", encoding="utf-8") as f:
            f.write("[rabbitmq_auth_mechanism_ssl].\n")
        if authority:
            self.tls_port = free_port()
            self.use_tls(authority)
        self.mapper = Program(["epmd", "-address", "127.0.0.1", "-port", str(self.epmd)], "epmd")
        self.starts = 0
        self.start()

    def use_tls(self, authority, needs_certificate=False, external=True, address="127.0.0.1"):
        """From the next start. A certificate's common name is the user of EXTERNAL."""
        crt, key = authority.issue("server", address)
        with open(self.home + "/definitions.json", "w", encoding="utf-8") as f:
            f.write(_definitions())
        with open(self.home + "/rabbitmq.conf", "w", encoding="utf-8") as f:
            f.write(f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\nssl_options.cacertfile = {authority.file}\nssl_options.certfile = {crt}\n"
                    f"ssl_options.keyfile = {key}\nssl_options.verify = verify_peer\n"
                    f"ssl_options.fail_if_no_peer_cert = {'true' if needs_certificate else 'false'}\n"
                    f"auth_mechanisms.1 = PLAIN\n{'auth_mechanisms.2 = EXTERNAL' if external else ''}\nssl_cert_login_from = common_name\n"
                    f"load_definitions = {self.home}/definitions.json\n")

    def start(self):
        # No name of a host is looked up: a bare Debian knows none.
        self.starts += 1
        program = glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")[0]
        self.node = Program([program], f"rabbit{self.starts}", HOME=self.home, ERL_EPMD_PORT=str(self.epmd), ERL_EPMD_ADDRESS="127.0.0.1",
                            RABBITMQ_USE_LONGNAME="true", RABBITMQ_NODENAME="berth@127.0.0.1", RABBITMQ_MNESIA_BASE=self.home + "/db", RABBITMQ_LOGS="-",
                            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1", RABBITMQ_NODE_PORT=str(self.port), RABBITMQ_DIST_PORT=str(self.dist),
                            RABBITMQ_ENABLED_PLUGINS_FILE=self.home + "/plugins", RABBITMQ_CONF_ENV_FILE="/dev/null", RABBITMQ_CONFIG_FILE=self.home + "/rabbitmq",
                            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}")
        self.node.says("Server startup complete", 120)

    def kill(self):
        """As by the kernel: the Erlang machine, which a script has begun."""
        with open(f"/proc/{self.node.process.pid}/task/{self.node.process.pid}/children", encoding="ascii") as f:
            children = [int(p) for p in f.read().split()]
        for p in children:
            os.kill(p, signal.SIGKILL)
        self.node.process.wait(60)

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port, heartbeat=0))

    def bind(self, queue, exchange, key):
        c = self.connect()
        ch = c.channel()
        ch.exchange_declare(exchange, "topic", durable=True)
        ch.queue_declare(queue, durable=True)
        ch.queue_bind(queue, exchange, key)
        c.close()

    def take_all(self, queue):
        """What the queue has now: (routing key, properties, body), which is gone then."""
        c = self.connect()
        ch = c.channel()
        out = []
        while True:
            method, properties, body = ch.basic_get(queue, auto_ack=True)
            if method is None:
                break
            out.append((method.routing_key, properties, body))
        c.close()
        return out
