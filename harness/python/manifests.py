"""Reports what a cluster would reject in rendered manifests, and checks that broken ones are noticed.

    manifests.py HELP DOCUMENT COMPOSE RENDERED...

HELP is a folder with the output of `PROGRAM --help` in PROGRAM.txt. DOCUMENT tells the reader which Secrets and ConfigMaps
to create. COMPOSE is the compose file. Each RENDERED is a file with the resources of the overlay of that name.
"""

import pathlib
import re
import sys

import yaml

import manifests_broken
import manifests_compose
from manifests_overlay import Documented, Overlay
from manifests_rules import problems

# The overlay to break in order to test the rules: it has everything.
BROKEN = "monitoring"


def main(help_folder, document, compose, *rendered):
    texts = {file.stem: file.read_text() for file in pathlib.Path(help_folder).glob("*.txt")}
    flags = {program: set(re.findall(r"\[env: ([A-Z0-9_]+)", text)) for program, text in texts.items()}
    documented = Documented(pathlib.Path(document).read_text())
    overlays = {}
    for file in map(pathlib.Path, rendered):
        resources = [resource for resource in yaml.safe_load_all(file.read_text()) if resource]
        overlays[file.stem] = Overlay(file.stem, resources, flags, documented)
    compose = yaml.safe_load(pathlib.Path(compose).read_text())
    found = [problem for overlay in overlays.values() for problem in problems(overlay)]
    found += manifests_compose.problems(compose, flags)
    # An overlay with problems of its own cannot show that others are noticed.
    if not found:
        found = [*manifests_broken.unnoticed(overlays[BROKEN]), *manifests_compose.unnoticed(compose, flags)]
    if found:
        sys.exit("\n".join(found))
    for overlay in overlays.values():
        print(f"{overlay.name}: {len(overlay.resources)} resources fit together")
    print(f"{len(manifests_broken.BREAKS) + len(manifests_compose.BREAKS)} broken copies were noticed")


if __name__ == "__main__":
    main(*sys.argv[1:])
