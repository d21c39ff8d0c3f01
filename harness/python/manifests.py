"""What is wrong with rendered manifests that a cluster would say, and whether broken ones are noticed.

    manifests.py HELP DOCUMENT RENDERED...

HELP is a folder with what `PROGRAM --help` printed, in PROGRAM.txt. DOCUMENT tells the reader which Secrets and
ConfigMaps to make. Each RENDERED is a file of one overlay's resources, which has the overlay's name.
"""

import pathlib
import re
import sys

import yaml

from manifests_broken import BREAKS, unnoticed
from manifests_overlay import Documented, Overlay
from manifests_rules import problems

# The overlay that is broken to see whether that is noticed: it has everything.
BROKEN = "monitoring"


def main(help_folder, document, *rendered):
    texts = {file.stem: file.read_text() for file in pathlib.Path(help_folder).glob("*.txt")}
    flags = {program: set(re.findall(r"\[env: ([A-Z0-9_]+)", text)) for program, text in texts.items()}
    documented = Documented(pathlib.Path(document).read_text())
    overlays = [
        Overlay(file.stem, [each for each in yaml.safe_load_all(file.read_text()) if each], flags, documented)
        for file in map(pathlib.Path, rendered)
    ]
    found = [problem for overlay in overlays for problem in problems(overlay)]
    if not found:
        found = [missed for overlay in overlays if overlay.name == BROKEN for missed in unnoticed(overlay)]
    if found:
        sys.exit("\n".join(found))
    for overlay in overlays:
        print(f"{overlay.name}: {len(overlay.resources)} resources fit together")
    print(f"{len(BREAKS)} broken copies of {BROKEN} were noticed")


if __name__ == "__main__":
    main(*sys.argv[1:])
