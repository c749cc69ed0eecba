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

from harness import PATIENCE_SECONDS, QUICK, SANITIZED, SCRIPT, environment

SCENES = 4


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

    def test_refuses_what_it_does_not_know(self):
        done = self.demo("--speed", "9")
        self.assertEqual(done.returncode, 2)
        self.assertIn("'--speed'", done.stderr)
