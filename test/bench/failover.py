# SPDX-License-Identifier: Apache-2.0
"""How long a group is away when its primary dies under load; and whether views change needlessly.

    test/bench/failover.py [--runs 50] [--replicas 3] [--clients 64] [--heartbeat-ms 20,5]
                           [--calm-minutes 15] [--out DIR] [--quick]

Each run: a flood is under way, the primary is killed (SIGKILL), and what counts is the longest time
without any acknowledged write from then on: from the last answer of the old primary to the first of
the next one. The killed replica comes back before the next run. Then a flood alone, for as long as
--calm-minutes says: views that begin in it were needless."""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, CLIENT, ScriptCluster, environment, wait_until  # noqa: E402
from report import gnuplot, machine, quote  # noqa: E402
from run import data_in, tmpfs  # noqa: E402

SETTLE_SECONDS = 0.5
VIEW_CHANGE_HEARTBEATS = 6  # as by default
PATIENCE_SECONDS = 60


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, (len(ordered) * percent + 99) // 100 - 1 if percent else 0)]


def start_flood(cluster, clients, seconds):
    return subprocess.Popen(
        [CLIENT, "--cluster", cluster.addresses, "--timeout", "30000", "--json", "flood", "--mix",
         "100", "--clients", str(clients), "--duration", str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment())


def finish_flood(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return json.loads(out.splitlines()[-1])


def op(cluster):
    return max(replica.get("op") or 0 for replica in cluster.status()["replicas"])


def one_run(cluster, clients):
    """Milliseconds without a service."""
    cluster.wait_normal()
    primary = cluster.primary()
    process = start_flood(cluster, clients, 600)
    try:
        before = op(cluster)
        wait_until(lambda: op(cluster) > before + 1000, "the flood under way")
        time.sleep(SETTLE_SECONDS)
        os.kill(cluster.pids()[primary], signal.SIGKILL)
        cluster.other_primary(primary)
        time.sleep(SETTLE_SECONDS)
        result = finish_flood(process)
    finally:
        process.kill()
        process.communicate()
    cluster.restart(primary)
    return result["longest_gap_ms"]


def calm(cluster, clients, seconds):
    """Views that began in that time, and how much was done."""
    cluster.wait_normal()
    before = cluster.status()["view"]
    result = finish_flood(flood_to_its_end(cluster, clients, seconds))
    return cluster.status()["view"] - before, result


def flood_to_its_end(cluster, clients, seconds):
    process = start_flood(cluster, clients, seconds)
    time.sleep(seconds)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_SECONDS)
    return process


def flags_of(heartbeat_ms):
    return ["--heartbeat-ms", str(heartbeat_ms), "--view-change-ms",
            str(VIEW_CHANGE_HEARTBEATS * heartbeat_ms)]


def draw(directory, gaps):
    script = ""
    for i, values in enumerate(gaps.values()):
        script += f"$d{i} << END\n" + "".join(
            f"{gap} {100 * (rank + 1) / len(values)}\n"
            for rank, gap in enumerate(sorted(values))) + "END\n"
    lines = ", ".join(f"$d{i} with steps linewidth 2 title {quote(f'heartbeat {name} ms')}"
                      for i, name in enumerate(gaps))
    gnuplot(pathlib.Path(directory, "failover.png"),
            script + "set xlabel 'milliseconds without an acknowledged write'\n"
            "set ylabel '% of runs'\nset yrange [0:100]\nset xrange [0:*]\nset key bottom right\n"
            f"plot {lines}\n")


def measure(heartbeat_ms, options):
    flags = [*flags_of(heartbeat_ms), "--durability", options.durability]
    with contextlib.closing(ScriptCluster(options.replicas, *flags)) as cluster:
        gaps = [one_run(cluster, options.clients) for _ in range(options.runs)]
        views, result = calm(cluster, options.clients, options.calm_minutes * 60)
    print(f"| {heartbeat_ms} | {len(gaps)} | {min(gaps):.0f} | {percentile(gaps, 50):.0f} "
          f"| {percentile(gaps, 90):.0f} | {percentile(gaps, 99):.0f} | {max(gaps):.0f} "
          f"| {views} in {options.calm_minutes:g} min at {result['ops_per_second']:,.0f} ops/s |",
          flush=True)
    return gaps


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--durability", default="async")
    parser.add_argument("--heartbeat-ms", default="20,5")
    parser.add_argument("--calm-minutes", type=float, default=15)
    parser.add_argument("--out", default=str(BUILD / "bench-failover"))
    parser.add_argument("--quick", action="store_true", help="three runs, and a calm of 6 seconds")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.calm_minutes = min(options.runs, 3), 0.1
    directory = pathlib.Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    print(f"machine: {machine()}; {time.strftime('%Y-%m-%d')}\n{options.replicas} replicas, "
          f"{options.durability}, {options.clients} clients; milliseconds without a service\n")
    print("| heartbeat ms | kills | least | median | p90 | p99 | most | views without a kill |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    gaps = {}
    with data_in(tmpfs()):
        for heartbeat_ms in options.heartbeat_ms.split(","):
            gaps[heartbeat_ms] = measure(int(heartbeat_ms), options)
    with open(directory / "failover.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["heartbeat_ms", "run", "gap_ms"])
        for name, values in gaps.items():
            writer.writerows([name, run, f"{gap:.1f}"] for run, gap in enumerate(values))
    draw(directory, gaps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
