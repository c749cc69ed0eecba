# SPDX-License-Identifier: Apache-2.0
"""Reads beside the log: what they cost, whom they ask, and what they may show."""

import json
import unittest

from harness import EXIT_OK, EXIT_USAGE, ClusterTest, wait_until


def ask(cluster, *arguments):
    done = cluster.client("--json", *arguments)
    assert done.returncode == EXIT_OK, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


class Reads(ClusterTest):
    def ops(self, cluster):
        return max(r["op"] for r in cluster.status()["replicas"] if "op" in r)

    def counter(self, cluster, name):
        return sum(r.get("counters", {}).get(name, 0) for r in cluster.status()["replicas"])

    def test_quorum_reads_leave_the_log_alone(self):
        cluster = self.script_cluster(3)
        written = ask(cluster, "set", "k", "v")
        before = self.ops(cluster)
        for _ in range(5):
            got = ask(cluster, "get", "k")
            self.assertEqual(got["value"], "v")
            self.assertGreaterEqual(got["op"], written["op"])
        self.assertEqual(self.ops(cluster), before)
        self.assertGreaterEqual(self.counter(cluster, "reads_answered"), 5)

    def test_reads_through_the_log_take_a_place_there(self):
        cluster = self.script_cluster(3, "--reads", "log")
        ask(cluster, "set", "k", "v")
        before = self.ops(cluster)
        self.assertEqual(ask(cluster, "get", "k")["value"], "v")
        self.assertGreater(self.ops(cluster), before)

    def test_stale_reads_need_no_quorum(self):
        cluster = self.script_cluster(3)
        written = ask(cluster, "set", "k", "v")
        self.assertEqual(ask(cluster, "get", "--at-least", str(written["op"]), "k")["value"], "v")
        cluster.kill(0)
        cluster.kill(1)
        got = ask(cluster, "get", "k", "--stale", "--at-least", str(written["op"]))
        self.assertEqual(got["value"], "v")
        self.assertGreaterEqual(got["commit"], written["op"])
        refused = cluster.client("--timeout", "500", "get", "k", "--at-least", "1000000")
        self.assertEqual(refused.returncode, 4, refused.stderr)

    def test_options_of_get(self):
        cluster = self.script_cluster(3)
        for wrong in (("get",), ("get", "k", "--at-least"), ("get", "k", "--at-least", "x"),
                      ("get", "a", "b"), ("get", "--stlae", "k")):
            self.assertEqual(cluster.client(*wrong).returncode, EXIT_USAGE, wrong)


if __name__ == "__main__":
    unittest.main()
