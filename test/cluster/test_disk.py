# SPDX-License-Identifier: Apache-2.0
"""The log on disk, with real processes: everybody killed, modes changed, logs damaged or swapped."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import EXIT_OK, QUICK, SERVER, ClusterTest, environment, wait_until

ROUNDS = int(os.environ.get("VR_ROUNDS", "1" if QUICK else "3"))
EXIT_IO = 74
EXIT_CONFIGURATION = 78


def kill_all(cluster):
    """SIGKILL for every replica at once, and the word of the system that they are gone."""
    pids = cluster.pids().values()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"end of {pid}")


def data_of(cluster, i):
    return pathlib.Path(cluster.directory, f"replica-{i}")


def inspect(cluster, i):
    done = subprocess.run([SERVER, "inspect", "--json", "--data-dir", str(data_of(cluster, i))],
                          capture_output=True, env=environment())
    return done.returncode, json.loads(done.stdout)


class EverybodyKilled(ClusterTest):
    """kill -9 of every replica during a flood: everything acknowledged is there afterwards."""

    def torture(self, mode):
        c = self.script_cluster(5, "--durability", mode)
        with c.flood("--clients", "32", "--duration", "600", "--mix", "70", "--key-count", "256"):
            for round_number in range(ROUNDS):
                time.sleep(0.5)
                self.assertEqual(c.value("set", "round", str(round_number)), "")
                kill_all(c)
                c.run("start")
                c.wait_normal()
                self.assertEqual(c.value("get", "round"), str(round_number))
        c.wait_equal()

    def test_async(self):
        self.torture("async")

    def test_sync(self):
        self.torture("sync")


class OneReplica(ClusterTest):
    def test_restarts_with_its_data(self):
        for mode in ("async", "sync"):
            c = self.script_cluster(1, "--durability", mode)
            c.value("set", "a", "1")
            kill_all(c)
            c.run("start")
            self.assertEqual(c.value("get", "a"), "1")
            c.run("stop")
            c.run("start")
            self.assertEqual(c.value("get", "a"), "1")
            c.run("stop")

    def test_memory_says_what_is_gone(self):
        c = self.script_cluster(1, "--durability", "memory")
        c.value("set", "a", "1")
        kill_all(c)
        c.run("start", code=None)
        self.assertIn("the only copy of this group's log was in memory", c.log(0))


class Modes(ClusterTest):
    """D11: replica by replica, the group goes from one mode to the next and keeps its data."""

    def test_changes_at_start(self):
        c = self.script_cluster(3, "--durability", "memory")
        c.value("set", "a", "1")
        for mode in ("async", "sync", "async", "memory", "sync"):
            for i in range(3):
                c.run("kill", str(i))
                flags = pathlib.Path(c.directory, "server-flags")
                lines = flags.read_text().splitlines()
                lines[lines.index("--durability") + 1] = mode
                flags.write_text("\n".join(lines) + "\n")
                c.run("restart", str(i))
                c.wait_normal()
            self.assertEqual({r["durability"] for r in c.status()["replicas"]}, {mode})
            self.assertEqual(c.value("get", "a"), "1")


class Damage(ClusterTest):
    def log_file(self, c, i):
        return data_of(c, i) / "log.0000000000000001"

    def make(self):
        c = self.script_cluster(3)
        for n in range(30):
            c.value("set", f"key{n}", str(n))
        c.wait_equal()
        return c

    def test_a_damaged_entry_is_fetched_from_the_others(self):
        """PS-2: what a disk has lost is known to be missing, and comes back."""
        c = self.make()
        c.kill(1)
        path = self.log_file(c, 1)
        data = bytearray(path.read_bytes())
        at = data.index(b"key7")
        data[at] ^= 1
        path.write_bytes(data)
        code, found = inspect(c, 1)
        self.assertEqual(code, EXIT_IO)
        self.assertEqual(found["log"]["condition"], "faulty")
        self.assertIn("log.0000000000000001", found["log"]["first_damage"])
        c.restart(1)
        c.wait_equal()
        self.assertIn("fetches them from the others", c.log(1))
        c.kill(0)
        self.assertEqual(c.value("get", "key7"), "7")
        c.restart(0)
        c.wait_normal()
        c.run("stop")
        code, found = inspect(c, 1)
        self.assertEqual(found["log"]["condition"], "intact")

    def test_another_replicas_log_is_refused(self):
        c = self.make()
        c.run("stop")
        shutil.copy(self.log_file(c, 0), self.log_file(c, 1))
        done = subprocess.run([SERVER, "start", "--data-dir", str(data_of(c, 1))],
                              capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, EXIT_IO)
        self.assertIn("belongs to another replica", done.stderr)

    def test_a_truncated_log_is_refused_and_the_advice_works(self):
        c = self.make()
        c.kill(1)
        os.truncate(self.log_file(c, 1), 100000)
        command = [SERVER, "start", "--data-dir", str(data_of(c, 1))]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, EXIT_IO)
        self.assertIn("--durability memory", done.stderr)
        once = subprocess.Popen(command + ["--durability", "memory"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, env=environment())
        self.assertEqual(once.stdout.readline(), b"ready\n")
        once.terminate()
        self.assertEqual(once.wait(), EXIT_OK)
        once.stdout.close()
        c.restart(1)
        c.wait_equal()
        c.run("stop")
        self.assertEqual(inspect(c, 1)[1]["log"]["held_op"], inspect(c, 0)[1]["log"]["held_op"])

    def test_a_running_replica_is_not_inspected(self):
        c = self.make()
        done = subprocess.run([SERVER, "inspect", "--data-dir", str(data_of(c, 1))],
                              capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, EXIT_CONFIGURATION)
        self.assertIn("is in use", done.stderr)
