# SPDX-License-Identifier: Apache-2.0
"""Random replicas killed, paused and restarted, never more than may fail, while a flood checks
that every answer is right."""

import random
import time

from harness import QUICK, ClusterTest


class RandomFaults(ClusterTest):
    ROUNDS = 4 if QUICK else 12

    def torture(self, count, seed):
        c = self.script_cluster(count)
        rng = random.Random(seed)
        faults = (count - 1) // 2
        with c.flood("--clients", "16", "--duration", "600", "--mix", "70", "--key-count", "64"):
            for _ in range(self.ROUNDS):
                victims = rng.sample(range(count), rng.randint(1, faults))
                kinds = {v: rng.choice(("kill", "pause", "restart")) for v in victims}
                for victim, kind in kinds.items():
                    getattr(c, kind)(victim)
                time.sleep(rng.uniform(0.1, 1.0))
                for victim, kind in kinds.items():
                    if kind == "kill":
                        c.restart(victim)
                    elif kind == "pause":
                        c.resume(victim)
                # In memory mode a replica that recovers counts as failed until it is done.
                c.wait_normal()
        c.wait_equal()

    def test_three_replicas(self):
        self.torture(3, seed=3)

    def test_five_replicas(self):
        self.torture(5, seed=5)
