# SPDX-License-Identifier: Apache-2.0
"""Checkpoints with real processes: taken, dropped behind, started from, pulled by laggards."""

import contextlib
import json
import os
import pathlib
import subprocess
import unittest

from harness import (DISK_PROBLEM, EXIT_OK, QUICK, SANITIZED, SERVER, ClusterTest, environment,
                     wait_until)

EXIT_IO = 74
INTERVAL = 1000
RETAIN = 500
LOG_MEMORY = 32 * 1024 * 1024  # four blocks: the log in memory lets go of what it can early
FLOOD = ("--clients", "16", "--duration", "600", "--key-count", "500")
LARGE = ("--value-size", "4000", *FLOOD)  # a block of the log in memory is full in no time


class Checkpoints(ClusterTest):
    def cluster(self, durability, *flags, count=3):
        return self.relayed_cluster(
            count, "--durability", durability, "--log-retain", str(RETAIN),
            "--log-memory-max", str(LOG_MEMORY), *flags,
            init_all=("--checkpoint-interval", str(INTERVAL)))

    def data(self, c, i):
        return pathlib.Path(c.directory, f"replica-{i}")

    def files(self, c, i):
        """{op: path} of the checkpoints of a replica."""
        return {int(p.suffix[1:], 16): p for p in self.data(c, i).glob("checkpoint.*")
                if p.suffix not in (".new", ".pull")}

    def segments(self, c, i):
        return sorted(p for p in self.data(c, i).glob("log.*") if p.suffix != ".spare")

    def inspect(self, c, i):
        """(exit code, what was found) of a replica that is stopped."""
        done = subprocess.run([SERVER, "inspect", "--json", "--data-dir", str(self.data(c, i))],
                              capture_output=True, env=environment())
        return done.returncode, json.loads(done.stdout)

    def counter(self, c, i, name):
        replica = c.replica(i)
        return (replica.get("counters") or {}).get(name, 0)

    def wait_op(self, c, i, op):
        wait_until(lambda: (c.replica(i).get("op") or 0) >= op, f"op {op} at replica {i}")

    def wait_base(self, c, i, above):
        wait_until(lambda: self.counter(c, i, "log_base_op") > above,
                   f"replica {i} drops its log above op {above}")

    def kill_all(self, c):
        for i in range(c.count):
            c.kill(i)

    def start_all(self, c):
        for i in range(c.count):
            c.start(i)
        c.wait_normal()

    def head(self, c):
        return max(r.get("op") or 0 for r in c.status()["replicas"])


class Taken(Checkpoints):
    def copies(self, c):
        """({op: {bytes}},) of the checkpoints that all have; None if one of them left meanwhile, as the
        last that was under way ended."""
        try:
            files = [self.files(c, i) for i in range(c.count)]
            return ({op: {one[op].read_bytes() for one in files}
                     for op in set.intersection(*map(set, files))},)
        except FileNotFoundError:
            return None

    def test_old_ones_and_the_log_before_them_go(self):
        c = self.cluster("async")
        with c.flood(*LARGE):
            self.wait_base(c, 0, 0)
            wait_until(lambda: self.segments(c, 0)
                       and int(self.segments(c, 0)[0].suffix[1:], 16) > 2, "segments leave")
            wait_until(lambda: min(self.files(c, 0), default=0) > 5 * INTERVAL, "files leave")
        c.wait_equal()
        for i in range(c.count):
            files = self.files(c, i)
            self.assertTrue(files)
            self.assertLessEqual(len(files), 4, files)
            self.assertTrue(all(op % INTERVAL == 0 for op in files), files)
        # K1: the same op, the same bytes.
        for copies in wait_until(lambda: self.copies(c), "checkpoints to compare")[0].values():
            self.assertEqual(len(copies), 1)
        self.assertIn("last checkpoint", c.value("status"))
        # A log that begins behind a checkpoint is whole.
        c.kill(2)
        code, found = self.inspect(c, 2)
        self.assertEqual(code, EXIT_OK, found)
        log = found["log"]
        self.assertEqual(log["condition"], "intact")
        self.assertEqual({one["op"]: one["verdict"] for one in found["checkpoints"]},
                         {op: "whole" for op in self.files(c, 2)})
        self.assertIn(log["checkpoint_op"], self.files(c, 2))
        self.assertGreater(log["base_op"], 0)


