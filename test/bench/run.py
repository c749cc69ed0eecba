# SPDX-License-Identifier: Apache-2.0
"""Throughput, latency and CPU of viewstamp, beside the floor of this machine, turn by turn.

    test/bench/run.py [--turns 5] [--seconds 5] [--series sessions,durability,...] [--quick]
                      [--clients 1,16,64,256,1024] [--out DIR] [--reads log,quorum,lease]

Each series varies one thing, the others being 3 replicas, async, SET of 100 bytes, 256 sessions of
one client process. A turn measures everything once, so that what is compared ran side by side; the
table has medians of the turns. CPU per operation is of all processes, the client's included.

    sessions     1 to 1,024 sessions, 3 and 5 replicas, and the floor (floor.c)
    durability   memory, async, sync, at 1 and 1,024 sessions
    operations   SET, GET (in each read mode that the server has), half and half
    values       16 bytes to 64 KiB

Data is on tmpfs (/dev/shm) where that is, but for the series durability, which is on the disk of the
temporary directory: tmpfs has nothing to sync."""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, CLIENT, SERVER, ScriptCluster, environment  # noqa: E402
from report import CpuMeter, Results, cpu_seconds, finish, machine  # noqa: E402,F401

COUNT = 3
CLIENTS = 256
VALUE = 100
WARMUP = 0.5
# The server's own defaults, not the tests'.
DEFAULTS = ("--heartbeat-ms", "20", "--view-change-ms", "120")
SERIES = ("sessions", "durability", "operations", "values")
PLOTS = (("sessions", "clients", "sessions"), ("values", "value_size", "bytes of a value"))


def floor(clients, seconds, replicas=COUNT):
    out = subprocess.run([str(BUILD / "floor"), "-j", "-s", str(seconds), "-b", str(replicas - 1),
                          str(clients)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def flood(cluster, clients, seconds, value_size, mix=100, warmup=WARMUP, extra=()):
    """One measurement; CPU per operation by /proc, of the measured part only."""
    meter = CpuMeter(cluster.pids().values())
    done = subprocess.run(
        [CLIENT, "--cluster", cluster.addresses, "--json", "flood", "--clients", str(clients),
         "--duration", str(seconds), "--value-size", str(value_size), "--mix", str(mix),
         "--warmup", str(warmup), *extra],
        check=True, capture_output=True, text=True, env=environment())
    servers, client = meter.read()
    result = json.loads(done.stdout.splitlines()[-1])
    ops = max(result["ops"], 1)
    # The warm-up costs CPU too, at the same rate.
    part = seconds / (seconds + warmup)
    result["cpu_us_per_op"] = (servers + client) * 1e6 / ops * part
    result["replicas_cpu_us_per_op"] = servers * 1e6 / ops * part
    result["p50_us"] = result["latency_us"]["p50"]
    result["p99_us"] = result["latency_us"]["p99"]
    return result


@contextlib.contextmanager
def data_in(directory):
    """Clusters that are started meanwhile have their data there."""
    before = tempfile.tempdir
    tempfile.tempdir = directory
    try:
        yield
    finally:
        tempfile.tempdir = before


def tmpfs():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


def read_modes(wanted):
    """Those that this server takes; None stands for a server without a choice."""
    def takes(mode):
        # Only a wrong value is complained about by name; the directory is not there in any case.
        done = subprocess.run([SERVER, "start", "--data-dir", "/nonexistent/vr-bench", "--reads", mode],
                              capture_output=True, text=True, env=environment())
        return "--reads" not in done.stderr
    return [mode for mode in wanted if takes(mode)] or [None]


def cluster_of(replicas, durability, reads=None):
    flags = [*DEFAULTS, "--durability", durability]
    return contextlib.closing(
        ScriptCluster(replicas, *flags, *(["--reads", reads] if reads else [])))


class Bench:
    def __init__(self, options):
        self.options = options
        self.results = Results()
        self.clients = [int(word) for word in options.clients.split(",")]

    def take(self, series, cluster, replicas, durability, clients, operation="SET", mix=100,
             value_size=VALUE, reads=None):
        row = {"series": series, "system": "viewstamp", "replicas": replicas,
               "durability": durability, "operation": operation, "reads": reads,
               "value_size": value_size, "clients": clients}
        self.results.add(row, flood(cluster, clients, self.options.seconds, value_size, mix))
        self.say(row)

    def say(self, row):
        if sys.stderr.isatty():
            print(" ".join(str(value) for value in row.values() if value is not None),
                  file=sys.stderr)

    def sessions(self):
        for replicas in (3, 5):
            for clients in self.clients:
                measured = floor(clients, self.options.seconds, replicas)
                self.results.add({"series": "sessions", "system": "floor", "replicas": replicas,
                                  "durability": None, "operation": None, "reads": None,
                                  "value_size": 64, "clients": clients}, measured)
            with cluster_of(replicas, "async") as cluster:
                for clients in self.clients:
                    self.take("sessions", cluster, replicas, "async", clients)

    def durability(self):
        with data_in(self.options.disk):
            for durability in ("memory", "async", "sync"):
                with cluster_of(COUNT, durability) as cluster:
                    for clients in sorted({self.clients[0], self.clients[-1]}):
                        self.take("durability", cluster, COUNT, durability, clients)

    def operations(self):
        clients = min(CLIENTS, self.clients[-1])
        for reads in read_modes(self.options.reads.split(",")):
            with cluster_of(COUNT, "async", reads) as cluster:
                for operation, mix in (("SET", 100), ("half", 50), ("GET", 0)):
                    self.take("operations", cluster, COUNT, "async", clients, operation, mix,
                              reads=reads)

    def values(self):
        clients = min(64, self.clients[-1])
        with cluster_of(COUNT, "async") as cluster:
            for size in (16, 256, 4096, 65536):
                self.take("values", cluster, COUNT, "async", clients, value_size=size)

    def run(self):
        for _ in range(self.options.turns):
            for series in self.options.series.split(","):
                with data_in(tmpfs()):
                    getattr(self, series)()


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--series", default=",".join(SERIES))
    parser.add_argument("--clients", default="1,16,64,256,1024")
    parser.add_argument("--reads", default="log,quorum,lease")
    parser.add_argument("--disk", default=tempfile.gettempdir(), help="for the series durability")
    parser.add_argument("--out", default=str(BUILD / "bench"))
    parser.add_argument("--quick", action="store_true", help="one turn of one second each")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.seconds = 1, min(options.seconds, 1)
    unknown = set(options.series.split(",")) - set(SERIES)
    if unknown:
        parser.error(f"no such series: {', '.join(unknown)}")
    return options


def main():
    options = parse()
    bench = Bench(options)
    bench.run()
    finish(bench.results, options.out,
           f"viewstamp: medians of {options.turns} turns of {options.seconds:g} s", PLOTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
