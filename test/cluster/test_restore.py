# SPDX-License-Identifier: Apache-2.0
"""unsafe-restore, with real processes: power cut for everybody, and a person who chooses (D9)."""

import ctypes
import os
import pty
import struct
import subprocess

from harness import (EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, EXIT_WRONG_GROUP, CLIENT,
                     ClusterTest, environment, wait_until)
from test_disk import data_of, kill_all

SLOT_SIZE, BOOT_ID_AT, CHECKSUM_AT = 4096, 48 + 24, 32


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_128bits(data, len(data))


def boot_anew(cluster, i):
    """As if the machine had been booted since: the state file names another boot (D2)."""
    path = data_of(cluster, i) / "state"
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), SLOT_SIZE):
        slot = data[at:at + SLOT_SIZE]
        slot[BOOT_ID_AT:BOOT_ID_AT + 16] = b"another boot id."
        slot[CHECKSUM_AT:CHECKSUM_AT + 16] = bytes(16)
        checksum = xxh3_128(bytes(slot))
        slot[CHECKSUM_AT:CHECKSUM_AT + 16] = struct.pack("<QQ", checksum.low, checksum.high)
        data[at:at + SLOT_SIZE] = slot
    path.write_bytes(data)


def lose_from(cluster, i, key):
    """What was written from this key on never reached the disk."""
    path = data_of(cluster, i) / "log.0000000000000001"
    data = bytearray(path.read_bytes())
    at = data.index(key)
    data[at:] = bytes(len(data) - at)
    path.write_bytes(data)


