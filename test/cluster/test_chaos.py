# SPDX-License-Identifier: Apache-2.0
"""That chaos.py does what it says: the same again for a seed, everything that it can in a few, and
that what goes wrong is noticed and kept. It runs for longer as `make chaos`."""

import pathlib
import random
import shutil
import time
import unittest

import chaos
from test_history import HEADER

ROUNDS = 50


def rounds(seed, count, mode):
    rng = random.Random(seed)
    return [(chaos.draw_network(rng, count), chaos.draw_fault(rng, count, mode)) for _ in range(ROUNDS)]


class Schedule(unittest.TestCase):
    def test_a_seed_is_a_schedule(self):
        self.assertEqual(rounds(1, 5, "async"), rounds(1, 5, "async"))
        self.assertNotEqual(rounds(1, 5, "async"), rounds(2, 5, "async"))

    def test_everything_happens(self):
        verbs, kinds, disks, damages, pauses, killed = (set() for _ in range(6))
        for seed in range(20):
            for network, (kind, victims, how) in rounds(seed, 5, "sync"):
                verbs |= {order[0] for order in network}
                kinds.add(kind)
                if kind == "kill":
                    killed.add(len(victims))
                {"disk": disks, "damage": damages, "pause": pauses}.get(kind, set()).add(
                    how[0] if kind == "damage" else how)
        self.assertEqual(verbs, {"loss", "duplicate", "delay", "corrupt", "mutate", "forge", "limit", "cut"})
        self.assertEqual(kinds, {"kill", "pause", "cut", "disk", "damage"})
        self.assertEqual(killed, {1, 2, 3, 5})
        self.assertEqual(disks, set(chaos.DISK_ORDERS))
        self.assertEqual(damages, {"flip", "truncate", "older"})
        self.assertIn(10, pauses)

    def test_no_more_forget_than_may(self):
        for count in (3, 5):
            for mode in ("memory", "async", "sync"):
                for _, (kind, victims, _) in rounds(7, count, mode):
                    if kind in ("disk", "damage") or mode == "memory":
                        self.assertLessEqual(len(victims), (count - 1) // 2)


class Ended(chaos.Episode):
    """One in which a replica ends that nobody killed: by a signal that is not chaos.py's."""

    def one_round(self, c, network, fault):
        self.say("a replica ends")
        c.servers[0].terminate()
        c.servers[0].wait()
        self.ended_unasked(c, ())


class Falsified(chaos.Episode):
    """One whose clients were told what nobody wrote."""

    def one_round(self, c, network, fault):
        self.say("a history is falsified")
        path = pathlib.Path(self.directory, "history-9")
        path.write_text(HEADER + "> 1000 1 1 get nobody-writes\n< 1000 1 2 ok this\n", encoding="ascii")
        self.more_histories = [str(path)]
        time.sleep(0.1)


class Noticed(unittest.TestCase):
    SEED = 1  # 5 replicas, in memory

    def fails(self, kind):
        kept = chaos.BUILD / "chaos" / f"seed-{self.SEED}-{kind.__name__}"
        self.addCleanup(shutil.rmtree, kept, ignore_errors=True)
        episode = kind(self.SEED, 0.1)
        episode.kept = kept
        result = unittest.TestResult()
        episode.run(result)
        self.assertEqual((len(result.failures), result.errors), (1, []))
        said = result.failures[0][1]
        self.assertIn(f"seed {self.SEED}, 5 replicas, memory; what was done:", said)
        self.assertTrue((kept / "replicas" / "replica-0.log").exists())
        self.assertTrue((kept / "histories" / "history-0").exists())
        return said, (kept / "schedule").read_text()

    def test_who_ends_unasked(self):
        said, schedule = self.fails(Ended)
        self.assertIn("replica 0 ended, status 0", said)
        self.assertIn("a replica ends", schedule)

    def test_a_wrong_answer(self):
        said, schedule = self.fails(Falsified)
        self.assertIn("NOT LINEARIZABLE", said)
        self.assertIn("a history is falsified", schedule)
