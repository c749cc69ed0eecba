# SPDX-License-Identifier: Apache-2.0
"""`status`: what real groups in trouble look like, and the exit codes that scripts rely on."""

import json
import os
import re
import signal
import subprocess
import tempfile

from harness import (CLIENT, EXIT_DEGRADED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE,
                     PATIENCE_SECONDS, ClusterTest, Group, environment, free_first_port, wait_until)

EXIT_UNKNOWN, EXIT_WRONG_GROUP = 5, 7
KIB = 1024


class StatusTest(ClusterTest):
    def status_text(self, group, *arguments):
        """(exit code, lines)"""
        done = group.client("status", *arguments, timeout_ms=2000)
        return done.returncode, done.stdout.decode().splitlines()

    def wait_for(self, group, pattern, code):
        """Until the summary says so; returns the lines."""
        def look():
            got, lines = self.status_text(group)
            return re.search(pattern, lines[0]) and got == code and lines
        return wait_until(look, f"{pattern!r} in the summary, exit code {code}")


class Words(StatusTest):
    def test_four_words_and_their_exit_codes(self):
        c = self.script_cluster(3)
        c.wait_normal()
        lines = self.wait_for(c, r" healthy$", EXIT_OK)
        self.assertEqual(lines[-1], "1 more replica may fail before writes stop.")
        primary = c.primary()
        first, second = [i for i in range(3) if i != primary]
        c.pause(first)
        lines = self.wait_for(c, rf"DEGRADED: replica {first} silent for \d+\.\d s$", EXIT_DEGRADED)
        self.assertEqual(lines[-1], "0 more replicas may fail before writes stop.")
        self.assertEqual(len(lines), 6)
        c.pause(second)
        lines = self.wait_for(c, "UNAVAILABLE", EXIT_UNAVAILABLE)
        self.assertEqual(lines[-1], "Writes have stopped; they go on when 1 more replica answers.")
        c.pause(primary)
        lines = self.wait_for(c, "UNKNOWN: no replica answers: asked 127.0.0.1:", EXIT_UNKNOWN)
        self.assertEqual(lines[-1],
                         "Whether writes go on is not known from here: no replica answers.")
        for i in range(3):
            c.resume(i)
        self.wait_for(c, r" healthy$", EXIT_OK)

    def test_counters_come_whatever_the_question_has_room_for(self):
        """M3: who has not echoed the token is answered no more than it sent; then it is asked again."""
        c = self.script_cluster(3)
        c.wait_normal()
        for size in ("512", "1400"):
            done = c.client("--datagram-size", size, "--json", "status")
            self.assertEqual(done.returncode, EXIT_OK, done.stdout)
            for replica in json.loads(done.stdout)["replicas"]:
                self.assertIn("option_heartbeat_ms", replica["counters"])

    def test_json_has_all_fields(self):
        c = self.script_cluster(1)
        status = c.status()
        self.assertLessEqual({"cluster_id", "epoch", "view", "primary", "health", "reason",
                              "may_fail", "replicas"}, status.keys())
        self.assertLessEqual({"id", "address", "role", "status", "op", "commit", "rtt_us",
                              "durability", "version", "uptime_s", "disk_bytes", "state_digest",
                              "counters", "note"}, status["replicas"][0].keys())

    def test_wrong_options(self):
        nobody = Group(1, free_first_port(1))
        for arguments in (["--wacth"], ["--interval"], ["--interval", "0"], ["--interval", "x"]):
            done = nobody.client("status", *arguments)
            self.assertEqual((done.returncode, done.stdout), (EXIT_USAGE, b""), arguments)
            self.assertIn(b"--watch", done.stderr)


