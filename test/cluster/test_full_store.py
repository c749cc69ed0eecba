# SPDX-License-Identifier: Apache-2.0
"""A store that has reached the cluster's state_size_max: what a user reads, and that all agree."""

import json

from harness import EXIT_FAILED, EXIT_OK, ClusterTest

STATE_SIZE = 64 * 1024
INTERVAL = 10  # ops between checkpoints: a full store is in some of them
VALUE = b"x" * 8000
KEYS_MAX = STATE_SIZE // len(VALUE)


class FullStore(ClusterTest):
    def setUp(self):
        self.cluster = self.script_cluster(
            3, "--state-size-max", str(STATE_SIZE), "--checkpoint-interval", str(INTERVAL))

    def set(self, key, value=VALUE, *flags):
        return self.cluster.client(*flags, "set", key, "-", stdin=value)

    def fill(self):
        """Keys until one is refused; which one that was."""
        for n in range(KEYS_MAX + 1):
            done = self.set(f"key{n}")
            if done.returncode != EXIT_OK:
                self.assertGreater(n, KEYS_MAX // 2, done.stderr)
                self.assert_full(done)
                return f"key{n}"
        self.fail(f"{KEYS_MAX + 1} values of {len(VALUE)} bytes in {STATE_SIZE} bytes")

    def assert_full(self, done):
        self.assertEqual((done.returncode, done.stdout), (EXIT_FAILED, b""), done.stderr)
        for word in (b"the store is full", b"--state-size-max", b"deleting keys makes room"):
            self.assertIn(word, done.stderr)

    def test_says_so_and_goes_on_when_there_is_room(self):
        c = self.cluster
        refused = self.fill()
        answer = json.loads(self.set(refused, VALUE, "--json").stdout)
        self.assertEqual((answer["ok"], answer["outcome"], answer["error"]),
                         (False, "failed", "store_full"))
        self.assert_full(c.client("cas", "key0", VALUE.decode(), "y" * 16000))

        # What does not grow is done, and nothing of what was refused.
        self.assertEqual(c.client("get", refused).returncode, EXIT_FAILED)
        self.assertEqual(c.value("get", "key0"), VALUE.decode())
        self.assertEqual(self.set("key0", b"y" * len(VALUE)).returncode, EXIT_OK)
        self.assertEqual(c.status()["health"], "healthy")

        self.assertEqual(c.client("del", "key1").returncode, EXIT_OK)
        self.assertEqual(self.set(refused).returncode, EXIT_OK)
        self.assert_full(self.set("key1"))
        c.wait_equal()

    def test_replicas_stay_equal_through_restarts(self):
        """What is refused depends on the state alone: not on whether it was executed or loaded."""
        c = self.cluster
        refused = self.fill()
        for i in range(c.count):
            c.kill(i)
            self.assert_full(self.set(refused))
            self.assertEqual(c.client("del", "key0").returncode, EXIT_OK)
            self.assertEqual(self.set("key0").returncode, EXIT_OK)
            for _ in range(INTERVAL):
                self.assert_full(self.set(refused))
            c.restart(i)
            c.wait_normal()
            c.wait_equal()
        self.assert_full(self.set(refused))
        c.wait_equal()
