#!/usr/bin/python3
# ctest: timeout=30
"""Links of the documents lead to files of the repository, and to headings that are there."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents():
    listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "*.md"], capture_output=True, text=True, check=False)
    names = listed.stdout.split() or [path for path in SOURCE.rglob("*.md") if SOURCE / "build" not in path.parents]
    return [SOURCE / name for name in names if (SOURCE / name).exists()]


def anchors(text):
    """What a link to a heading has behind its #."""
    for heading in re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE):
        heading = LINK.sub(lambda link: link.group(0)[1:].split("]")[0], heading)
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def wrong_links(document, text):
    """What each wrong link of a document says."""
    for target in LINK.findall(FENCE.sub("", text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or SOURCE not in (file, *file.parents):
            yield target
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield target


class Links(unittest.TestCase):
    def test_every_link_resolves(self):
        found = documents()
        self.assertGreater(len(found), 10)
        for document in found:
            wrong = list(wrong_links(document, document.read_text(encoding="utf-8")))
            self.assertEqual(wrong, [], document.relative_to(SOURCE))

    def test_a_wrong_link_is_found(self):
        text = "# A `b` c\n[x](#a-b-c) [y](#a-b) [z](nosuch.md) [w](links.md)"
        document = SOURCE / "README.md"
        self.assertEqual(list(wrong_links(document, text)), ["#a-b-c", "#a-b", "nosuch.md", "links.md"])
        self.assertIn("a-b-c", anchors(text))


if __name__ == "__main__":
    sys.exit(unittest.main())
