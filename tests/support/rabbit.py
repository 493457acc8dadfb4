"""A RabbitMQ of the test's own: its node, its port mapper and its files; and a consumer (pika)."""
import glob, os, signal, socket

import pika
from gateway import Program, work


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rabbit:
    """`port`: AMQP on 127.0.0.1; kill() and start() again, its queues stay."""

    def __init__(self):
        self.home = os.path.join(work, "rabbit")
        os.makedirs(self.home)
        self.port, self.dist, self.epmd = free_port(), free_port(), free_port()
        with open(self.home + "/plugins", "w", encoding="utf-8") as f:
            f.write("[].\n")
        self.mapper = Program(["epmd", "-address", "127.0.0.1", "-port", str(self.epmd)], "epmd")
        self.starts = 0
        self.start()

    def start(self):
        # No name of a host is looked up: a bare Debian knows none.
        self.starts += 1
        program = glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")[0]
        self.node = Program([program], f"rabbit{self.starts}", HOME=self.home, ERL_EPMD_PORT=str(self.epmd), ERL_EPMD_ADDRESS="127.0.0.1",
                            RABBITMQ_USE_LONGNAME="true", RABBITMQ_NODENAME="berth@127.0.0.1", RABBITMQ_MNESIA_BASE=self.home + "/db", RABBITMQ_LOGS="-",
                            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1", RABBITMQ_NODE_PORT=str(self.port), RABBITMQ_DIST_PORT=str(self.dist),
                            RABBITMQ_ENABLED_PLUGINS_FILE=self.home + "/plugins", RABBITMQ_CONF_ENV_FILE="/dev/null", RABBITMQ_CONFIG_FILE=self.home + "/none",
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
