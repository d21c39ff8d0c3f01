"""Checks the compose file against the programs."""

import copy

from manifests_rules import BESIDE_FLAGS

# A variable of glance to change, and what the reported problem must contain.
BREAKS = [("GRACE", "1", "names no GRACE"), ("GRACE_PERIOD_S", "75", "is killed after 75 s")]


def problems(compose, flags):
    return [problem for name, service in compose["services"].items() for problem in of_service(name, service, flags)]


def of_service(name, service, flags):
    # The databases are not ours.
    if "build" not in service:
        return
    program = service["build"]["args"]["SERVICE"]
    given = service["environment"]
    for variable in sorted(given.keys() - flags[program] - BESIDE_FLAGS.keys()):
        yield f"compose: {name}: {program} --help names no {variable}"
    drain = int(given.get("DRAIN_DELAY_S", 0)) + int(given["GRACE_PERIOD_S"])
    grace = int(service["stop_grace_period"].removesuffix("s"))
    if grace <= drain:
        yield f"compose: {name}: is killed after {grace} s, and may take {drain} s to stop"


def unnoticed(compose, flags):
    """What was broken in a copy of the file without being noticed; the file itself must have no problems."""
    for variable, value, sentence in BREAKS:
        broken = copy.deepcopy(compose)
        broken["services"]["glance"]["environment"][variable] = value
        if not any(sentence in problem for problem in problems(broken, flags)):
            yield f"compose: {variable}={value}: nobody said {sentence!r}"
