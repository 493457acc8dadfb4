#!/usr/bin/env python3
"""Instructions of single steps of a packet's way, by callgrind: bench/instructions.py BERTH_MICRO [OLDER_BERTH_MICRO]

Each row of berth-micro runs twice, with few and with many iterations. The difference of the instructions, divided by the
difference of the iterations, has no start in it, and does not depend on the machine's load. Build berth-micro with:
cmake --build --preset release --target berth-micro (needs valgrind)."""
import os
import re
import subprocess
import sys
import tempfile

FEW, MANY = 200, 4200
ROWS = ["frame_and_decode", "walk_boundaries", "encode_step", "match_topics/cached/100", "match_topics/walked/100",
        "publish_through/1", "publish_through/1000", "qos1_turn", "mqtt_publish/1", "mqtt_publish/10",
        "park_report/tls/1", "publish_stored", "attach_connection", "restore_session", "edge_turn/0", "edge_turn/1"]


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


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for row in ROWS:
        found = [instructions(b, row) for b in sys.argv[1:]]
        ratio = f"  {found[0] / found[1]:.3f} of the older one" if len(found) == 2 else ""
        print(f"{row:26} " + " ".join(f"{n:12,.0f}" for n in found) + ratio, flush=True)


if __name__ == "__main__":
    main()
