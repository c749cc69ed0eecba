# SPDX-License-Identifier: Apache-2.0
"""A disk that fails below a running replica: it stops with its word, or goes on where it may, and in
the end has everything. The failures are test/support/disk_shim.c's."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness import (BUILD, DISK_PROBLEM, EXIT_IO, EXIT_OK, SANITIZED, SERVER, ClusterTest,
                     RelayedCluster, environment, takes_long, wait_until)

SHIM = str(BUILD / "disk_shim.so")
COUNT = 3
INTERVAL = 500
LOG_MEMORY = 32 * 1024 * 1024  # small blocks, which the log in memory lets go of early
FLOOD = ("--clients", "8", "--duration", "600", "--key-count", "100")
LARGE = ("--value-size", "30000", *FLOOD)  # a segment of the log is full in no time


class FaultyCluster(RelayedCluster):
    def variables(self, i):
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # SHIM is first
        return {"LD_PRELOAD": SHIM, "DISK_SHIM_ORDERS": self.orders_path(i), "ASAN_OPTIONS": options}

    def orders_path(self, i):
        return os.path.join(self.directory, f"disk-{i}")

    def faults(self, i, *orders):
        """From now on replica i's disk fails as they say; not at all without any."""
        path = self.orders_path(i)
        with contextlib.suppress(FileNotFoundError):
            os.remove(path + ".calls")
        pathlib.Path(path + ".new").write_text("".join(f"{order}\n" for order in orders))
        os.replace(path + ".new", path)

    def calls(self, i):
        """[(function, outcome, name of the file)] that the orders had written down."""
        try:
            lines = pathlib.Path(self.orders_path(i) + ".calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        calls = [line.split(" ", 2) for line in lines]
        return [(function, outcome, os.path.basename(path)) for function, outcome, path in calls]

    def data(self, i):
        return pathlib.Path(self._data(i))

    def checkpoints(self, i):
        return sorted(p.name for p in self.data(i).glob("checkpoint.*"))

    def newest(self, i):
        return max((int(name.split(".")[1], 16) for name in self.checkpoints(i)
                    if not name.endswith((".new", ".pull"))), default=0)

    def exit_code(self, i):
        wait_until(lambda: self.servers[i].poll() is not None, f"the end of replica {i}")
        return self.servers[i].returncode

    def head(self):
        return max(r.get("op") or 0 for r in self.status()["replicas"])

    def wait_progress(self, ops=300):
        goal = self.head() + ops
        wait_until(lambda: self.head() >= goal, f"op {goal}")

    def wait_said(self, i, text, begin=0):
        wait_until(lambda: text in self.log(i)[begin:], f"replica {i} says {text!r}")

    def inspect(self, i):
        done = subprocess.run([SERVER, "inspect", "--json", "--data-dir", self._data(i)],
                              capture_output=True, env=environment())
        return done.returncode, json.loads(done.stdout)


# Ends of a replica by its log and by its state file are tried in every build.
not_sanitized = unittest.skipIf(SANITIZED, "takes a sanitizer minutes")


class DiskFaults(ClusterTest):
    def cluster(self, durability, *init_flags):
        return self.keep(FaultyCluster(COUNT, "--durability", durability, init_all=init_flags))

    def stops(self, c, i, *said):
        """Waits until replica i has stopped for its disk; returns how long its log is then."""
        self.assertEqual(c.exit_code(i), EXIT_IO, c.log(i)[-3000:])
        for text in (*said, "VR1209"):
            self.assertIn(text, c.log(i))
        return len(c.log(i))

    def comes_back(self, c, i):
        c.faults(i)
        c.start(i)
        c.wait_normal()


@takes_long
class Log(DiskFaults):
    def fails_once(self, c, i, order, function):
        """One call fails: the replica stops, and no other call of its kind is made (PS-3)."""
        c.faults(i, f"{order} /log. 1 1 EIO")
        begin = self.stops(c, i, "VR1211")
        self.assertIn("Input/output error", c.log(i))
        c.wait_progress()
        self.assertEqual([(f, o) for f, o, _ in c.calls(i)], [(function, "EIO")])
        code, found = c.inspect(i)
        self.assertFalse(found["state"]["log_valid"])
        self.assertFalse(found["state"]["clean_shutdown"])
        self.comes_back(c, i)
        self.assertIn("VR1214", c.log(i)[begin:])  # what is on that disk is not known

    def fails(self, durability):
        c = self.cluster(durability)
        with c.flood(*FLOOD):
            backup = next(i for i in range(COUNT) if i != c.primary())
            self.fails_once(c, backup, "sync", "fdatasync")
            self.fails_once(c, c.primary(), "write", "pwrite")
            self.fails_once(c, c.primary(), "sync", "fdatasync")
        c.wait_equal()

    def test_async(self):
        self.fails("async")

    @not_sanitized
    def test_sync(self):
        self.fails("sync")

    @not_sanitized
    def test_no_room(self):
        """ENOSPC: said ahead, then the end, with a log that counts."""
        c = self.cluster("async")
        full = 2
        with c.flood(*LARGE):
            c.faults(full, "reserve /log. 1 - ENOSPC")
            c.wait_said(full, "VR1215")
            c.faults(full)
            c.wait_said(full, "has room for the log again")
            for order in ("reserve /log. 1 - ENOSPC", "write /log. 2 - ENOSPC"):
                c.faults(full, order)
                begin = self.stops(c, full, "VR1216")
                c.wait_progress()
                code, found = c.inspect(full)
                self.assertEqual(code, EXIT_OK, found)
                self.assertTrue(found["state"]["log_valid"])
                self.assertTrue(found["state"]["clean_shutdown"])
                self.assertEqual(found["log"]["condition"], "intact")
                self.comes_back(c, full)
                self.assertNotRegex(c.log(full)[begin:], DISK_PROBLEM)  # it goes on with what it has
        c.wait_equal()
        self.assertNotIn("VR1211", c.log(full))

    @not_sanitized
    def test_a_new_segments_name_cannot_be_synced(self):
        c = self.cluster("sync")
        with c.flood(*LARGE):
            c.faults(1, "sync /replica-1$ 1 1 EIO")
            begin = self.stops(c, 1, "VR1211")
            self.assertEqual([(f, o) for f, o, _ in c.calls(1)], [("fsync", "EIO")])
            self.comes_back(c, 1)
            self.assertIn("VR1214", c.log(1)[begin:])
        c.wait_equal()

    @not_sanitized
    def test_cannot_be_read_at_a_start(self):
        """Nothing is given up for what the next start may read."""
        c = self.cluster("async", "--checkpoint-interval", str(INTERVAL))
        with c.flood(*FLOOD):
            wait_until(lambda: c.newest(1) > INTERVAL, "a checkpoint that the state file names")
            c.kill(1)
            begin = len(c.log(1))
            for file in ("/log.", "/state"):
                c.faults(1, f"read {file} 1 - EIO")
                c.start(1)
                self.assertEqual(c.exit_code(1), EXIT_IO, c.log(1)[-3000:])
                self.assertIn("VR1207", c.log(1)[begin:])
                begin = len(c.log(1))
            self.comes_back(c, 1)
            self.assertNotRegex(c.log(1)[begin:], DISK_PROBLEM)
        c.wait_equal()


class State(DiskFaults):
    def votes_not(self, order):
        """A replica that cannot remember a view says nothing in it (S1); a vote for it still says that
        this is in the one before (V2)."""
        c = self.cluster("async")
        c.value("set", "kept", "this")
        old = c.primary()
        view = max(r["view"] for r in c.status()["replicas"])
        victim, other = (old + 1) % COUNT, (old + 2) % COUNT
        c.faults(victim, order)
        c.kill(old)
        begin = self.stops(c, victim, "VR1208")
        self.assertEqual([o for _, o, _ in c.calls(victim)], ["EIO"])
        done = c.client("trace", "--json", "--all")
        later = [line for line in map(json.loads, done.stdout.splitlines())
                 if line["kind"] == "message" and (line.get("view") or 0) > view]
        self.assertTrue([line for line in later if line["from"] == other])
        self.assertEqual({line["type"] for line in later if line["from"] == victim} |
                         {"StartViewChange"}, {"StartViewChange"})
        c.faults(victim)
        c.start(victim)
        c.wait_normal(victim, other)
        self.assertEqual(c.value("get", "kept"), "this")
        self.assertNotRegex(c.log(victim)[begin:], DISK_PROBLEM)
        c.start(old)
        c.wait_equal()

    def test_sync_fails(self):
        self.votes_not("sync /state 1 1 EIO")

    @not_sanitized
    def test_write_fails(self):
        self.votes_not("write /state 1 1 EIO")

    def test_a_copy_that_cannot_be_read(self):
        """One or two of the four are no reason not to start, where each pair has another."""
        c = self.cluster("async")
        c.value("set", "kept", "this")
        for slots, starts in (([1], True), ([0, 3], True), ([0, 1], False), ([2, 3], False)):
            c.kill(2)
            begin = len(c.log(2))
            c.faults(2, *(f"read /state@{slot * 4096 + 100} 1 - EIO" for slot in slots))
            c.start(2)
            if starts:
                c.wait_normal()
                self.assertIn("VR1224", c.log(2)[begin:])
                self.assertIn(f"cannot read {len(slots)} of the 4 copies", c.log(2)[begin:])
            else:
                self.assertEqual(c.exit_code(2), EXIT_IO, c.log(2)[-3000:])
                self.assertIn("that may be the newest", c.log(2)[begin:])
                self.comes_back(c, 2)
        c.faults(2, "read /state 1 1 EIO")  # what another try reads is no damage
        c.kill(2)
        begin = len(c.log(2))
        c.start(2)
        c.wait_equal()
        self.assertNotRegex(c.log(2)[begin:], DISK_PROBLEM)
        self.assertEqual(c.value("get", "kept"), "this")


@not_sanitized
class Checkpoint(DiskFaults):
    def test_one_that_cannot_be_written_is_tried_again(self):
        c = self.cluster("async", "--checkpoint-interval", str(INTERVAL))
        victim = next(i for i in range(COUNT) if i != c.primary())
        with c.flood(*FLOOD):
            wait_until(lambda: c.newest(victim) > INTERVAL, "checkpoints")
            for order in ("write /checkpoint.new 1 - ENOSPC", "write /checkpoint.new 1 - EIO",
                          "sync /checkpoint.new 1 - EIO"):
                begin = len(c.log(victim))
                c.faults(victim, order)
                c.wait_said(victim, "VR1218", begin)
                before = c.newest(victim)
                wait_until(lambda: len(c.calls(victim)) >= 3, "that it is tried again")
                c.wait_progress()
                self.assertEqual(c.newest(victim), before)
                # What was begun of them is gone, and what was there before is still there.
                self.assertLessEqual(len(c.checkpoints(victim)), 4)
                self.assertEqual(c.log(victim)[begin:].count("VR1218"), 1)
                c.faults(victim)
                c.wait_said(victim, "checkpoints can be written again", begin)
                wait_until(lambda: c.newest(victim) > before, "a checkpoint")
        c.wait_equal()
        self.assertIsNone(c.servers[victim].poll())
        wait_until(lambda: len(c.checkpoints(victim)) <= 3, "older ones leave")
        c.kill(victim)
        c.start(victim)
        c.wait_equal()
        self.assertIn("starts from the checkpoint", c.log(victim))

    def test_one_that_is_pulled(self):
        """A laggard without room for it tries again; one that cannot make it durable stops, and
        fetches it anew. A source that cannot read its own is left for one that has an older one."""
        c = self.keep(FaultyCluster(
            COUNT, "--durability", "async", "--log-retain", "100",
            "--log-memory-max", str(LOG_MEMORY), init_all=("--checkpoint-interval", str(INTERVAL))))
        one, other, laggard = range(COUNT)
        c.kill(laggard)
        with c.flood("--value-size", "4000", *FLOOD):
            behind = c.head()
            wait_until(lambda: all(
                (c.replica(i).get("counters") or {}).get("log_base_op", 0) > behind
                for i in (one, other)), "the others' logs begin behind it")
            c.faults(laggard, "write /checkpoint.pull 1 - ENOSPC")
            c.start(laggard)
            c.wait_said(laggard, "VR1218")
            self.assertIsNone(c.servers[laggard].poll())
            c.faults(laggard, "sync /checkpoint. 1 - EIO")
            begin = self.stops(c, laggard, "VR1220")
            c.faults(other, "write /checkpoint.new 1 - EIO")
            wait_until(lambda: c.newest(one) > c.newest(other) + INTERVAL,
                       "checkpoints that differ")
        c.faults(one, "read /checkpoint. 1 - EIO")
        self.comes_back(c, laggard)
        c.wait_equal()
        self.assertIn("installed, loaded", c.log(laggard)[begin:])


@not_sanitized
class ShortWrites(DiskFaults):
    def test_they_are_continued(self):
        c = self.cluster("async", "--checkpoint-interval", str(INTERVAL))
        for i in range(COUNT):
            c.faults(i, "write /replica- 1 - short")
        with c.flood("--value-size", "2000", *FLOOD):
            c.wait_progress(4 * INTERVAL)
            c.value("set", "kept", "this")
            c.stop()
            for i in range(COUNT):
                files = {name.partition(".")[0] for _, outcome, name in c.calls(i)
                         if outcome == "short"}
                self.assertEqual(files, {"log", "state", "checkpoint"})
                self.assertEqual(c.inspect(i)[1]["log"]["condition"], "intact")
                c.faults(i)
                c.start(i)
            c.wait_normal()
            self.assertEqual(c.value("get", "kept"), "this")
        c.wait_equal()
        for i in range(COUNT):
            self.assertNotRegex(c.log(i), DISK_PROBLEM)
            self.assertIn("starts from the checkpoint", c.log(i))

    def test_killed_in_the_midst_of_one(self):
        """The kernel ends a write of many pages between two of them when its process is killed. What
        was under way then was promised to nobody: even a group of one goes on without it."""
        for count, durability in ((1, "async"), (1, "sync"), (3, "async")):
            c = self.keep(FaultyCluster(count, "--durability", durability))
            for n in range(20):
                c.value("set", f"key{n}", str(n))
            killed = c.primary()
            c.faults(killed, "write /log. 1 1 kill")
            done = c.client("set", "large", "-", stdin=b"v" * 100_000, timeout_ms=1500)
            self.assertEqual(done.returncode == EXIT_OK, count > 1)
            self.assertEqual(c.exit_code(killed), -signal.SIGKILL)
            self.comes_back(c, killed)
            self.assertEqual(c.value("get", "key19"), "19")
            self.assertEqual(c.value("set", "more", "1"), "")
            c.wait_equal()


if __name__ == "__main__":
    unittest.main()