class Watch(StatusTest):
    def watch(self, group, *arguments):
        """What was printed until three had come, and the exit code after a Ctrl-C."""
        with tempfile.TemporaryFile() as out:
            with subprocess.Popen([CLIENT, "--cluster", group.addresses, "status", "--interval",
                                   "0.1", *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.PIPE, env=environment()) as watch:
                def blocks():
                    size = os.fstat(out.fileno()).st_size
                    text = os.pread(out.fileno(), size, 0).decode()
                    return text.count("cluster") >= 3 and text
                try:
                    wait_until(blocks, "three times the status")
                    watch.send_signal(signal.SIGINT)
                    code = watch.wait(PATIENCE_SECONDS)
                finally:
                    watch.kill()
                self.assertEqual(watch.stderr.read(), b"")
                return blocks(), code

    def test_blocks_until_ctrl_c(self):
        c = self.script_cluster(1)
        text, code = self.watch(c)
        self.assertEqual(code, EXIT_OK)
        self.assertNotIn("\x1b", text)
        blocks = text.split("\n\n")
        self.assertGreaterEqual(len(blocks), 3)
        for block in blocks:
            self.assertEqual(len(block.rstrip("\n").splitlines()), 4, block)
        text, code = self.watch(c, "--json")
        self.assertEqual(code, EXIT_OK)
        for line in text.splitlines():
            self.assertEqual(json.loads(line)["health"], "healthy")


class Split(StatusTest):
    def cut(self, cluster, part, rest):
        for i in part:
            for j in rest:
                cluster.order("cut", i, j)
                cluster.order("cut", j, i)

    def test_a_group_split_in_two(self):
        c = self.relayed_cluster(5)
        first = c.primary()
        small = [first, (first + 1) % 5]
        large = [i for i in range(5) if i not in small]
        self.cut(c, small, large)
        small.sort()
        lines = self.wait_for(c, rf"DEGRADED: the group is split: replicas {small[0]} and {small[1]} "
                                 rf"do not hear replicas {large[0]}, {large[1]} and {large[2]}$",
                              EXIT_DEGRADED)
        self.assertEqual(lines[-1], "0 more replicas may fail before writes stop.")
        self.assertIn(c.primary(), large)
        c.heal()
        self.wait_for(c, r" healthy$", EXIT_OK)

    def test_no_replica_hears_another(self):
        c = self.relayed_cluster(3)
        c.order("cut", "*", "*")
        lines = self.wait_for(c, "UNAVAILABLE: .*no replica hears another", EXIT_UNAVAILABLE)
        self.assertEqual(lines[-1],
                         "Writes have stopped; they go on when 2 replicas hear each other again.")
        c.heal()
        self.wait_for(c, r" healthy$", EXIT_OK)

    def test_a_backup_that_is_not_heard(self):
        """One direction: it follows, and its acks are lost."""
        c = self.relayed_cluster(3)
        primary = c.primary()
        mute = (primary + 1) % 3
        c.order("cut", mute, primary)
        self.wait_for(c, rf"DEGRADED: the primary does not hear replica {mute}$", EXIT_DEGRADED)


class Different(StatusTest):
    def test_other_parameters(self):
        c = self.relayed_cluster(3, init_flags={2: ["--sessions-max", "100"]})
        lines = self.wait_for(c, r"DEGRADED: replica 2 was initialised with other parameters than "
                                 r"the rest \(sessions_max 100, not 16384\), which refuses it",
                              EXIT_DEGRADED)
        self.assertEqual(lines[-1], "0 more replicas may fail before writes stop.")

    def test_another_cluster_among_the_addresses(self):
        one, two = self.script_cluster(1), self.script_cluster(1)
        ids = {one.status()["cluster_id"], two.status()["cluster_id"]}
        both = Group(2, one.first_port)
        both.addresses = f"{one.addresses},{two.addresses}"
        done = both.client("status")
        self.assertEqual((done.returncode, done.stdout), (EXIT_WRONG_GROUP, b""))
        for name in ids:
            self.assertIn(name, done.stderr.decode())
        done = both.client("--json", "status")
        self.assertEqual(done.returncode, EXIT_WRONG_GROUP)
        self.assertEqual(json.loads(done.stdout)["error"], "wrong_cluster")


class CatchUp(StatusTest):
    def test_progress_and_time_left(self):
        """A replica that comes back over a slow link: its row tells how far it is."""
        c = self.relayed_cluster(3, "--durability", "memory")  # all of it comes over the link
        c.wait_normal()
        back = next(i for i in range(3) if i != c.primary())
        c.kill(back)
        for i in range(24):
            done = c.client("set", f"k{i}", "-", stdin=os.urandom(64 * KIB).hex().encode())
            self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        c.order("rate", "*", back, 8)
        c.start(back)
        seen = []

        def caught_up():
            replica = c.replica(back)
            progress = re.fullmatch(r"catch-up (\d+) %, about (\d+) s left", replica["note"] or "")
            if progress:
                seen.append((int(progress.group(1)), int(progress.group(2))))
            return replica["status"] == "normal"
        wait_until(caught_up, "the replica to have caught up")
        self.assertGreaterEqual(len(seen), 2, seen)
        percents = [percent for percent, _ in seen]
        self.assertLess(min(percents), max(percents))
        self.assertLessEqual(max(percents), 100)
        for _, left in seen:
            self.assertTrue(1 <= left < 600, seen)
