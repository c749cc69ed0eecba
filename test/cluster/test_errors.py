# SPDX-License-Identifier: Apache-2.0
"""The catalogue of warnings and errors, its page in docs/, and the code that uses it agree."""

import re
import unittest

from harness import ROOT

ENTRY = re.compile(r'\[(ERROR_\w+)\] =\s*\{"(VR\d{4})", LOG_(\w+), ([EW]),\s*"([^"]+)"\}')
HEADING = re.compile(r"^### (VR\d{4}): (.+)$", re.MULTILINE)


def catalogue():
    source = (ROOT / "common" / "base" / "error_id.c").read_text()
    entries = ENTRY.findall(source)
    assert len(entries) == source.count('"VR'), "an entry is written in another way"
    return entries


def sources():
    for folder in ("common", "server", "client"):
        for path in (ROOT / folder).rglob("*.c"):
            yield path, path.read_text()


class Errors(unittest.TestCase):
    def test_page_and_catalogue_name_the_same(self):
        page = (ROOT / "docs" / "errors.md").read_text()
        listed = [(id_, title) for _, id_, _, _, title in catalogue()]
        self.assertEqual(len({id_ for id_, _ in listed}), len(listed), "an id is used twice")
        self.assertEqual(sorted(listed), HEADING.findall(page))

    def test_each_is_explained(self):
        page = (ROOT / "docs" / "errors.md").read_text()
        parts = dict(zip((id_ for id_, _ in HEADING.findall(page)), HEADING.split(page)[3::3]))
        levels = {"E": "error", "W": "warning"}
        for _, id_, subsystem, level, _ in catalogue():
            text = parts[id_]
            self.assertIn("\n- Why it matters: ", text, id_)
            self.assertIn("\n- What to do: ", text, id_)
            self.assertTrue(text.lstrip().startswith(f"{levels[level]}, {subsystem.lower()}"), id_)

    def test_every_id_is_said_somewhere(self):
        enumerators = re.findall(r"^    (ERROR_\w+),$",
                                 (ROOT / "common" / "base" / "error_id.h").read_text(),
                                 re.MULTILINE)
        self.assertEqual(enumerators, ["ERROR_NONE", *(e[0] for e in catalogue()), "ERROR_COUNT"])
        text = "".join(t for path, t in sources() if path.name != "error_id.c")
        for name in enumerators[1:-1]:
            self.assertTrue(name in text, f"{name} is never said")

    def test_no_warning_without_an_id(self):
        """logger_write() is for what is no problem; the rest goes through logger_problem()."""
        for path, text in sources():
            self.assertNotRegex(text, r"logger_write\(\s*LOG_LEVEL_(ERROR|WARNING)", path)
            for call in re.findall(r"\b(?:log_problem|logger_problem|complain)\(\s*[^;]*?;", text):
                if path.name not in ("logger.c", "health.c"):
                    self.assertRegex(call, r"\(\s*(ERROR_\w+|error_find\(error->id\)),", path)