@unittest.skipIf(SANITIZED, "measures the product, not the sanitizer")
class Bounded(Checkpoints):
    """Over the same keys a flood may last: neither memory nor disk grows with it. The bounds are what
    docs/operating.md says under "How large", of these parameters, whatever the machine's speed."""

    MIB = 1024 * 1024
    KEYS, VALUE = 100, 16000
    STATE = KEYS * (VALUE + 200)  # of a key, and of sessions, more than there are
    SEGMENT = 16 * MIB
    # The log behind the last checkpoint but one, each of the two parts no more than memory holds; the
    # segments that it begins and ends in, and one ahead; two checkpoints and the next, and one that
    # each of the others may pull.
    DISK_MAX = 2 * LOG_MEMORY * 11 // 10 + 3 * SEGMENT + (3 + 2) * 2 * STATE + MIB
    # The log, and another that is pulled; the store, as much again while it is cut; buffers of fixed
    # size, of which most are there from the start.
    MEMORY_MAX = 2 * LOG_MEMORY + 2 * 2 * STATE + 48 * MIB

    def memory(self, c, i):
        pages = int(pathlib.Path(f"/proc/{c.servers[i].pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def disk(self, c, i):
        total = 0
        for path in self.data(c, i).iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_blocks * 512
        return total

    def test_memory_and_disk(self):
        c = self.cluster("async")
        idle = [self.memory(c, i) for i in range(c.count)]
        most_memory, most_disk = [0] * c.count, [0] * c.count
        enough = (2 if QUICK else 4) * max(self.DISK_MAX, self.MEMORY_MAX) // self.VALUE

        def passed():
            for i in range(c.count):
                most_memory[i] = max(most_memory[i], self.memory(c, i) - idle[i])
                most_disk[i] = max(most_disk[i], self.disk(c, i))
            return self.head(c) >= enough

        with c.flood("--clients", "16", "--duration", "600", "--mix", "100", "--key-count",
                     str(self.KEYS), "--value-size", str(self.VALUE)):
            wait_until(passed, f"{enough} operations", 600)
        c.wait_equal()
        self.assertGreater(min(max(self.files(c, i)) for i in range(c.count)), enough // 2)
        self.assertLessEqual(max(most_disk), self.DISK_MAX)
        self.assertLessEqual(max(most_memory), self.MEMORY_MAX)


class StartedFrom(Checkpoints):
    """kill -9 of everybody, and of one: all that was acknowledged is there, from a checkpoint on."""

    def restart(self, durability):
        c = self.cluster(durability)
        with c.flood(*LARGE):
            for i in range(c.count):
                self.wait_base(c, i, 0)
            self.assertEqual(c.value("set", "kept", "this"), "")
            self.kill_all(c)
            self.start_all(c)
            self.assertEqual(c.value("get", "kept"), "this")
            c.kill(2)
            c.start(2)
            c.wait_normal()
        c.wait_equal()
        for i in range(c.count):
            self.assertIn("starts from the checkpoint", c.log(i))
            self.assertNotRegex(c.log(i), DISK_PROBLEM)

    def test_async(self):
        self.restart("async")

    def test_sync(self):
        self.restart("sync")

    def test_damaged_newest_falls_back(self):
        c = self.cluster("async")
        with c.flood(*FLOOD):
            wait_until(lambda: len(self.files(c, 1)) >= 2, "two checkpoints")
        c.wait_equal()
        self.assertEqual(c.value("set", "kept", "this"), "")
        self.kill_all(c)
        files = self.files(c, 1)
        newest = max(files)
        with open(files[newest], "r+b") as f:
            f.seek(4096 + 10)
            f.write(b"\xff" * 20)
        code, found = self.inspect(c, 1)
        self.assertEqual(code, EXIT_IO)
        damaged = next(one for one in found["checkpoints"] if one["op"] == newest)
        self.assertEqual(damaged["verdict"], "damaged")
        self.assertIn("chunk 1 of ", damaged["damage"])
        self.assertLess(found["log"]["checkpoint_op"], newest)
        self.start_all(c)
        c.wait_equal()
        self.assertEqual(c.value("get", "kept"), "this")
        self.assertIn("VR1219", c.log(1))
        self.assertIn("starts from the checkpoint", c.log(1))
        self.assertNotIn("VR1214", c.log(1))

    def test_all_lost_comes_from_the_others(self):
        c = self.cluster("async")
        with c.flood(*LARGE):
            self.wait_base(c, 1, 0)
            wait_until(lambda: self.segments(c, 1)
                       and int(self.segments(c, 1)[0].suffix[1:], 16) > 1, "segments leave")
            c.kill(1)
            for path in self.files(c, 1).values():
                os.remove(path)
            c.start(1)
            c.wait_normal()
        c.wait_equal()
        self.assertIn("VR1219", c.log(1))
        self.assertNotIn("starts from the checkpoint", c.log(1))
        self.assertIn("installed, loaded", c.log(1))


class Pulled(Checkpoints):
    """A laggard whose entries nobody has any more pulls a checkpoint while the group goes on."""

    def laggard(self, durability):
        c = self.cluster(durability)
        self.assertEqual(c.value("set", "kept", "this"), "")
        with c.flood(*LARGE):
            for _ in range(1 if QUICK else 2):
                behind = self.head(c)
                c.kill(2)
                for i in (0, 1):
                    self.wait_base(c, i, behind)
                c.start(2)
                c.wait_normal()
        c.wait_equal()
        self.assertIn("installed, loaded", c.log(2))
        self.assertIn("receiving the checkpoint", c.log(2))
        self.assertEqual(c.value("get", "kept"), "this")
        # What was pulled counts: alone with one other it goes on after a restart.
        c.kill(2)
        c.kill(1)
        if durability == "memory":
            return
        c.start(2)
        c.wait_normal(0, 2)
        self.assertEqual(c.value("get", "kept"), "this")
        c.start(1)
        c.wait_equal()

    def test_memory(self):
        self.laggard("memory")

    def test_async(self):
        self.laggard("async")

    def test_sync(self):
        self.laggard("sync")

    def test_memory_mode_leaves_no_checkpoint_to_a_start(self):
        c = self.cluster("memory")
        with c.flood(*FLOOD):
            wait_until(lambda: self.files(c, 2), "a checkpoint")
            old = max(self.files(c, 2))
            c.kill(2)
            c.start(2)
            c.wait_normal()
            wait_until(lambda: min(self.files(c, 2), default=0) > old, "new checkpoints only")
        c.wait_equal()
        self.assertNotIn("starts from the checkpoint", c.log(2))


if __name__ == "__main__":
    unittest.main()
