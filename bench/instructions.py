#!/usr/bin/env python3
"""Instructions of single steps of a packet's way, by callgrind: bench/instructions.py BERTH_MICRO [OLDER_BERTH_MICRO]

  --check FILE    compares with the counts of FILE (scripts/bench-check): a step that needs 3 % more is an error
  --write FILE    writes them there

Each row of berth-micro runs twice, with few and with many iterations. The difference of the instructions, divided by the
difference of the iterations, has no start in it, and does not depend on the machine's load. Build berth-micro with:
cmake --build --preset release --target berth-micro (needs valgrind)."""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

FEW, MANY = 200, 4200
ROWS = ["frame_and_decode", "walk_boundaries", "encode_step", "match_topics/cached/100", "match_topics/walked/100",
        "publish_through/1", "publish_through/1000", "qos1_turn", "mqtt_publish/1", "mqtt_publish/10",
        "park_report/tls/1", "read_envelope", "cached_login", "publish_stored", "attach_connection", "restore_session", "edge_turn/0", "edge_turn/1"]


def total(binary, row, iterations):
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary,
                               f"--benchmark_filter=^{row}/iterations:{iterations}$"], capture_output=True, text=True,
                              env=dict(os.environ, BERTH_MICRO_ITERATIONS=str(iterations)), check=True)
        if "ERROR OCCURRED" in done.stdout or row not in done.stdout:
            sys.exit(f"{row} does not run:\n{done.stdout[-300:]}")
        with open(out) as f:
            return int(re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M)[1])


def instructions(binary, row):
    return (total(binary, row, MANY) - total(binary, row, FEW)) / (MANY - FEW)


LIMIT = 1.03


def check(binary, path, write):
    """The counts depend on compiler and libraries too: those of the machine that wrote the file are Debian 12's."""
    known = {}
    if not write:
        with open(path, encoding="utf-8") as f:
            known = json.load(f)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(ROWS, pool.map(lambda row: round(instructions(binary, row)), ROWS)))
    if write:
        with open(path, "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1)
            f.write("\n")
        return
    bad = []
    for row, n in found.items():
        before = known.get(row)
        ratio = n / before if before else float("inf")
        print(f"{row:26} {n:10,} {f'{ratio:.3f} of the one that is committed' if before else 'new'}")
        if ratio > LIMIT:
            bad.append(row)
    gone = set(known) - set(found)
    if bad or gone:
        sys.exit(f"more than {LIMIT} of what is committed, or new: {bad}; gone: {sorted(gone)}. Is it meant? scripts/bench-check --write")


def main():
    if len(sys.argv) == 4 and sys.argv[2] in ("--check", "--write"):
        return check(sys.argv[1], sys.argv[3], sys.argv[2] == "--write")
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for row in ROWS:
        found = [instructions(b, row) for b in sys.argv[1:]]
        ratio = f"  {found[0] / found[1]:.3f} of the older one" if len(found) == 2 else ""
        print(f"{row:26} " + " ".join(f"{n:12,.0f}" for n in found) + ratio, flush=True)


if __name__ == "__main__":
    main()
