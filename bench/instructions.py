#!/usr/bin/env python3
"""Instructions of single steps of a packet's way, by callgrind: bench/instructions.py BERTH_MICRO [OLDER_BERTH_MICRO]

Each row of berth-micro runs twice, for a short and a longer time. The difference of the instructions, divided by the difference
of the calls, has no start in it. Build berth-micro with: cmake --build --preset release --target berth-micro (needs valgrind)."""
import os
import re
import subprocess
import sys
import tempfile

ROWS = [("publish_through/1", "Broker::input("), ("publish_through/1000", "Broker::input("),
        ("match_topics/walked/100", "Router::match(")]


def count(binary, row, seconds, function):
    """Instructions of the whole run, and calls of `function` in it."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary,
                        f"--benchmark_filter=^{row}$", f"--benchmark_min_time={seconds}"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        names, total, calls, callee = {}, 0, 0, ""
        with open(out) as lines:
            for line in lines:
                named = re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line)
                if named:
                    if named[3]:
                        names[named[2]] = named[3]
                    if named[1]:
                        callee = names.get(named[2], "")
                elif line.startswith("calls=") and function in callee:
                    calls += int(line[6:].split()[0])
                elif line.startswith(("summary:", "totals:")):
                    total = int(line.split()[1])
        return total, calls


def instructions(binary, row, function):
    short, longer = count(binary, row, 0.02, function), count(binary, row, 0.15, function)
    return (longer[0] - short[0]) / max(1, longer[1] - short[1])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for row, function in ROWS:
        found = [instructions(b, row, function) for b in sys.argv[1:]]
        ratio = f"  {found[0] / found[1]:.3f} of the older one" if len(found) == 2 else ""
        print(f"{row:26} " + " ".join(f"{n:12,.0f}" for n in found) + ratio, flush=True)


if __name__ == "__main__":
    main()
