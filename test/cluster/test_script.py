# SPDX-License-Identifier: Apache-2.0
"""run_cluster.sh itself: what it refuses, what it says, what it leaves alone."""

import os
import pathlib
import signal
import subprocess

from harness import (EXIT_FAILED, EXIT_IO, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, SCRIPT,
                     ClusterTest, environment, wait_until)

EXIT_CONFIGURATION = 78


def processes_with(argument):
    """pids of the processes that were started with this argument."""
    pids = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument in path.read_text().split("\0"):
                pids.append(int(path.parent.name))
        except OSError:
            pass
    return pids


class Script(ClusterTest):
    def test_resumes_only_what_is_there(self):
        c = self.script_cluster(3)
        refused = c.run("start", "-n", "5", code=EXIT_CONFIGURATION)
        self.assertIn("3 replicas", refused.stderr)
        self.assertIn("destroy", refused.stderr)
        c.run("start", "-p", str(c.first_port + 1), code=EXIT_CONFIGURATION)
        self.assertIn("already running", c.run("start").stdout)
        self.assertIn("already running", c.run("start", "-n", "3").stdout)

    def test_failed_first_start_leaves_nothing_in_the_way(self):
        c = self.script_cluster(3)
        c.run("destroy")
        ports = ("-n", "3", "-p", str(c.first_port))
        refused = c.run("start", *ports, "--", "--bogus", code=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("--bogus", refused.stdout)
        self.assertEqual([n for n in os.listdir(c.directory) if ".log" not in n], [])
        log = pathlib.Path(c.directory, "replica-0.log")
        log.write_text("words of old\n" + log.read_text())
        again = c.run("start", *ports, "--", "--bogus", code=None)
        self.assertIn("--bogus", again.stdout)
        self.assertNotIn("words of old", log.read_text())
        self.assertIn("logs of a start that failed", c.run("destroy").stdout)
        self.assertFalse(os.path.exists(c.directory))
        self.assertIn("nothing to remove", c.run("destroy").stdout)
        # Another number of replicas than those that never were, and without their flags.
        c.run("start", "-n", "1", "-p", str(c.first_port))
        self.assertFalse(os.path.exists(os.path.join(c.directory, "server-flags")))

    def test_failed_later_start_keeps_the_flags(self):
        c = self.script_cluster(1)
        flags = pathlib.Path(c.directory, "server-flags")
        before = flags.read_text()
        c.run("stop")
        refused = c.run("start", "--", "--bogus", code=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(flags.read_text(), before)
        self.assertTrue(os.path.isdir(os.path.join(c.directory, "replica-0")))

    def test_exits_as_the_server_does(self):
        c = self.script_cluster(1)
        c.run("destroy")
        said = c.run("start", "-n", "1", "-p", str(c.first_port), "--durability", "sync", code=None)
        if said.returncode != EXIT_OK:  # a server without a log on disk
            self.assertEqual(said.returncode, EXIT_CONFIGURATION, said.stdout + said.stderr)
            self.assertFalse(os.path.exists(os.path.join(c.directory, "cluster")))

    def test_taken_peer_port_is_explained(self):
        c = self.script_cluster(1)
        other = os.path.join(c.parent, "other")
        refused = subprocess.run(
            [SCRIPT, "start", "-d", other, "-n", "1", "-p", str(c.first_port + 100)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment())
        self.assertEqual(refused.returncode, EXIT_IO, refused.stdout + refused.stderr)
        self.assertIn("+ 100", refused.stderr)
        self.assertFalse(os.path.exists(os.path.join(other, "cluster")))

    def test_restarted_replica_has_caught_up(self):
        c = self.script_cluster(3)
        backup = (c.primary() + 1) % 3
        c.kill(backup)
        for _ in range(20):
            last = c.value("incr", "n")
        self.assertEqual(last, "20")
        said = c.run("restart", str(backup)).stdout
        self.assertIn("status normal, executed up to op ", said)
        self.assertGreaterEqual(int(said.split()[-1]), 20)

    def test_refuses_what_it_does_not_know(self):
        c = self.script_cluster(1)
        c.run("kill", "1", code=EXIT_USAGE)
        c.run("kill", "x", code=EXIT_USAGE)
        c.run("kill", code=EXIT_USAGE)
        c.run("dance", code=EXIT_USAGE)
        c.run("start", "-n", "10", code=EXIT_USAGE)
        c.run("start", "-p", "70000", code=EXIT_USAGE)

    def test_replica_that_does_not_run(self):
        c = self.script_cluster(3)
        c.kill(2)
        again = c.run("kill", "2", code=EXIT_FAILED)
        self.assertIn("restart", again.stderr)
        c.run("pause", "2", code=EXIT_FAILED)
        self.assertIn("replica 2 does not run", c.run("status", code=None).stdout)
        c.restart(2)
        c.wait_equal()

    def test_foreign_pid_is_left_alone(self):
        """A pid file proves nothing: the number may be another process by now."""
        c = self.script_cluster(3)
        c.kill(1)
        stranger = subprocess.Popen(["sleep", "600"])
        try:
            pathlib.Path(c.directory, "replica-1.pid").write_text(f"{stranger.pid}\n")
            c.run("kill", "1", code=EXIT_FAILED)
            c.run("stop")
            self.assertIsNone(stranger.poll())
        finally:
            stranger.kill()
            stranger.wait()

    def test_stop_reaches_paused_replicas_and_leaves_nothing(self):
        c = self.script_cluster(3)
        pids = c.pids()
        self.assertEqual(len(pids), 3)
        c.pause(0)
        c.run("stop")
        for pid in pids.values():
            wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"end of {pid}", 10)

    def test_lost_group_is_called_lost(self):
        """D9, in memory mode: a majority that stopped at once took its log along."""
        c = self.script_cluster(3, "--durability", "memory")
        self.assertEqual(c.value("incr", "n"), "1")
        c.wait_equal()
        c.kill(0)
        c.kill(1)
        for i in (0, 1):
            said = c.run("restart", str(i), code=EXIT_UNAVAILABLE).stdout
        self.assertIn("This group cannot go on by itself", said)
        self.assertIn("destroy", said)
        said = c.run("status", code=None).stdout
        self.assertIn("This group cannot go on by itself", said)
        # What it had is not to be known, but it is said who still holds how much.
        op = c.replica(2)["op"]
        self.assertGreater(op, 0)
        self.assertIn(f"in memory only: replica 2 up to op {op}.", said)

    def test_works_from_anywhere_with_relative_directory(self):
        c = self.script_cluster(1)
        done = subprocess.run([SCRIPT, "status", "-d", "a cluster"], cwd=c.parent,
                              stdin=subprocess.DEVNULL, capture_output=True, env=environment())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_destroy_keeps_what_is_not_its_own(self):
        c = self.script_cluster(1)
        mine = pathlib.Path(c.directory, "notes.txt")
        mine.write_text("mine")
        said = c.run("destroy").stdout
        self.assertIn(c.directory, said)
        self.assertEqual(os.listdir(c.directory), ["notes.txt"])

    def test_sigkill_of_the_log_keeper_does_not_stop_a_replica(self):
        c = self.script_cluster(1)
        pid = c.pids()[0]
        keepers = processes_with(f"{c.directory}/replica-0.log")
        self.assertTrue(keepers)
        for keeper in keepers:
            os.kill(keeper, signal.SIGKILL)
        self.assertEqual(c.value("incr", "n"), "1")
        c.run("stop")
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), f"end of {pid}", 10)
