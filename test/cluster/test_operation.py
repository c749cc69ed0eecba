# SPDX-License-Identifier: Apache-2.0
"""What a user does first: set, get, a primary lost, an old one back, the next one lost."""

import json
import os
import pathlib
import subprocess
import time
import unittest

from harness import (BUILD, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_WRONG_GROUP,
                     PATIENCE_SECONDS, PEER_PORT_OFFSET, QUICK, SANITIZED, ClusterTest, Group,
                     alone, free_first_port, wait_until)

KIB = 1024


class Operation(ClusterTest):
    def setUp(self):
        self.cluster = self.script_cluster(3)

    def test_one_shot_commands(self):
        c = self.cluster
        self.assertEqual(c.client("set", "a", "1").stdout, b"")
        self.assertEqual(c.client("get", "a").stdout, b"1\n")
        self.assertEqual(c.client("incr", "a", "41").stdout, b"42\n")
        self.assertEqual(c.client("cas", "a", "42", "x").returncode, EXIT_OK)
        self.assertEqual(c.client("cas", "a", "42", "y").returncode, EXIT_FAILED)
        self.assertEqual(c.client("del", "a").returncode, EXIT_OK)
        self.assertEqual(c.client("del", "a").returncode, EXIT_FAILED)
        missing = c.client("get", "a")
        self.assertEqual((missing.returncode, missing.stdout), (EXIT_FAILED, b""))

    def test_commands_through_a_pipe(self):
        done = self.cluster.client("--json", stdin=b"set x 1\nincr x 41\nget x\n")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), 3)
        self.assertTrue(all(a["ok"] for a in answers))
        self.assertEqual(str(answers[2]["value"]), "42")

    def test_binary_values(self):
        value = bytes(range(256))
        self.assertEqual(self.cluster.client("set", "b", "-", stdin=value).returncode, EXIT_OK)
        self.assertEqual(self.cluster.client("get", "b").stdout.removesuffix(b"\n"), value)


class LargeValues(ClusterTest):
    def test_value_through_small_datagrams(self):
        """M1, M6: 256 KiB in parts of at most 1,400 bytes."""
        cluster = self.script_cluster(3, "--datagram-size", "1400")
        value = bytes(i * 7 % 251 for i in range(256 * KIB))
        done = cluster.client("set", "large", "-", stdin=value)
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        got = cluster.client("get", "large")
        self.assertEqual(got.returncode, EXIT_OK, got.stderr)
        self.assertEqual(got.stdout.removesuffix(b"\n"), value)
        cluster.wait_equal()

    def test_too_large_is_refused_with_both_numbers(self):
        cluster = self.script_cluster(1)
        done = cluster.client("set", "large", "-", stdin=b"x" * (2 * KIB * KIB))
        self.assertEqual(done.returncode, EXIT_FAILED, done.stderr)
        message = done.stderr.decode().replace(",", "")
        self.assertIn(str(2 * KIB * KIB), message)
        self.assertIn(str(KIB * KIB), message)


class LogFull(ClusterTest):
    def test_full_log_is_not_healthy(self):
        """A group that refuses everything is unavailable, and status says why. Checkpoints make room,
        so here none can be written: the name is taken."""
        cluster = self.script_cluster(3, "--log-memory-max", str(32 * KIB * KIB))
        for i in range(cluster.count):
            os.mkdir(os.path.join(cluster.directory, f"replica-{i}", "checkpoint.new"))
        value = b"x" * (KIB * KIB)
        status = None
        for _ in range(400):
            done = cluster.client("set", "k", "-", stdin=value, timeout_ms=3000)
            if b"busy" in done.stderr:  # else a machine too slow for the timeout
                status = cluster.client("--json", "status")
                if status.returncode == EXIT_UNAVAILABLE and "full" in json.loads(
                        status.stdout)["reason"]:  # else busy with a view change
                    break
        self.assertIn(b"busy", done.stderr)
        self.assertEqual(status.returncode, EXIT_UNAVAILABLE, status.stdout)
        report = json.loads(status.stdout)
        self.assertEqual((report["health"], report["may_fail"]), ("unavailable", 0))
        self.assertIn("full", report["reason"])
        for i in range(cluster.count):
            self.assertIn("VR1218", cluster.log(i))
            os.rmdir(os.path.join(cluster.directory, f"replica-{i}", "checkpoint.new"))
        # The next one that is due works, and there is room again.
        wait_until(lambda: cluster.client("set", "k", "small", timeout_ms=3000).returncode == EXIT_OK,
                   "room in the log")
        self.assertEqual(cluster.value("get", "k"), "small")


