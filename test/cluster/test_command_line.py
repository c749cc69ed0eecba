# SPDX-License-Identifier: Apache-2.0
"""What scripts rely on without a cluster: errors under --json, and exit codes of what only prints."""

import json
import subprocess
import unittest

from harness import CLIENT, EXIT_IO, EXIT_OK, EXIT_USAGE, PATIENCE_SECONDS, SERVER, environment


def run(*words, stdout=subprocess.PIPE):
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                          text=True, env=environment(), timeout=PATIENCE_SECONDS)


class JsonErrors(unittest.TestCase):
    """Under --json every error is one object on stdout, and nothing else is said."""

    def check(self, *arguments, says):
        done = run(CLIENT, *arguments)
        self.assertEqual((done.returncode, done.stderr), (EXIT_USAGE, ""), arguments)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), 1, arguments)
        self.assertIs(answers[0]["ok"], False)
        self.assertEqual((answers[0]["outcome"], answers[0]["error"]), ("failed", "usage"))
        self.assertIn(says, answers[0]["message"])

    def test_options(self):
        self.check("--json", "--timeout", "x", says="--timeout x: not a number")
        self.check("--timeout", "x", "--json", says="--timeout x: not a number")
        self.check("--json", "--datagram-size", "1", says="--datagram-size 1")
        self.check("--json", "--bogus", "get", "k", says="--bogus")
        self.check("--json", "--cluster", says="requires an argument")

    def test_commands(self):
        self.check("--json", "get", says="too few")
        self.check("--json", "dance", says="no command")
        self.check("--json", "status", "--bogus", says="--bogus")
        self.check("--json", "flood", "--bogus", says="--bogus")
        self.check("flood", "--clients", "x", "--json", says="--clients x")
        self.check("--json", "flood", "--count", "1", "--duration", "1", says="exclude")

    def test_text_without_it(self):
        done = run(CLIENT, "--timeout", "x")
        self.assertEqual((done.returncode, done.stdout), (EXIT_USAGE, ""))
        self.assertIn("--timeout x: not a number", done.stderr)


class FullStdout(unittest.TestCase):
    """What could not be printed was not done, though it be but a help text."""

    def test_help_and_version(self):
        for words in ((CLIENT, "--help"), (CLIENT, "--usage"), (CLIENT, "--version"),
                      (CLIENT, "help"), (CLIENT, "flood", "--help"), (SERVER, "--help"),
                      (SERVER, "--version"), (SERVER, "init", "--help"), (SERVER, "start", "--help")):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = run(*words, stdout=full)
            self.assertEqual(done.returncode, EXIT_IO, words)
            self.assertIn("cannot write to stdout", done.stderr)
            self.assertEqual(run(*words).returncode, EXIT_OK, words)
