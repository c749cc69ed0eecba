# SPDX-License-Identifier: Apache-2.0
"""The servers' logs: forms, levels, and levels changed while a server runs."""

import json
import unittest

from harness import (EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, ClusterTest, Group, free_first_port,
                     wait_until)


class LogLevel(ClusterTest):
    def setUp(self):
        self.cluster = self.script_cluster(3)

    def levels(self, *arguments, code=EXIT_OK):
        """{replica: levels} as `log-level ARGUMENTS` answers."""
        done = self.cluster.client("--json", "log-level", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return {r["id"]: r["levels"] for r in json.loads(done.stdout)["replicas"]}

    def messages(self, i):
        return self.cluster.log(i).count("  Prepare view")

    def test_levels_change_in_a_running_server(self):
        c = self.cluster
        before = self.levels()
        self.assertEqual(set(before), {0, 1, 2})
        self.assertTrue(all(set(l.values()) == {"info"} for l in before.values()), before)
        self.assertEqual(c.client("set", "a", "1").returncode, EXIT_OK)
        self.assertEqual(self.messages(1), 0)

        changed = self.levels("--replica", "1", "network=debug")
        self.assertEqual(list(changed), [1])
        self.assertEqual(changed[1], dict(before[1], network="debug"))
        self.assertEqual(self.levels(), before | {1: changed[1]})
        self.assertEqual(c.client("set", "a", "2").returncode, EXIT_OK)
        wait_until(lambda: self.messages(1) > 0, "the messages of replica 1")
        self.assertEqual(self.messages(0) + self.messages(2), 0)
        self.assertRegex(c.log(1), r"info    admin     log levels are info,network=debug now and "
                                   r"were info: changed by 127\.0\.0\.1:\d+\n")

        table = c.client("log-level", "warning,admin=info").stdout.decode().splitlines()
        self.assertEqual(table[0].split(), ["id", "address", "log", "levels"])
        self.assertEqual([line.split()[2] for line in table[1:]], ["warning,admin=info"] * 3)

    def test_who_does_not_answer_is_said(self):
        c = self.cluster
        c.kill(2)
        levels = self.levels("debug", code=EXIT_UNAVAILABLE)
        self.assertEqual((levels[2], set(levels[0].values())), (None, {"debug"}))
        done = c.client("log-level", "--replica", "2")
        self.assertEqual(done.returncode, EXIT_UNAVAILABLE)
        self.assertIn(b"no answer", done.stdout)

    def test_wrong_words(self):
        for arguments in (["loud"], ["--replica"], ["--replica", "x"], ["--replica", "7"],
                          ["disk=debug"], ["info", "debug"]):
            done = self.cluster.client("log-level", *arguments)
            self.assertEqual(done.returncode, EXIT_USAGE, arguments)
            self.assertIn(b"log-level: ", done.stderr)


class NoGroup(unittest.TestCase):
    def test_unreachable_group(self):
        nobody = Group(3, free_first_port(3))
        for arguments in ([], ["debug"]):
            done = nobody.client("log-level", *arguments, timeout_ms=500)
            self.assertEqual(done.returncode, EXIT_UNAVAILABLE)
            self.assertIn(nobody.addresses.encode(), done.stderr)
        done = nobody.client("--json", "log-level", timeout_ms=500)
        self.assertEqual(done.returncode, EXIT_UNAVAILABLE)
        self.assertEqual(json.loads(done.stdout)["error"], "unavailable")


class LogFormat(ClusterTest):
    def test_json_lines(self):
        """One object a line, a fail-over included; only "ready" is for whoever waits for it."""
        c = self.script_cluster(3, "--log-format", "json", "--log-level", "debug")
        self.assertEqual(c.client("set", "a", "1").returncode, EXIT_OK)
        primary = c.primary()
        c.kill(primary)
        other = c.other_primary(primary)
        wait_until(lambda: f"replica {primary} is silent" in c.log(other), "its silence is said")
        members = {"time", "level", "subsystem", "id", "replica", "view", "op", "commit", "message"}
        seen = []
        for line in c.log(other).splitlines():
            if line.startswith("{"):
                seen.append(json.loads(line))
                self.assertLessEqual(members, set(seen[-1]))
        silent = [r for r in seen if r["id"] == "VR1401"]
        self.assertEqual([(r["level"], r["subsystem"], r["replica"]) for r in silent],
                         [("warning", "protocol", other)])
        self.assertGreater(silent[0]["view"], 0)
        self.assertEqual([r["replica"] for r in seen if r["subsystem"] == "admin"][-1], other)
        self.assertEqual({r["subsystem"] for r in seen},
                         {"runtime", "protocol", "network", "storage", "execution", "admin"})

    def test_journald_lines(self):
        c = self.script_cluster(1, "--log-format", "journald")
        self.assertIn("<6>runtime: viewstamp ", c.log(0))
        self.assertRegex(c.log(0), r"(?m)^<6>protocol: replica 0 view 0 op 0 commit 0: ")
