#!/usr/bin/env python3
"""The contract of a parking platform against a running gateway. Each row of the tables in docs/platform.md, "The contract of a
parking platform, mapped", has a check here of the same name. A check does what the platform would do and returns the words that
the gateway has said; these are exactly the words in code quotes of the row's right column.

  contract_test.py BERTH SOURCE_DIR
"""
import os, re, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from contract import checks, read, source  # noqa: E402
# Each adds its rows; they are checked in this order.
import contract_commands, contract_rules, contract_events  # noqa: E402, F401


# -- the tables

def rows():
    page = read(source + "/docs/platform.md")
    section = page.split("\n## The contract of a parking platform, mapped\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith(("| theirs |", "| **")):
            theirs, ours = (c.strip() for c in line.strip("|").split(" | ", 1))
            yield theirs, set(re.findall(r"`([^`]+)`", ours))


cameras, faults, table = [], [], dict(rows())
for theirs in [t for t in table if t not in checks]:
    faults.append(f"no check of the row {theirs!r}")
for theirs in [t for t in checks if t not in table]:
    faults.append(f"no row {theirs!r} in docs/platform.md")
for theirs, check in checks.items():
    begin = time.monotonic()
    try:
        said = check()
        if said != table.get(theirs, said):
            faults.append(f"{theirs}: the gateway says {sorted(said)}, the table {sorted(table[theirs])}")
    except (Exception, SystemExit) as e:  # the other rows are of interest too
        faults.append(f"{theirs}: {type(e).__name__}: {e}")
    if "-v" in sys.argv:
        print(f"{time.monotonic() - begin:6.2f} s  {theirs}: {sorted(said)}")
for f in faults:
    print("FAULT:", f)
print(len(checks), "rows,", len(faults), "faults")
sys.exit(1 if faults else 0)
