# SPDX-License-Identifier: Apache-2.0
"""What a group does when it is offered more than it can do.

    test/bench/overload.py [--cost-us 50] [--factor 5] [--seconds 60] [--sessions 10000] [--quick]

Three replicas of an application whose operation costs that much CPU (slow_server.c). First its peak:
closed loops of 16, 64 and 256 sessions, the best of them. Then two client processes offer `factor`
times the peak together, by open loops (flood --rate) of so many sessions. Goodput is what was
acknowledged of that, and by whom; nothing may have changed the view, and memory is shown."""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import pathlib

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, CLIENT, Group, environment, free_first_port  # noqa: E402
from report import machine  # noqa: E402

COUNT = 3


class SlowCluster(Group):
    def __init__(self, cost_us):
        super().__init__(COUNT, free_first_port(COUNT))
        self.directory = tempfile.mkdtemp(prefix="vr-slow-")
        self.servers = []
        program = str(BUILD / "slow_server")
        cluster_id = f"{random.getrandbits(64) | 1:016x}"
        try:
            for i in range(COUNT):
                data = os.path.join(self.directory, str(i))
                subprocess.run([program, "init", data, str(i), self.addresses, cluster_id],
                               check=True, capture_output=True)
                with open(data + ".log", "wb") as log:
                    self.servers.append(subprocess.Popen(
                        [program, "start", data, str(cost_us)], stdin=subprocess.DEVNULL,
                        stdout=log, stderr=log))
            self.wait_normal()
        except BaseException:
            self.close()
            raise

    def close(self):
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def spawn(cluster, seconds, sessions, *more):
    return subprocess.Popen(
        [CLIENT, "--cluster", cluster.addresses, "--json", "flood", "--mix", "100", "--clients",
         str(sessions), "--duration", str(seconds), *more],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment())


def result_of(process):
    out, _ = process.communicate()
    return json.loads(out.splitlines()[-1])


def counters(cluster):
    replicas = cluster.status()["replicas"]
    return {name: [(replica["counters"] or {}).get(name, 0) for replica in replicas]
            for name in ("view_changes", "busy", "memory_peak_kib")}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--cost-us", type=int, default=50)
    parser.add_argument("--factor", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--quick", action="store_true", help="a second of each")
    options = parser.parse_args()
    seconds = 1 if options.quick else options.seconds
    print(f"machine: {machine()}\n{COUNT} replicas, {options.cost_us} us of CPU each operation\n")
    with contextlib.closing(SlowCluster(options.cost_us)) as cluster:
        peak = 0
        for sessions in (16, 64, 256):
            result = result_of(spawn(cluster, min(seconds, 10), sessions))
            peak = max(peak, result["ops_per_second"])
            print(f"closed loop, {sessions} sessions: {result['ops_per_second']:,.0f} ops/s, p99 "
                  f"{result['latency_us']['p99'] / 1000:.1f} ms", flush=True)
        before = counters(cluster)
        rate = max(2, int(peak * options.factor))
        loads = [spawn(cluster, seconds, options.sessions // 2, "--rate", str(rate // 2))
                 for _ in range(2)]
        results = [result_of(load) for load in loads]
        after = counters(cluster)
    goodput = sum(result["ops_per_second"] for result in results)
    shares = sorted(result["ops_per_second"] for result in results)
    print(f"offered {rate:,} ops/s by two processes of {options.sessions // 2:,} sessions: goodput "
          f"{goodput:,.0f} ops/s, {100 * goodput / peak:.0f} % of the peak")
    print(f"shares of the two: {shares[0]:,.0f} and {shares[1]:,.0f} ops/s")
    print(f"errors: {[result['errors'] for result in results]}")
    for name in ("view_changes", "busy"):
        print(f"{name}: {[b - a for a, b in zip(before[name], after[name])]}")
    print(f"memory, peak KiB: {before['memory_peak_kib']} before, {after['memory_peak_kib']} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
