"""Presence, history and events of the devices of commands.py, as their platform sees them; see scripts/cluster-test.

A device whose connection held, or that came back within OFFLINE_AFTER_S, has not been away: no event says so, and its
`since` has not moved. Its history has each command's outcome, and ends of connections only if it has seen one. The stream of events has each outcome, or a gap.
"""
import asyncio
import time

from stream import seconds

OFFLINE_AFTER_S = 25  # presence.offline_after_s is 30
SETTLE_S = 30


async def settled_presence(p, tenant):
    """The presence of all, when those that are connected are online; None: they do not get so."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        status, said = await p.rest.ask("GET", f"/api/v1/presence?tenant={tenant}&limit=500")
        now = {x["device"]: x for x in said.get("items", [])} if status == 200 else {}
        if now and all(now.get(d.device, {}).get("state") == "online" for d in p.devices if d.ready.is_set()):
            return now
        await asyncio.sleep(0.1)
    return None


async def history_of(p, tenant, device):
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        status, said = await p.rest.ask("GET", f"/api/v1/history?tenant={tenant}&device={device}&limit=500")
        if status == 200:
            return said["items"]
        await asyncio.sleep(0.1)
    return None


async def judged(p, tenant, connected_at):
    """A report and problems. `connected_at`: then all devices had been connected for the first time."""
    report = dict.fromkeys(("seen_false_offline", "seen_since_moved", "seen_unsettled", "seen_history_missing",
                            "seen_history_wrong", "seen_stream_missing", "seen_stream_backward"), 0)
    problems = []

    def problem(key, text):
        report[key] += 1
        problems.append(text)

    now = await settled_presence(p, tenant)
    if now is None:
        problem("seen_unsettled", "presence: connected devices are not online")
        return report, problems
    outcomes = {}
    for c in p.commands:
        if c.over:
            outcomes.setdefault(c.device.device, set()).add(c.id)
    left_out = set()  # their events were too many for the history, and for the stream
    for d in p.devices:
        held = not d.ends
        off = [e for e, state in p.listener.presence.get(d.device, {}).items() if state == "OFFLINE"]
        if off and d.longest_away < OFFLINE_AFTER_S:
            problem("seen_false_offline", f"{d.device} was away {d.longest_away:.1f} s, but events say {off}")
        if held and seconds(now[d.device]["since"]) > connected_at + 1:
            problem("seen_since_moved", f"{d.device} held its connection, but presence says {now[d.device]}")
        history = await history_of(p, tenant, d.device)
        if history is None:
            problem("seen_unsettled", f"no history of {d.device}")
            continue
        ids = {x.get("command") for x in history if x["type"] == "command"}
        missing = outcomes.get(d.device, set()) - ids
        if any(x.get("left_out") for x in history):
            left_out.add(d.device)
        elif missing:
            problem("seen_history_missing", f"history of {d.device} has not {sorted(missing)[:3]}")
        kinds = [x["type"] for x in history]
        if held and (kinds.count("connected") != 1 or "ended" in kinds or "taken_over" in kinds):
            problem("seen_history_wrong", f"{d.device} held its connection, but its history has "
                    f"{[x for x in history if x['type'] != 'command']}")
    ended = {c.id: seconds(c.record["transitions"][-1]["at"])
             for c in p.commands if c.over and c.device.device not in left_out}
    for c in await p.stream.settle(ended, SETTLE_S):
        problem("seen_stream_missing", f"{c} ended at {ended[c]:.3f}: neither an event nor a gap says so")
    if p.stream.backward:
        problem("seen_stream_backward", f"{p.stream.backward} ids of events are not above the one before")
    report.update(seen_stream_in_gap=len(ended.keys() - p.stream.commands), seen_stream_read_at=p.stream.read_at,
                  seen_stream_refused=p.stream.refused, seen_stream_gaps=len(p.stream.gaps))
    return report, problems
