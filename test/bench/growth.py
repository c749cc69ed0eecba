# SPDX-License-Identifier: Apache-2.0
"""Whether an update costs more as a group grows: by keys, by sessions, by the time it has been up.

    test/bench/growth.py [--keys 10000,5000000] [--sessions 256,10000] [--minutes 15] [--turns 5]
                         [--seconds 10] [--out DIR] [--quick]

CPU per update is of all processes. For each number of keys the store is filled first (three sets for
each key, at random: 95 % of them exist then); the turns of all go round. The last part floods one
group for so many minutes and shows each minute's CPU per update."""

import argparse
import contextlib
import csv
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, CLIENT, environment  # noqa: E402
from report import Results, finish, plot_lines  # noqa: E402
from run import CLIENTS, VALUE, cluster_of, data_in, flood, tmpfs  # noqa: E402


def row_of(series, clients, keys):
    return {"series": series, "system": f"viewstamp, {keys:,} keys", "replicas": 3,
            "durability": "async", "operation": "SET", "value_size": VALUE, "clients": clients,
            "keys": keys}


def fill(cluster, keys):
    """However long it takes."""
    subprocess.run(
        [CLIENT, "--cluster", cluster.addresses, "--json", "flood", "--mix", "100", "--clients",
         str(CLIENTS), "--key-count", str(keys), "--count", str(3 * keys), "--value-size",
         str(VALUE)], check=True, stdout=subprocess.DEVNULL, env=environment())


def by_keys(results, options):
    with contextlib.ExitStack() as stack:
        clusters = {}
        for keys in options.keys:
            clusters[keys] = stack.enter_context(cluster_of(3, "async"))
            fill(clusters[keys], keys)
        for _ in range(options.turns):
            for keys, cluster in clusters.items():
                results.add(row_of("keys", CLIENTS, keys),
                            flood(cluster, CLIENTS, options.seconds, VALUE,
                                  extra=["--key-count", str(keys)]))


def by_sessions(results, options):
    with cluster_of(3, "async") as cluster:
        for _ in range(options.turns):
            for sessions in options.sessions:
                results.add(row_of("many-sessions", sessions, 1000),
                            flood(cluster, sessions, options.seconds, VALUE))


def by_uptime(options):
    """(minutes, us per update) for each part of the time."""
    path = options.out / "uptime-seconds.csv"
    with cluster_of(3, "async") as cluster:
        flood(cluster, CLIENTS, options.minutes * 60, VALUE, extra=["--csv", str(path)])
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["replicas_cpu"] and int(row["ops"]) > 0]
    parts = max(1, min(len(rows) // 5, 60))
    points = []
    for i in range(parts):
        part = rows[len(rows) * i // parts:len(rows) * (i + 1) // parts]
        if part:
            cpu = sum((float(row["replicas_cpu"]) + float(row["flood_cpu"])) * float(row["seconds"])
                      for row in part)
            points.append((float(part[-1]["time_s"]) / 60,
                           1e6 * cpu / sum(int(row["ops"]) for row in part)))
    return points


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--keys", type=numbers, default="10000,5000000")
    parser.add_argument("--sessions", type=numbers, default="256,10000")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--out", type=pathlib.Path, default=BUILD / "bench-growth")
    parser.add_argument("--quick", action="store_true", help="small numbers, a second of each")
    options = parser.parse_args()
    if options.quick:
        options.keys, options.sessions = [1000, 10000], [16, 256]
        options.turns, options.seconds, options.minutes = 1, 1, 0.15
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results()
    with data_in(tmpfs()):
        by_keys(results, options)
        by_sessions(results, options)
        uptime = by_uptime(options)
    finish(results, options.out, f"growth: medians of {options.turns} turns of {options.seconds:g} s",
           [("keys", "keys", "keys"), ("many-sessions", "clients", "sessions")])
    plot_lines(options.out / "uptime.png", "CPU per update while a group runs",
               {"x": "minutes", "panels": [("CPU us per update", {"all processes": uptime})]},
               log_x=False)
    if uptime:
        print(f"\nuptime: {uptime[0][1]:.1f} us per update at first, {uptime[-1][1]:.1f} at the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
