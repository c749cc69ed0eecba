# SPDX-License-Identifier: Apache-2.0
"""README.md's first tour, typed into a fresh clone: each command works and prints what it says."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import (EXIT_DEGRADED, EXIT_OK, PATIENCE_SECONDS, PEER_PORT_OFFSET, QUICK, ROOT,
                     SANITIZED, takes_long)

PROMPT = re.compile(r"^(view \d+, primary \d+> )(.*)$")
BUILD_SECONDS = 900


def tour():
    """[(command, [lines that follow it])] of the section."""
    section = re.search(r"^## A first tour\n(.*?)^## ", (ROOT / "README.md").read_text(),
                        re.DOTALL | re.MULTILINE).group(1)
    commands = []
    continued = False
    for line in section.splitlines():
        if line.startswith("    $ "):
            commands.append((line[6:], []))
            continued = True
        elif not line.startswith("    "):
            continued = False
        elif commands and continued:
            commands[-1][1].append(line[4:])
    return commands


def same_shape(text):
    """What does not depend on time, process ids and counts."""
    text = re.sub(r"\b[0-9a-f]{16}\b", "ID", text)
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.]*", "#", text)).strip()


@takes_long
@unittest.skipIf(QUICK or SANITIZED, "builds a whole clone")
class Readme(unittest.TestCase):
    def setUp(self):
        if not (ROOT / ".git").exists():
            self.skipTest("not a git clone")
        for port in range(8000, 8005):
            for p in (port, port + PEER_PORT_OFFSET):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    try:
                        s.bind(("127.0.0.1", p))
                    except OSError:
                        self.skipTest(f"port {p}, which README.md uses, is taken")
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.clone = pathlib.Path(self.directory, "viewstamp")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.clone)], check=True)
        # Nothing of the build that this test runs in.
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("VR_", "MAKE", "MFLAGS", "BUILD", "BIN", "WERROR"))}
        self.env["XDG_STATE_HOME"] = os.path.join(self.directory, "state")  # the prompt's history
        self.addCleanup(self.shell, "./run_cluster.sh destroy")

    def shell(self, command):
        return subprocess.run(["bash", "-c", command], cwd=self.clone, env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=BUILD_SECONDS)

    def test_first_tour(self):
        commands = tour()
        self.assertGreater(len(commands), 8)
        for command, lines in commands:
            if any(PROMPT.match(line) for line in lines):
                self.at_a_terminal(command, lines)
            else:
                self.one_command(command, lines)

    def one_command(self, command, lines):
        done = self.shell(command)
        self.assertIn(done.returncode, (EXIT_OK, EXIT_DEGRADED) if "status" in command
                      else (EXIT_OK,), f"{command}: {done.stdout}{done.stderr}")
        if " trace " in command:
            # Which message came first is another story each time; which there were, is not.
            names = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b")
            for line in lines:
                for name in names.findall(line):
                    self.assertRegex(done.stdout, rf"\b{name}\b", command)
            return
        got = [same_shape(line) for line in done.stdout.splitlines()]
        expected = [same_shape(line) for line in lines]
        if "status" in command or "flood" in command:
            # Round trips, delays and counts make lines differ; how they begin, they must not.
            got = [line[:12] for line in got]
            expected = [line[:12] for line in expected]
        self.assertEqual(got, expected, command)

    def at_a_terminal(self, command, lines):
        """Types what follows the prompts, and reads what follows that."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.clone)
            os.execvpe(command.split()[0], command.split(), dict(self.env, TERM="dumb"))
        seen = ""

        def read_more(deadline, what):
            """False once the other side has closed the terminal, which it does by ending."""
            nonlocal seen
            self.assertLess(time.monotonic(), deadline, f"no {what} in {seen!r}")
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    some = os.read(terminal, 4096)
                except OSError:
                    return False
                seen += some.decode(errors="replace")
                return bool(some)
            return True

        def read_until(pattern, seconds):
            deadline = time.monotonic() + seconds
            while not re.search(pattern, seen):
                if not read_more(deadline, repr(pattern)):
                    self.fail(f"ended before {pattern!r}: {seen!r}")

        status = None
        try:
            for line in lines:
                typed = PROMPT.match(line)
                if typed:
                    read_until(r"view \d+, primary \d+> ", BUILD_SECONDS)
                    seen = ""
                    os.write(terminal, typed.group(2).encode() + b"\n")
                else:
                    words = re.sub(r"/\S+", "", re.split(r" in /", line)[0])
                    read_until(re.escape(words), BUILD_SECONDS)
            read_until(r"view \d+, primary \d+> ", PATIENCE_SECONDS)
            os.write(terminal, b"\x04")
            # Closing the terminal before it ends would be a hang-up, not a Ctrl-D.
            deadline = time.monotonic() + PATIENCE_SECONDS
            while read_more(deadline, "end of the session"):
                pass
            status = os.waitpid(pid, 0)[1]
        finally:
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
