# SPDX-License-Identifier: Apache-2.0
"""The systemd unit: accepted by systemd, closed towards the system, and its command line runs."""

import os
import re
import shlex
import subprocess
import tempfile
import shutil
import unittest

from harness import HEARTBEAT_MS, SERVER, environment, free_first_port
from tree import TreeTest

EXPOSURE_MAX = 2.0  # of 10, as systemd-analyze counts; 9.6 is a service without any protection


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, env=environment())


class Unit(TreeTest):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def unit(self):
        return self.path("usr/lib/systemd/system/vr-server@.service")

    def test_systemd_accepts_it(self):
        # The name of an instance, for only that is complete; its manuals are not installed here.
        instance = os.path.join(self.directory, "vr-server@a.service")
        shutil.copy(self.unit(), instance)
        done = analyze("verify", "--man=no", instance)
        about_it = [line for line in done.stderr.splitlines() if "vr-server" in line]
        self.assertEqual((done.returncode, about_it), (0, []), done.stderr)

    def test_a_mistake_in_it_would_be_noticed(self):
        instance = os.path.join(self.directory, "vr-server@a.service")
        with open(self.unit()) as source, open(instance, "w") as copy:
            copy.write(source.read().replace("NoNewPrivileges=", "NoNewPriviledges="))
        self.assertIn("NoNewPriviledges", analyze("verify", "--man=no", instance).stderr)

    def test_it_is_closed_towards_the_system(self):
        done = analyze("security", "--offline=yes", "--no-pager", self.unit())
        exposure = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
        self.assertIsNotNone(exposure, done.stdout + done.stderr)
        self.assertLess(float(exposure.group(1)), EXPOSURE_MAX)

    def command(self, configuration):
        """ExecStart as systemd would run it for instance `a`, but for the places."""
        with open(self.unit()) as file:
            line = re.search(r"^ExecStart=(.*)$", file.read(), re.MULTILINE).group(1)
        words = shlex.split(line.replace("$$", "$"))
        return [word.replace("/usr/bin/vr-server", SERVER)
                    .replace("/etc/viewstamp/%i.conf", configuration) for word in words]

    def test_its_command_starts_a_replica_with_and_without_a_file(self):
        state = os.path.join(self.directory, "state")
        os.mkdir(state)
        subprocess.run([SERVER, "init", "--data-dir", os.path.join(state, "data"), "--replica", "0",
                        "--cluster", f"127.0.0.1:{free_first_port(1)}", "--cluster-id", "1"],
                       check=True, env=environment())
        configuration = os.path.join(self.directory, "a b.conf")
        for text in (None, f"[timing]\nheartbeat-ms = {HEARTBEAT_MS}\n"):
            if text is not None:
                with open(configuration, "w") as file:
                    file.write(text)
                if "--config" not in server_help():
                    self.skipTest("this vr-server knows no --config yet")
            server = subprocess.Popen(
                self.command(configuration), env=dict(environment(), STATE_DIRECTORY=state),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(server.stdout.close)
            self.addCleanup(server.wait)
            self.addCleanup(server.kill)
            self.assertEqual(server.stdout.readline(), b"ready\n")
            # Notify asks for one process: the shell has become the server.
            self.assertEqual(os.path.realpath(f"/proc/{server.pid}/exe"), os.path.realpath(SERVER))
            server.terminate()
            server.wait()


def server_help():
    return subprocess.run([SERVER, "start", "--help"], capture_output=True, text=True,
                          env=environment()).stdout


if __name__ == "__main__":
    unittest.main()