class NoCluster(unittest.TestCase):
    def test_says_whom_it_asked(self):
        nobody = Group(3, free_first_port(3))
        began = time.monotonic()
        done = nobody.client("get", "a", timeout_ms=1000)
        self.assertLess(time.monotonic() - began, PATIENCE_SECONDS / 4)
        self.assertEqual(done.returncode, EXIT_UNAVAILABLE)
        for address in nobody.addresses.split(","):
            self.assertIn(address.encode(), done.stderr)


class PeersPort(ClusterTest):
    def test_client_is_shown_the_right_port(self):
        """A client at the peers' door is no foreign replica: it is told where to go."""
        c = self.script_cluster(3)
        wrong = Group(3, c.first_port + PEER_PORT_OFFSET)
        for command in (["get", "k"], ["set", "k", "v"], ["status"], ["flood", "--count", "1"],
                        ["trace"], ["log-level"], ["unsafe-restore"]):
            done = wrong.client(*command)
            self.assertEqual(done.returncode, EXIT_WRONG_GROUP, done.stdout + done.stderr)
            self.assertIn(b"the port for peers", done.stderr)
            self.assertRegex(done.stderr.decode(), f"clients use port {c.first_port}|"
                             f"{c.first_port + 1}|{c.first_port + 2}")
            answer = json.loads(wrong.client("--json", *command).stdout)
            self.assertEqual((answer["ok"], answer["error"]), (False, "wrong_port"), command)
        for i in range(3):
            self.assertNotIn("belongs to cluster", c.log(i))


@alone
class TwoClusters(ClusterTest):
    """M7: a list that leads to two clusters is exit 7, names both, and changes neither. (A seed that
    a busy machine keeps silent for the whole grace is taken for a dead one: hence "most".)"""

    def setUp(self):
        self.clusters = [self.script_cluster(1), self.script_cluster(3)]
        self.mixed = Group(0, 0)
        self.mixed.addresses = ",".join(c.addresses for c in self.clusters)
        self.ids = [c.status()["cluster_id"].encode() for c in self.clusters]

    def is_refused(self, done):
        if done.returncode == EXIT_OK:
            return False
        self.assertEqual(done.returncode, EXIT_WRONG_GROUP, done.stdout + done.stderr)
        for cluster_id in self.ids:
            self.assertIn(cluster_id, done.stdout + done.stderr)
        return True

    def check_most(self, rounds, *arguments, stdin=None):
        refused = sum(self.is_refused(self.mixed.client(*arguments, stdin=stdin))
                      for _ in range(rounds))
        self.assertGreaterEqual(refused, rounds * 4 // 5)

    def test_one_shot_commands(self):
        self.check_most(10, "set", "k", "v")
        self.check_most(10, "get", "k")

    def test_pipe(self):
        self.check_most(5, stdin=b"set k v\nset l w\n")
        # The list stays wrong, whatever comes next.
        done = self.mixed.client("--json", "--keep-going", stdin=b"set k v\nset l w\n")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), 2)
        if not answers[0]["ok"]:
            self.assertEqual(answers[1].get("error"), "wrong_cluster", answers)

    def test_flood(self):
        self.check_most(5, "flood", "--clients", "16", "--duration", "0.2")

    def test_dead_seed_is_no_second_cluster(self):
        c = self.clusters[1]
        c.kill((c.primary() + 1) % 3)
        self.assertEqual(c.client("set", "k", "v").returncode, EXIT_OK)
        self.assertEqual(c.value("get", "k"), "v")


