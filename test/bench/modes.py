# SPDX-License-Identifier: Apache-2.0
"""What each durability costs, beside what the disk itself can do.

    test/bench/modes.py [--seconds 5] [--value-size 64] [--clients 1,64,256]

One group for each mode, all on the disk of the temporary directory (TMPDIR); for each number of
clients the modes are flooded in turn. Before each of these rounds fdatasync is timed alone on that
disk: 4 KiB written behind the other into reserved room, as the log does it."""

import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import ScriptCluster  # noqa: E402
from run import COUNT, flood, machine  # noqa: E402

MODES = ("memory", "async", "sync")
PAGE = 4096
SYNCS = 400


def fdatasync_times():
    """Seconds of each of SYNCS writes with their fdatasync, sorted."""
    times = []
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, SYNCS * PAGE)
        os.fsync(file.fileno())
        page = os.urandom(PAGE)
        for i in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(file.fileno(), page, i * PAGE)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)


def file_system(path):
    """Type of the file system that holds `path`: the longest mount point above it."""
    mounts = (line.split()[1:3] for line in open("/proc/mounts"))
    return max((m for m in mounts if os.path.commonpath([path, m[0]]) == m[0]),
               key=lambda m: len(m[0]))[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--value-size", type=int, default=64)
    parser.add_argument("--clients", default="1,64,256")
    options = parser.parse_args()
    directory = tempfile.gettempdir()
    print(f"machine: {machine()}; data in {file_system(directory)}")
    print(f"{COUNT} replicas, set of {options.value_size} bytes, {options.seconds:g} s each, "
          f"{time.strftime('%Y-%m-%d')}\n")
    print("| clients | durability | ops/s | p50 us | p99 us | CPU us/op | fdatasync alone /s "
          "| its p50 us | its p99 us |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for clients in map(int, options.clients.split(",")):
        alone = fdatasync_times()
        disk = (f"{len(alone) / sum(alone):,.0f} | {1e6 * statistics.median(alone):.0f} "
                f"| {1e6 * alone[len(alone) * 99 // 100]:.0f}")
        for mode in MODES:
            with contextlib.closing(ScriptCluster(COUNT, "--durability", mode)) as cluster:
                real = flood(cluster, clients, options.seconds, options.value_size)
            latency = real["latency_us"]
            print(f"| {clients} | {mode} | {real['ops_per_second']:,.0f} | {latency['p50']:.0f} "
                  f"| {latency['p99']:.0f} | {real['cpu_us_per_op']:.1f} | {disk} |", flush=True)
            disk = "| |"
    return 0


if __name__ == "__main__":
    sys.exit(main())