class UnsafeRestore(ClusterTest):
    def power_cut(self, lost, mode="async", count=3, absent=()):
        """A group of which each replica has lost what follows a key (None: nothing)."""
        c = self.script_cluster(count, "--durability", mode)
        for n in range(30):
            c.value("set", f"key{n:02}", str(n))
        c.wait_equal()
        self.cluster_id = c.status()["cluster_id"]
        kill_all(c)
        for i in range(count):
            boot_anew(c, i)
            if lost is not None and lost[i] is not None:
                lose_from(c, i, lost[i])
        c.run("start", code=None)  # it waits for a primary in vain
        for i in absent:
            c.kill(i)
        wait_until(lambda: "unsafe-restore" in (c.status()["reason"] or ""),
                   "a group that says that it is lost")
        return c

    def restore(self, c, *arguments, code=EXIT_OK):
        done = c.client("unsafe-restore", *arguments, timeout_ms=2000)
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        return done.stdout.decode(), done.stderr.decode()

    def check_kept(self, c, last):
        """Keys up to the last that the best log held, on all replicas; none after it."""
        for n in range(30):
            done = c.client("get", f"key{n:02}")
            if n <= last:
                self.assertEqual((done.returncode, done.stdout), (EXIT_OK, f"{n}\n".encode()))
            else:
                self.assertEqual(done.returncode, EXIT_FAILED, done.stdout)

    def test_the_best_log_comes_back_and_no_more_is_lost(self):
        c = self.power_cut([b"key20", b"key26", b"key11"])
        # Asked without a terminal it shows everything, and changes nothing.
        shown, said = self.restore(c, code=EXIT_USAGE)
        self.assertIn("Kept is the log of replica 1", shown)
        self.assertIn("Lost for good is whatever the group acknowledged after op", shown)
        self.assertIn(f"--yes {self.cluster_id}", said)
        self.assertIn("Nothing was changed", said)
        self.restore(c, "--yes", "0123456789abcdef", code=EXIT_WRONG_GROUP)
        self.assertIsNone(c.status()["primary"])

        shown, _ = self.restore(c, "--yes", self.cluster_id)
        self.assertIn("The group serves again", shown)
        c.wait_normal()
        self.check_kept(c, 25)
        c.value("set", "after", "1")
        c.wait_equal()
        self.assertIn("takes over the log of replica 1", c.log(0))
        self.assertIn("unsafe-restore asked for by", c.log(0))

        # What was restored is a log like any other: it outlives the next kill of everybody.
        _, said = self.restore(c, "--yes", self.cluster_id, code=EXIT_FAILED)
        self.assertIn("the group is not lost", said)
        kill_all(c)
        c.run("start")
        c.wait_normal()
        self.assertEqual(c.value("get", "after"), "1")
        self.check_kept(c, 25)

    def test_who_is_away_has_to_be_named(self):
        c = self.power_cut([b"key20", b"key15", None], absent=(2,))
        _, said = self.restore(c, "--yes", self.cluster_id, code=EXIT_UNAVAILABLE)
        self.assertIn("replica 2 does not answer", said)
        self.assertIn("--without", said)
        _, said = self.restore(c, "--without", "1", "--without", "2", "--yes", self.cluster_id,
                               code=EXIT_USAGE)
        self.assertIn("replica 1 answers", said)
        shown, _ = self.restore(c, "--without", "2", "--yes", self.cluster_id)
        self.assertIn("Replica 2 is taken for dead", shown)
        self.check_kept(c, 19)
        # It knows of more that was committed, which the group has given up: it must not come back as if
        # nothing had been, but only without what it has.
        c.run("restart", "2", "--rebuild")
        c.wait_equal()
        self.check_kept(c, 19)

    def test_two_people_at_once(self):
        c = self.power_cut([b"key20", b"key26", b"key11"])
        self.restore_twice(c)
        c.wait_normal()
        self.check_kept(c, 25)
        with c.flood("--clients", "4", "--count", "100"):
            pass
        c.wait_equal()

    def restore_twice(self, c):
        command = [CLIENT, "--cluster", c.addresses, "--timeout", "2000", "unsafe-restore", "--yes",
                   self.cluster_id]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env=environment()) for _ in range(2)]
        outputs = [one.communicate()[0] for one in both]
        # Whoever comes second may find it done, under way, or not what was shown.
        for one in both:
            self.assertIn(one.returncode, (EXIT_OK, EXIT_FAILED, EXIT_UNAVAILABLE), outputs)
        # Who has begun to tell comes to the end (test_vr_restore, message by message). But a machine that is
        # busy may let both wait too long for a first answer: then nothing was changed, and one says it again.
        if EXIT_OK not in [one.returncode for one in both]:
            for output in outputs:
                self.assertRegex(output.decode(), "othing was changed|does not answer|no replica answers")
            self.restore(c, "--yes", self.cluster_id)

    def test_memory_is_gone(self):
        c = self.script_cluster(3, "--durability", "memory")
        c.value("set", "a", "1")
        kill_all(c)
        c.run("start", code=None)
        wait_until(lambda: "unsafe-restore" in (c.status()["reason"] or ""), "a lost group")
        _, said = self.restore(c, "--yes", c.status()["cluster_id"], code=EXIT_FAILED)
        self.assertIn("the data is gone", said)
        self.assertIn("Destroy the group", said)

    def answer(self, c, *answers):
        """Runs it in a terminal and types; returns what was shown, and the exit code."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(CLIENT, [CLIENT, "--cluster", c.addresses, "unsafe-restore"], environment())
        shown = b""
        typed = 0
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            shown += part
            asked = shown.count(b"to go on: ") + shown.count(b"what is lost: ")
            if asked > typed and typed < len(answers):
                os.write(terminal, answers[typed].encode() + b"\n")
                typed += 1
        os.close(terminal)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_it_asks_twice(self):
        c = self.power_cut([b"key20", b"key26", b"key11"])
        for answers in (["yes"], [self.cluster_id, "y"]):
            shown, code = self.answer(c, *answers)
            self.assertEqual(code, EXIT_USAGE, shown)
            self.assertIn("nothing was changed", shown)
            self.assertIsNone(c.status()["primary"])
        shown, code = self.answer(c, self.cluster_id, "yes")
        self.assertEqual(code, EXIT_OK, shown)
        self.check_kept(c, 25)

    def test_a_group_that_lives_is_left_alone(self):
        c = self.script_cluster(3)
        c.value("set", "a", "1")
        _, said = self.restore(c, code=EXIT_FAILED)
        self.assertIn("acts as primary", said)
        for arguments in (["--bogus"], ["--without"], ["--without", "x"], ["--yes", "12"]):
            self.restore(c, *arguments, code=EXIT_USAGE)
        _, said = self.restore(c, "--without", "7", code=EXIT_USAGE)
        self.assertIn("there is no replica 7", said)