class FailOver(ClusterTest):
    """An operation, the primary killed, the old primary back, the next primary killed."""

    def story(self, count):
        c = self.script_cluster(count)
        self.assertEqual(c.client("set", "k", "v").returncode, EXIT_OK)
        first = c.primary()

        c.kill(first)
        self.assertEqual(c.value("get", "k"), "v")
        second = c.other_primary(first)
        self.assertEqual(c.client("set", "l", "w").returncode, EXIT_OK)

        c.restart(first)
        c.wait_normal()
        c.wait_equal()
        self.assertEqual(c.status()["health"], "healthy")

        c.kill(second)
        self.assertEqual(c.value("get", "k"), "v")
        self.assertEqual(c.value("get", "l"), "w")
        c.other_primary(second)
        self.assertEqual(c.value("incr", "n"), "1")

        c.restart(second)
        c.wait_equal()

    def test_three_replicas(self):
        self.story(3)

    def test_five_replicas(self):
        self.story(5)


@alone
class ServiceGap(ClusterTest):
    """The primary is killed while 64 clients write: the service is interrupted for less than a
    second, nothing acknowledged is lost, and the replica comes back with the others' state."""

    ROUNDS = int(os.environ.get("VR_ROUNDS", 2 if QUICK else 10))

    def rounds(self, count):
        c = self.script_cluster(count)
        for _ in range(self.ROUNDS):
            with c.flood("--clients", "64", "--duration", "60") as flood:
                time.sleep(0.5)
                primary = c.primary()
                c.kill(primary)
                c.other_primary(primary)
                time.sleep(0.5)
            self.check_gap(flood.result)
            c.restart(primary)
            c.wait_equal()

    def check_gap(self, result):
        if not SANITIZED:
            self.assertLess(result["longest_gap_ms"], 1000)

    def test_three_replicas(self):
        self.rounds(3)

    def test_five_replicas(self):
        self.rounds(5)


class Paused(ClusterTest):
    """LS-5, TM-4: a primary that slept while the group went on serves nobody when it wakes up."""

    def test_paused_primary_becomes_a_backup(self):
        c = self.script_cluster(3)
        self.assertEqual(c.value("incr", "n"), "1")
        old = c.primary()
        with c.flood("--clients", "8", "--duration", "60", "--mix", "50"):
            c.pause(old)
            began = time.monotonic()
            c.other_primary(old)
            self.assertEqual(c.value("incr", "n"), "2")
            time.sleep(max(0, 5 - (time.monotonic() - began)))
            c.resume(old)
            # Every read from here on, whoever answers, must see what happened meanwhile.
            for _ in range(20):
                self.assertEqual(c.value("get", "n"), "2")
            wait_until(lambda: (r := c.replica(old))["status"] == "normal"
                       and r["role"] == "backup", "the old primary as a backup")
        c.wait_equal()


def cpu_ns(pid):
    """What all threads of a process have used."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


@alone
@unittest.skipIf(SANITIZED, "measures the product, not the sanitizer")
class Idle(ClusterTest):
    def test_idle_group_costs_next_to_nothing(self):
        """Five replicas use under 2 % of a core. Where caches are cold because the machine is busy,
        the same work takes longer: there it is compared with what bare datagrams cost meanwhile."""
        c = self.script_cluster(5)
        c.wait_normal()
        pids = list(c.pids().values())
        seconds = 8
        floor = subprocess.Popen([str(BUILD / "idle_floor"), str(seconds)],
                                 stdout=subprocess.PIPE, text=True)
        with floor:
            began, before = time.monotonic_ns(), sum(map(cpu_ns, pids))
            time.sleep(seconds)
            used = 100 * (sum(map(cpu_ns, pids)) - before) / (time.monotonic_ns() - began)
            floor_used = float(floor.stdout.read())
        self.assertLess(used, max(2, 4 * floor_used), f"{used:.2f} %, floor {floor_used:.2f} %")
