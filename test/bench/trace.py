# SPDX-License-Identifier: Apache-2.0
"""What remembering messages costs, and what looking at them does.

    test/bench/trace.py [--without BIN] [--pairs 12] [--seconds 3] [--clients 64]

Floods in pairs, in turn with and without, so that a busy machine troubles both alike; a pair is
compared with itself, and the median of the pairs is what counts.

  ring     this build against another one (BIN: its directory of programs) that has no ring
  follow   this build, with `trace --follow` running and without"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

import harness  # noqa: E402
from run import COUNT, flood, machine  # noqa: E402


def cluster_of(programs):
    """A group of the programs in that directory; floods are made by this build's client."""
    own = harness.BIN
    harness.BIN = pathlib.Path(programs)
    try:
        return harness.ScriptCluster(COUNT, "--durability", "memory")
    finally:
        harness.BIN = own


@contextlib.contextmanager
def nobody_follows(_):
    yield


@contextlib.contextmanager
def somebody_follows(cluster):
    follow = subprocess.Popen(
        [harness.CLIENT, "--cluster", cluster.addresses, "trace", "--follow"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=harness.environment())
    try:
        time.sleep(0.3)
        yield
    finally:
        follow.terminate()
        follow.wait()


def measure(options, without, with_, first):
    """One pair; without and with_ are (programs, context manager). Each pair has groups of its own,
    for what a group has done so far weighs on what it does next."""
    measured = {}
    for side in (0, 1) if first == 0 else (1, 0):
        programs, around = (without, with_)[side]
        cluster = cluster_of(programs)
        try:
            with around(cluster):
                measured[side] = flood(cluster, options.clients, options.seconds, 64)
        finally:
            cluster.close()
    return measured


def compare(name, options, without, with_):
    ratios = []
    costs = []
    results = ([], [])
    for pair in range(options.pairs):
        measured = measure(options, without, with_, pair % 2)
        for side in (0, 1):
            results[side].append(measured[side]["ops_per_second"])
        ratios.append(measured[1]["ops_per_second"] / measured[0]["ops_per_second"])
        costs.append(measured[1]["cpu_us_per_op"] / measured[0]["cpu_us_per_op"])
    print(f"| {name} | {statistics.median(results[0]):,.0f} | {statistics.median(results[1]):,.0f} "
          f"| {100 * (statistics.median(ratios) - 1):+.1f} % "
          f"| {100 * (statistics.median(costs) - 1):+.1f} % "
          f"| {100 * (min(ratios) - 1):+.0f} .. {100 * (max(ratios) - 1):+.0f} % |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--without")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    print(f"machine: {machine()}")
    print(f"{COUNT} replicas, durability memory, set of 64 bytes, {options.clients} clients, "
          f"{options.pairs} pairs of {options.seconds:g} s, {time.strftime('%Y-%m-%d')}\n")
    print("| | ops/s without | ops/s with | ops/s, median of pairs | CPU per op | pairs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    if options.without:
        compare("ring", options, (options.without, nobody_follows), (harness.BIN, nobody_follows))
    compare("follow", options, (harness.BIN, nobody_follows), (harness.BIN, somebody_follows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
