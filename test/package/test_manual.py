# SPDX-License-Identifier: Apache-2.0
"""Manuals: no warning, and no option of a program that they leave out."""

import re
import subprocess
import unittest

from harness import BUILD, CLIENT, SERVER, environment
from test_install import declared

PAGES = ("vr-client.1", "libvrclient.3", "vr.conf.5", "vr-server.8")


def page(name):
    return str(BUILD / "man" / name)


def shown(name):
    """A page as a reader sees it, on lines too long to be broken."""
    done = subprocess.run(["man", "-l", page(name)], capture_output=True, text=True, check=True,
                          env=dict(environment(), MANWIDTH="1000", MANPAGER="cat", PAGER="cat"))
    return re.sub(r".\x08", "", done.stdout)


def helped(*command):
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    return done.stdout + done.stderr


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Manual(unittest.TestCase):
    def test_pages_make_no_warning(self):
        for name in PAGES:
            for command in (["man", "--warnings", "-l", page(name)],
                            ["groff", "-man", "-Tutf8", "-ww", "-z", page(name)],
                            ["lexgrog", page(name)]):  # what apropos finds
                done = subprocess.run(command, capture_output=True, text=True,
                                      env=dict(environment(), MANPAGER="cat", PAGER="cat"))
                self.assertEqual((done.returncode, done.stderr), (0, ""), f"{command}")

    def test_nothing_but_these_pages_is_made(self):
        self.assertEqual(sorted(p.name for p in (BUILD / "man").iterdir()), sorted(PAGES))

    def left_out(self, name, *commands):
        known = set()
        for command in commands:
            known |= options(helped(*command))
        self.assertGreater(len(known), 3, commands)
        return known - options(shown(name))

    def test_every_option_of_the_server_is_in_its_manual(self):
        self.assertEqual(self.left_out("vr-server.8", [SERVER, "--help"],
                                       [SERVER, "init", "--help"], [SERVER, "start", "--help"]),
                         set())

    def test_every_option_and_command_of_the_client_is_in_its_manual(self):
        commands = re.findall(r"^  ([a-z][a-z-]*)\b", helped(CLIENT, "help"), re.MULTILINE)
        self.assertIn("get", commands)
        helps = [[CLIENT, "help", command] for command in commands]
        # Commands with many options list them themselves, and their help says so.
        lists = [[CLIENT, command, "--help"] for command in commands
                 if f"{command} --help" in helped(CLIENT, "help", command)]
        self.assertIn([CLIENT, "flood", "--help"], lists)
        self.assertEqual(self.left_out("vr-client.1", [CLIENT, "--help"], *helps, *lists), set())
        text = shown("vr-client.1")
        for command in commands:
            self.assertRegex(text, rf"(?m)^ +{command}\b")

    def test_every_key_of_the_configuration_is_in_its_manual(self):
        """The keys are the long options of start, but those about the file itself, or for one start."""
        keys = options(helped(SERVER, "start", "--help")) - {
            "--help", "--usage", "--config", "--print-config", "--check", "--rebuild"}
        text = shown("vr.conf.5")
        self.assertEqual({key for key in keys
                          if not re.search(rf"(?m)^ +{key.removeprefix('--')}\b", text)}, set())

    def test_every_function_of_the_library_is_in_its_manual(self):
        text = shown("libvrclient.3")
        self.assertEqual([f for f in declared() if f + "()" not in text], [])


if __name__ == "__main__":
    unittest.main()
