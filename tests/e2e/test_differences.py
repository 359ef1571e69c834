"""The prose and the table of intended differences say the same, and every row is used."""

import glob
import os
import re

from difference import ROWS

HERE = os.path.dirname(os.path.abspath(__file__))


def test_prose_has_every_row():
    with open(os.path.join(HERE, "differences.md")) as file:
        named = re.findall(r"^\* \*\*`([a-z0-9-]+)`\*\*", file.read(), re.M)
    assert sorted(named) == sorted(ROWS)


def test_every_row_is_used():
    text = ""
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        if not path.endswith("test_differences.py"):
            with open(path) as file:
                text += file.read()
    unused = [row for row in ROWS if '"%s"' % row not in text]
    # Rows that are proved by tests of their own, or by the harness.
    elsewhere = {"maintenance": "test_page_appears", "no-live": "test_all_marked_failed",
                 "early-answer": "test_early_answer_is_heard", "server-name": "renamed",
                 "nearest-word": "test_unknown_directive_suggests",
                 "written-anew": "test_target_is_written_anew",
                 "several": "test_packet_is_stricter"}
    for row in unused:
        assert row in elsewhere and elsewhere[row] in text, row
