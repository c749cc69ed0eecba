# SPDX-License-Identifier: Apache-2.0
"""run_cluster.sh itself: what it refuses, what it says, what it leaves alone."""

import os
import pathlib
import re
import signal
import subprocess

from harness import (EXIT_FAILED, EXIT_IO, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, PATIENCE_SECONDS,
                     SCRIPT, ClusterTest, environment, times, wait_until)

EXIT_CONFIGURATION = 78
SLOW_HEARTBEAT_MS = 300


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

    def test_words_too_many_do_nothing(self):
        """`destroy 2` must not end a group whose owner meant one replica."""
        c = self.script_cluster(3)
        pids = c.pids()
        for words in (("stop", "2"), ("stop", "--now"), ("destroy", "2"), ("destroy", "--force"),
                      ("start", "2"), ("start", "--fast"), ("status", "2"), ("status", "--fast"),
                      ("kill", "1", "2"), ("pause", "1", "2"), ("resume", "1", "2"),
                      ("restart", "1", "2"), ("restart", "1", "--fast"), ("logs", "1", "2"),
                      ("logs", "--fast"), ("help", "start", "stop"), ("help", "dance")):
            refused = c.run(*words, code=EXIT_USAGE)
            self.assertNotEqual(refused.stderr, "", words)
        self.assertEqual(self.script("2").returncode, EXIT_USAGE)
        for verb in ("stop", "destroy"):
            refused = c.run(verb, "2", code=EXIT_USAGE)
            self.assertIn("no replica number", refused.stderr)
            self.assertIn("kill", refused.stderr)
        self.assertEqual(c.pids(), pids)
        self.assertIn("3 replicas already running", c.run("start").stdout)

    def test_every_verb_explains_itself_and_does_nothing(self):
        c = self.script_cluster(1)
        pids = c.pids()
        usage = self.script("--help", verb=None).stdout
        verbs = re.findall(r"(?:run_cluster\.sh|\|) ([a-z]+)\b", usage)
        self.assertEqual(len(verbs), 11, verbs)
        for verb in verbs:
            for words in (("--help",), ("-h",), ("1", "--help")):
                if verb == "client" and len(words) > 1:
                    continue  # those are vr-client's
                said = self.script(*words, verb=verb) if verb == "demo" else c.run(verb, *words)
                self.assertEqual(said.returncode, EXIT_OK, said.stderr)
                self.assertEqual(said.stderr, "")
                first = said.stdout.splitlines()[0]
                self.assertTrue(first.startswith("usage: ") and f" {verb} " in first, said.stdout)
                self.assertLess(len(said.stdout.splitlines()), 8, said.stdout)
            self.assertEqual(self.script(verb, verb="help").stdout,
                             self.script("--help", verb=verb).stdout)
        self.assertEqual(c.pids(), pids)
        self.assertIn("already running", c.run("start").stdout)
        # Without a cluster, too.
        nowhere = os.path.join(c.parent, "nowhere")
        for verb in set(verbs) - {"demo"}:
            self.assertEqual(self.script("-d", nowhere, "--help", verb=verb).returncode, EXIT_OK)
        self.assertFalse(os.path.exists(nowhere))

    def script(self, *words, verb="demo"):
        """The script without a directory."""
        return subprocess.run([SCRIPT, *([verb] if verb else []), *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=environment())

    def test_restart_does_not_risk_the_data_without_a_word(self):
        c = self.script_cluster(3, "--durability", "memory",
                                *times(SLOW_HEARTBEAT_MS))  # the primary stays who it is
        self.assertEqual(c.value("incr", "n"), "1")
        c.wait_equal()
        c.restart((c.primary() + 1) % 3)  # two others remember
        c.wait_equal()
        primary = c.primary()
        backup, other = ((primary + i) % 3 for i in (1, 2))
        c.kill(backup)
        pids = c.pids()
        refused = c.run("restart", str(primary), code=EXIT_UNAVAILABLE).stderr
        self.assertIn("in memory", refused)
        self.assertIn("all of it is lost", refused)
        self.assertIn(f"{primary} --risk-data", refused)
        refused = c.run("restart", str(other), code=EXIT_UNAVAILABLE).stderr
        self.assertIn(f"hangs on replica {primary}, the primary", refused)
        c.pause(other)  # remembers, though it does not answer
        c.run("restart", str(other), code=EXIT_UNAVAILABLE)
        c.resume(other)
        self.assertEqual(c.pids(), pids)
        c.restart(backup)  # that one has forgotten already
        c.wait_equal()
        self.assertEqual(c.value("get", "n"), "1")
        primary = c.primary()
        c.kill((primary + 1) % 3)
        said = c.run("restart", str(primary), "--risk-data", code=EXIT_UNAVAILABLE).stdout
        self.assertIn("cannot go on by itself", said)

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

    def test_stop_asks_each_replica_once(self):
        """A second SIGTERM would end it amid its clean stop."""
        c = self.script_cluster(3)
        pids = c.pids()
        sent = os.path.join(c.parent, "signals")
        # What the script sends is written down, and reaches the replicas late.
        late = f"""() {{ if [[ $1 == -TERM ]]; then echo "$2" >>"{sent}"; (sleep 1; builtin kill "$@") &
                 else builtin kill "$@"; fi; }}"""
        done = subprocess.run([SCRIPT, "stop", "-d", c.directory], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE_SECONDS,
                              env=environment() | {"BASH_FUNC_kill%%": late})
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        with open(sent, encoding="ascii") as signals:
            self.assertEqual(sorted(signals.read().split()), sorted(str(p) for p in pids.values()))
        for i in range(3):
            self.assertIn("stopped", c.log(i))

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
