# SPDX-License-Identifier: Apache-2.0
"""run_cluster.sh demo: it tells what really happened, notices when it did not, and leaves nothing
behind."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness import (EXIT_IO, PATIENCE_SECONDS, QUICK, ROOT, SANITIZED, SCRIPT, environment,
                     takes_long, wait_until)

SCENES = 4


class Terminal:
    """A terminal of some size, in which the demo with panes runs: an outer tmux."""

    def __init__(self, test, columns, rows):
        self.directory = tempfile.mkdtemp(prefix="tmux-", dir=test.scratch)
        self.env = dict(environment(), TMPDIR=str(test.temporary), TMUX_TMPDIR=self.directory)
        self.env.pop("TMUX", None)
        self.tmux("outer", "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y",
                  str(rows), f"'{SCRIPT}' demo --panes --no-pauses; echo EXIT $?; sleep 1000", ";",
                  "set-option", "-g", "status", "off")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for socket in self.sockets():
            subprocess.run(["tmux", "-L", socket, "kill-server"], env=self.env,
                           capture_output=True)
        return False

    def tmux(self, socket, *words):
        return subprocess.run(["tmux", "-L", socket, *words], env=self.env, check=True, text=True,
                              capture_output=True).stdout

    def sockets(self):
        """Names of the servers that run."""
        names = [path.name for path in pathlib.Path(self.directory).glob("tmux-*/*")]
        return [name for name in names
                if subprocess.run(["tmux", "-L", name, "list-sessions"], env=self.env,
                                  capture_output=True).returncode == 0]

    def screen(self):
        return self.tmux("outer", "capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("outer", "send-keys", *keys)

    def wait_for(self, pattern):
        try:
            wait_until(lambda: re.search(pattern, self.screen()), pattern, 4 * PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def panes(self):
        """{title: what the demo's pane shows}"""
        socket = next(name for name in self.sockets() if name != "outer")
        ids = self.tmux(socket, "list-panes", "-F", "#{pane_id} #{pane_title}").splitlines()
        return {title: self.tmux(socket, "capture-pane", "-p", "-t", pane)
                for pane, title in (line.split(" ", 1) for line in ids)}


@takes_long
@unittest.skipIf(QUICK or SANITIZED, "tells the story of one build, which is enough")
class Demo(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="vr-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.temporary = pathlib.Path(self.scratch, "tmp")
        self.temporary.mkdir()

    def demo(self, *arguments, **extra):
        env = dict(environment(), TMPDIR=str(self.temporary), **extra)
        env.pop("TMUX", None)
        done = subprocess.run([SCRIPT, "demo", "--no-pauses", *arguments], env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=4 * PATIENCE_SECONDS)
        self.assertEqual(list(self.temporary.iterdir()), [], "left behind")
        self.assertEqual(self.servers(), [], "left running")
        return done

    def servers(self):
        """Command lines of servers whose data lie in this test's directory."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "vr-server" in line and self.scratch in line:
                found.append(line)
        return found

    def test_all_scenes_happen(self):
        done = self.demo()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertNotIn("\x1b", done.stdout)  # no colours into a pipe
        self.assertEqual(len(re.findall(r"^  \d  .* happened: ", done.stdout, re.MULTILINE)),
                         SCENES)
        self.assertNotIn("NOT SEEN", done.stdout)
        for message in ("Prepare", "PrepareOk", "StartViewChange", "DoViewChange", "StartView",
                        "Recovery", "RecoveryResponse", "CatchupResponse", "Reply"):
            self.assertRegex(done.stdout, rf"(?m)^ +[\d.]+ ms .* {message} ")

    def test_notices_that_nobody_was_killed(self):
        done = self.demo(VR_DEMO_KILL="true")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"NOT SEEN +replica 0 is gone")
        self.assertRegex(done.stdout, r"NOT SEEN +three replicas voted")
        self.assertRegex(done.stdout, r"(?m)^  2  .*DID NOT HAPPEN")
        self.assertRegex(done.stdout, r"(?m)^  1  .* happened")

    def test_panes(self):
        done = self.demo("--panes")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all four scenes happened", done.stdout)

    def test_panes_at_ordinary_sizes(self):
        for columns, rows in ((120, 36), (100, 30)):
            with self.subTest(columns=columns), Terminal(self, columns, rows) as terminal:
                terminal.wait_for("Scene 4 of 4")
                panes = terminal.panes()
                self.assertEqual(sorted(panes), sorted(
                    ["what happens", "client", *(f"replica {i}" for i in range(5))]))
                for i in range(5):  # each its own messages, one a row
                    shown = [line for line in panes[f"replica {i}"].splitlines() if line]
                    messages = [line for line in shown if " -> " in line]
                    self.assertTrue(messages, panes)
                    for line in messages:
                        self.assertRegex(line, rf"^ *\d+\.\d  *(\S+ -> {i} |{i} -> )")
                    for line in shown:
                        self.assertRegex(line, r"^(#| *\d+\.\d )")
                self.assertIn("$ vr-client set fruit banana", panes["client"])
                told = panes["what happens"]
                self.assertRegex(told, r"(?m)^Scene 4 of 4: the next primary is killed$")
                words = set(re.findall(r"[a-z]+", (ROOT / "tools/demo.sh").read_text()))
                for line in told.splitlines():
                    if line.startswith("  ") and line[2:3].isalpha():
                        for word in re.findall(r"\b[a-z]+\b", line):
                            self.assertIn(word, words, f"cut in {line!r}")
                terminal.wait_for(r"EXIT 0\b")

    def test_ctrl_c_ends_all_panes(self):
        with Terminal(self, 120, 36) as terminal:
            terminal.wait_for("Scene 2 of 4")
            terminal.keys("C-c")
            terminal.wait_for(r"EXIT 130\b")
            self.assertIn("interrupted", terminal.screen())
            self.assertEqual(list(self.temporary.iterdir()), [], "left behind")
            self.assertEqual(self.servers(), [], "left running")
            self.assertEqual(terminal.sockets(), ["outer"])

    def test_leaving_the_panes_ends_the_demo(self):
        with Terminal(self, 120, 36) as terminal:
            terminal.wait_for("Scene 1 of 4")
            terminal.keys("C-b", "d")
            terminal.wait_for(r"EXIT 130\b")
            self.assertEqual(list(self.temporary.iterdir()), [], "left behind")
            self.assertEqual(self.servers(), [], "left running")

    def test_small_terminal_is_refused(self):
        with Terminal(self, 99, 36) as terminal:
            terminal.wait_for(r"EXIT 2\b")
            self.assertIn("needs at least 100x30; this terminal has 99x36", terminal.screen())

    def test_recording(self):
        recording = pathlib.Path(self.scratch, "demo.cast")
        done = self.demo("--record", str(recording))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = recording.read_text().splitlines()
        self.assertEqual(json.loads(lines[0])["version"], 2)
        shown = "".join(json.loads(line)[2] for line in lines[1:])
        self.assertIn("Scene 4 of 4", shown)
        before = recording.read_bytes()
        again = self.demo("--record", str(recording))
        self.assertEqual(again.returncode, 2)
        self.assertIn("there already", again.stderr)
        self.assertEqual(recording.read_bytes(), before)

    def test_recording_to_a_place_that_is_not(self):
        refused = self.demo("--record", f"{self.scratch}/nowhere/demo.cast")
        self.assertEqual(refused.returncode, EXIT_IO)
        self.assertEqual(len(refused.stderr.splitlines()), 1, refused.stderr)
        self.assertRegex(refused.stderr, r"cannot write .*nowhere/demo\.cast: No such file")

    def test_refuses_what_it_does_not_know(self):
        done = self.demo("--speed", "9")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'--speed'", done.stderr)
