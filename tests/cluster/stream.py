"""The stream of events of the devices of commands.py, as their platform reads it; see scripts/cluster-test.

It reads at one process of the cluster after another, leaves each after a while or when it falls silent, and goes on at
the next one with Last-Event-ID. Then each event is there, or a gap says that it is not.
"""
import asyncio
import datetime
import json
import time

CONNECT_S = 3
QUIET_S = 6      # a process that is stopped or cut off
STAY_S = (2, 7)  # in turn: a client that comes again at once, and one that stays
PAUSE_S = 0.2


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Stream:
    def __init__(self, hosts, port, token, query):
        self.hosts, self.port, self.token, self.query = hosts, port, token, query
        self.last_id = ""
        self.known_from = None  # the time of the first event with an id: before it nothing is promised
        self.commands = set()
        self.gaps = []          # (from, to, what is missing)
        self.read_at = {}       # host -> streams that have begun there
        self.refused = {}       # host -> the last status line other than 200
        self.backward = 0       # events with an id before the one that was said last, in one stream

    async def run(self):
        turn = 0
        while True:
            host = self.hosts[turn % len(self.hosts)]
            try:
                await asyncio.wait_for(self.read(host), STAY_S[turn % len(STAY_S)])
            except (OSError, asyncio.TimeoutError, ValueError, IndexError, EOFError):
                pass
            turn += 1
            await asyncio.sleep(PAUSE_S)

    async def read(self, host):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, self.port), CONNECT_S)
        try:
            resume = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
            writer.write((f"GET /api/v1/events?{self.query} HTTP/1.1\r\nHost: {host}:{self.port}\r\n"
                          f"Authorization: Bearer {self.token}\r\n{resume}\r\n").encode())
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), QUIET_S)).decode()
            if head.split()[1] != "200":
                self.refused[host] = head.split("\r\n")[0]
                return
            self.read_at[host] = self.read_at.get(host, 0) + 1
            chunked = "chunked" in head.lower()
            before = 0.0
            text = b""
            while True:
                text += await self.some(reader, chunked)
                while b"\n\n" in text:
                    event, _, text = text.partition(b"\n\n")
                    before = self.take(event.decode(), before)
        finally:
            writer.close()

    async def some(self, reader, chunked):
        if chunked:
            size = int((await reader.readline()).strip() or b"0", 16)
            if size == 0:
                raise EOFError
            return (await reader.readexactly(size + 2))[:-2]
        data = await reader.read(65536)
        if not data:
            raise EOFError
        return data

    def take(self, event, before):
        fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line and not line.startswith(":"))
        if "event" not in fields:
            return before
        said = json.loads(fields["data"])
        if fields["event"] == "gap":
            self.gaps.append((seconds(said["from"]), seconds(said["to"]), said["missing"]))
        elif fields["event"] == "command":
            self.commands.add(said["command"])
        if "id" in fields:
            self.last_id = fields["id"]
            self.known_from = self.known_from or seconds(said["at"])
            at = seconds(said["at"])
            self.backward += at < before
            before = at
        return before

    def has(self, command, at):
        """Or says that it may not."""
        return command in self.commands or any(
            begin - 1 <= at <= end + 1 and missing in ("all", "some") for begin, end, missing in self.gaps)

    async def settle(self, ended, within):
        """`ended`: when each command got its outcome. The ids that the stream neither has nor calls missing."""
        end = time.monotonic() + within
        while True:
            missing = [c for c, at in ended.items()
                       if self.known_from is None or (at > self.known_from and not self.has(c, at))]
            if not missing or time.monotonic() > end:
                return missing
            await asyncio.sleep(0.2)
