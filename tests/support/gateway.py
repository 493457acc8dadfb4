"""A gateway for tests in Python: `berth serve` on ports of its own choice, and programs beside it. Everything that was
started ends with the test, whatever the test's end is.
"""
import atexit, http.client, json, os, re, shutil, signal, subprocess, tempfile, time

work = tempfile.mkdtemp(prefix="berth-test-")
processes = []


def _end():
    for p in reversed(processes):
        if p.poll() is None:
            p.terminate()
    for p in reversed(processes):
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    shutil.rmtree(work, ignore_errors=True)


atexit.register(_end)
signal.signal(signal.SIGTERM, lambda *_: exit(1))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def eventually(condition, what, seconds=60):
    """What the condition says, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)  # between looks
    raise SystemExit(f"not within {seconds} s: {what() if callable(what) else what}")


class Program:
    """A process, and what it says."""

    def __init__(self, argv, name, cwd=work, **environment):
        self.path = os.path.join(work, name + ".log")
        self.name = name
        with open(self.path, "a") as log:
            self.process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            env={**os.environ, **environment})
        processes.append(self.process)

    def said(self):
        return read(self.path)

    def says(self, pattern, seconds=60):
        """The match, as soon as it has said it."""
        def look():
            found = re.search(pattern, self.said())
            if found is None and self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{self.said()}")
            return found
        return eventually(look, lambda: f"{self.name} says {pattern!r}; it said:\n{self.said()}", seconds)

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)


class Gateway(Program):
    """berth serve; `files`: by name, berth.yaml among them. Each gateway of a test has a name of its own."""

    def __init__(self, berth, files, name="gateway", **environment):
        self.berth = berth
        self.directory = os.path.join(work, name)
        os.makedirs(self.directory, exist_ok=True)
        for file, text in files.items():
            with open(os.path.join(self.directory, file), "w", encoding="utf-8") as f:
                f.write(text)
        super().__init__([berth, "serve", "--config", "berth.yaml", "--mqtt", "127.0.0.1:0", "--park", "127.0.0.1:0",
                          "--admin", "127.0.0.1:0"], name, self.directory, **environment)
        ready = self.says(r"\] ready mqtt=127\.0\.0\.1:(\d+) .* park=127\.0\.0\.1:(\d+) .*admin=127\.0\.0\.1:(\d+)")
        self.mqtt, self.park, self.admin = (int(ready.group(i)) for i in (1, 2, 3))
        self.token = read(os.path.join(self.directory, "data/admin.token")).strip()

    def engine(self):
        """The process id of the engine that serves."""
        found = re.findall(r"engine serving pid=(\d+)", self.said())
        return int(found[-1])

    def ask(self, method, target, body=None, token=None, **headers):
        """(status, answer)"""
        c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        try:
            h = {"Authorization": "Bearer " + (token or self.token), "Content-Type": "application/json"}
            h.update({k.replace("_", "-"): v for k, v in headers.items()})
            text = None if body is None else body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            c.request(method, target, body=None if text is None else text.encode(), headers=h)
            r = c.getresponse()
            said = r.read().decode()
            return r.status, json.loads(said) if said else None
        finally:
            c.close()
