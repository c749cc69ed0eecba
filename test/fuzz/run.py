# SPDX-License-Identifier: Apache-2.0
"""Random bytes and mutated real datagrams at both ports of live replicas, for N seconds: nothing may
change but drop counters.

    test/fuzz/run.py [--seconds 30] [--seed N]

First with no client: afterwards digest, view and op of every replica are exactly what they were.
Then with a client that is served throughout: the view is still the same, every answer is right, and
the replicas agree. What is thrown: test/fuzz/fuzz.c from an address that is nobody's at both ports,
and, through the relay, damaged copies of the replicas' own datagrams from the very addresses of the
replicas, and forged ones with a right checksum from a stranger's."""

import argparse
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, EXIT_OK, HEARTBEAT_MS, RelayedCluster, wait_until  # noqa: E402

COUNT = 3
RATE = 3000  # datagrams a second: far below what would crowd out honest ones


def facts(cluster):
    """What must not change: by replica, its view, op and state digest."""
    status = cluster.status()
    return status["view"], status["primary"], [
        (r["status"], r["op"], r["commit"], r["state_digest"]) for r in status["replicas"]]


def dropped(cluster):
    """Sum of the counters of what arrived and went no further."""
    return sum(value for r in cluster.status()["replicas"]
               for name, value in r["counters"].items()
               if name.startswith(("wire_", "wrong_", "drop_", "refused_")))


class Attack:
    def __init__(self, cluster, seconds, seed):
        self.cluster = cluster
        command = [str(BUILD / "fuzz"), "--seconds", str(seconds), "--rate", str(RATE),
                   "--cluster-id", cluster.status()["cluster_id"]]
        if seed is not None:
            command += ["--seed", str(seed)]
        for i in range(COUNT):
            command += ["--client-port", str(cluster.first_port + i),
                        "--peer-port", str(cluster.real[i])]
        for kind in ("mutate", "forge"):
            cluster.order(kind, "*", "*", 25)
        self.process = subprocess.Popen(command)

    def running(self):
        return self.process.poll() is None

    def finish(self):
        if self.process.wait() != 0:
            raise AssertionError("fuzz failed")
        print("fuzz: relay:", self.cluster.heal())


def quiet(cluster, seconds, seed):
    before = cluster.wait_equal() and facts(cluster)
    drops = dropped(cluster)
    attack = Attack(cluster, seconds, seed)
    attack.finish()
    wait_until(lambda: facts(cluster) == before, f"the state before: {before}", 20)
    rose = dropped(cluster) - drops
    print(f"fuzz: no client: state as before, drop counters rose by {rose}")
    if rose <= 0:
        raise AssertionError("no drop counter rose: did anything arrive?")


def serving(cluster, seconds, seed):
    view = cluster.status()["view"]
    attack = Attack(cluster, seconds, seed)
    served = 0
    while attack.running():
        served += 1
        done = cluster.client("incr", "served", timeout_ms=5000)
        if done.returncode != EXIT_OK or int(done.stdout) != served:
            raise AssertionError(f"increment {served}: {done}")
        time.sleep(0.05)
    attack.finish()
    if cluster.status()["view"] != view:
        raise AssertionError(f"the view changed from {view} to {cluster.status()['view']}")
    cluster.wait_equal()
    print(f"fuzz: with a client: {served} operations served, view as before, replicas agree")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    passed = failed = 0
    for phase in (quiet, serving):
        cluster = RelayedCluster(COUNT, heartbeat_ms=4 * HEARTBEAT_MS)
        try:
            if cluster.value("incr", "x") != "1":
                raise AssertionError("the cluster does not work")
            phase(cluster, max(1, options.seconds // 2), options.seed)
            passed += 1
        except AssertionError as error:
            print(f"fuzz: FAILED: {phase.__name__}: {error}")
            for i in range(COUNT):
                print(f"--- replica {i}\n{cluster.log(i)[-2000:]}")
            failed += 1
        finally:
            cluster.close()
    print(f"fuzz: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
