# SPDX-License-Identifier: Apache-2.0
"""The log on disk, with real processes: everybody killed, modes changed, logs damaged or swapped."""

import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

from harness import EXIT_OK, QUICK, SANITIZED, SERVER, ClusterTest, environment, wait_until

EXIT_IO = 74
EXIT_CONFIGURATION = 78


def kill_all(cluster):
    """SIGKILL for every replica at once, and the word of the system that they are gone."""
    pids = cluster.pids().values()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"end of {pid}")


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def data_of(cluster, i):
    return pathlib.Path(cluster.directory, f"replica-{i}")


def inspect(cluster, i):
    done = subprocess.run([SERVER, "inspect", "--json", "--data-dir", str(data_of(cluster, i))],
                          capture_output=True, env=environment())
    return done.returncode, json.loads(done.stdout)


class EverybodyKilled(ClusterTest):
    """kill -9 of every replica during a flood: everything acknowledged is there afterwards. Checkpoints
    are taken, and what is before them dropped, all the time, and laggards pull them: the kills hit
    that, too."""

    ROUNDS = int(os.environ.get("VR_ROUNDS", 1 if QUICK else 3))

    def torture(self, mode):
        c = self.script_cluster(5, "--durability", mode, "--checkpoint-interval", "300",
                                "--log-retain", "100", "--log-memory-max", str(32 * 1024 * 1024))
        with c.flood("--clients", "32", "--duration", "600", "--mix", "70", "--key-count", "256",
                     "--value-size", "2000"):
            wait_until(lambda: all((r.get("counters") or {}).get("log_base_op", 0) > 0
                                   for r in c.status()["replicas"]), "logs that begin later")
            for round_number in range(self.ROUNDS):
                away = round_number % 5  # and has a checkpoint to pull after the start
                os.kill(c.pids()[away], signal.SIGKILL)
                time.sleep(random.uniform(0.2, 0.8))
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
        modes = ("sync", "memory", "async")
        for mode in modes if QUICK else ("async", "sync", "async", "memory", "sync"):
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


@unittest.skipIf(SANITIZED, "sanitizers open files of their own, for which there is no room either")
class NoRoom(ClusterTest):
    """D4: where no more of the log can be made, a replica stops and loses nothing: too many of them
    may have to at the same time."""

    def test_a_majority_runs_out_at_once(self):
        for mode in ("async", "sync"):
            c = self.script_cluster(3, "--durability", mode)
            c.value("set", "first", "1")
            # No process may open another file: what it has reserved ahead cannot be taken either.
            for pid in c.pids().values():
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))
            value = b"v" * 500_000
            last = None
            for n in range(100):
                done = c.client("set", f"key{n}", "-", stdin=value, timeout_ms=3000)
                if done.returncode != EXIT_OK:
                    break
                last = n
            self.assertIsNotNone(last)
            self.assertLess(last, 99)
            # The last one cannot commit alone, and so may never come to its end.
            pids = c.pids()
            wait_until(lambda: sum(ended(pid) for pid in pids.values()) >= 2, "end of two")
            stopped = [i for i, pid in pids.items() if ended(pid)]
            c.run("stop", code=None)
            for i in range(3):
                self.assertEqual("VR1216" in c.log(i), i in stopped)
                code, found = inspect(c, i)
                self.assertEqual(code, EXIT_OK)
                self.assertTrue(found["state"]["log_valid"])
                if i in stopped:
                    self.assertTrue(found["state"]["clean_shutdown"], c.log(i)[-4000:])
                self.assertEqual(found["log"]["condition"], "intact")
            c.run("start")
            c.wait_normal()
            self.assertEqual(c.value("get", "first"), "1")
            self.assertEqual(c.value("get", f"key{last}"), value.decode())
            c.value("set", "more", "room")
            c.run("stop")


class Damage(ClusterTest):
    def log_file(self, c, i, segment=1):
        return data_of(c, i) / f"log.{segment:016x}"

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

    def test_an_entry_cut_short_by_a_kill_is_no_damage(self):
        """What a kill leaves amid a write: its header and some whole pages, then nothing."""
        c = self.make()
        c.kill(1)
        path = self.log_file(c, 1)
        whole = path.read_bytes()
        c.restart(1)
        c.wait_normal()  # else it fetches the entry, and writes down that it is committed
        c.value("set", "last", "x" * 20000)
        c.wait_equal()
        c.kill(1)
        data = bytearray(path.read_bytes())
        at = (data.index(b"x" * 20000) + 8191) // 4096 * 4096
        self.assertEqual(whole[at:], bytes(len(whole) - at))
        data[at:] = bytes(len(data) - at)
        path.write_bytes(data)
        code, found = inspect(c, 1)
        self.assertEqual(code, EXIT_OK, found)
        self.assertEqual(found["log"]["condition"], "unfinished")
        self.assertIsNone(found["log"]["first_damage"])
        self.assertEqual(found["log"]["head_op"], found["log"]["held_op"] + 1)
        said = subprocess.run([SERVER, "inspect", "--data-dir", str(data_of(c, 1))],
                              capture_output=True, text=True, env=environment())
        self.assertEqual(said.returncode, EXIT_OK, said.stderr)
        self.assertIn("were being written when it ended; it asks the others for them", said.stdout)
        c.restart(1)
        c.wait_equal()
        self.assertNotIn("VR1212", c.log(1))

    def recovers_after(self, harm):
        """What a replica had cannot be told any more: it takes nothing for granted, and gets it all
        from the others."""
        c = self.make()
        c.kill(1)
        harm(self.log_file(c, 1))
        code, found = inspect(c, 1)
        self.assertEqual(code, EXIT_IO)
        self.assertEqual(found["log"]["condition"], "broken")
        self.assertIsNotNone(found["log"]["first_damage"])
        c.restart(1)
        c.wait_equal()
        self.assertIn("VR1214", c.log(1))
        c.kill(0)
        self.assertEqual(c.value("get", "key29"), "29")
        c.restart(0)
        c.wait_normal()
        c.run("stop")
        code, found = inspect(c, 1)
        self.assertEqual(code, EXIT_OK)
        self.assertEqual(found["log"]["condition"], "intact")
        self.assertEqual(found["state"]["log_end"]["op"], found["log"]["held_op"])
        self.assertEqual(found["state"]["log_end"]["segment"], found["state"]["log_segment"])

    def test_an_empty_log_file_is_loss(self):
        self.recovers_after(lambda path: os.truncate(path, 0))

    def test_a_zeroed_log_file_is_loss(self):
        self.recovers_after(lambda path: path.write_bytes(bytes(path.stat().st_size)))

    def test_a_missing_log_file_is_loss(self):
        self.recovers_after(lambda path: path.unlink())

    def test_a_group_of_one_does_not_start_without_what_it_promised(self):
        c = self.script_cluster(1, "--durability", "sync")
        for n in range(30):
            c.value("set", f"key{n}", str(n))
        c.kill(0)
        path = self.log_file(c, 0)
        whole = path.read_bytes()
        data = bytearray(whole)
        data[data.index(b"key7")] ^= 1
        path.write_bytes(data)
        command = [SERVER, "start", "--data-dir", str(data_of(c, 0)), "--durability", "sync"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, EXIT_IO)
        self.assertIn("VR1217", done.stderr)
        self.assertIn("cannot be read", done.stderr)
        code, _ = inspect(c, 0)
        self.assertEqual(code, EXIT_IO)
        path.write_bytes(whole)
        c.restart(0)
        self.assertEqual(c.value("get", "key29"), "29")

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
