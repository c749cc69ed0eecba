# SPDX-License-Identifier: Apache-2.0
"""Throughput and latency of flood on 3 replicas, and the floor of this machine, in the same run.

    test/bench/run.py [--seconds 5] [--value-size 64] [--clients 1,16,64,256]

Prints a table for docs/performance.md. CPU per operation is what all processes took, the client's
included, divided by the operations: four processes on either side (client, primary, two backups)."""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD, CLIENT, ScriptCluster, environment  # noqa: E402

COUNT = 3


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def floor(clients, seconds):
    out = subprocess.run([str(BUILD / "floor"), "-j", "-s", str(seconds), str(clients)],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def flood(cluster, clients, seconds, value_size):
    pids = cluster.pids().values()
    before = sum(map(cpu_seconds, pids))
    children = os.times()
    done = subprocess.run(
        [CLIENT, "--cluster", cluster.addresses, "--json", "flood", "--clients", str(clients),
         "--duration", str(seconds), "--value-size", str(value_size), "--mix", "100",
         "--warmup", "1"],
        check=True, capture_output=True, text=True, env=environment())
    after = os.times()
    result = json.loads(done.stdout.splitlines()[-1])
    cpu = sum(map(cpu_seconds, pids)) - before + (
        after.children_user + after.children_system
        - children.children_user - children.children_system)
    # The warm-up second costs CPU too, at the same rate.
    result["cpu_us_per_op"] = cpu * 1e6 / result["ops"] * seconds / (seconds + 1)
    return result


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--value-size", type=int, default=64)
    parser.add_argument("--clients", default="1,16,64,256")
    options = parser.parse_args()
    print(f"machine: {machine()}")
    print(f"{COUNT} replicas, durability memory, set of {options.value_size} bytes, "
          f"{options.seconds:g} s each, {time.strftime('%Y-%m-%d')}\n")
    print("| clients | floor ops/s | flood ops/s | ratio | floor CPU us/op | flood CPU us/op "
          "| p50 us | p99 us | p99.9 us | floor p50 us |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    cluster = ScriptCluster(COUNT, "--durability", "memory")
    try:
        for clients in map(int, options.clients.split(",")):
            base = floor(clients, options.seconds)
            real = flood(cluster, clients, options.seconds, options.value_size)
            latency = real["latency_us"]
            print(f"| {clients} | {base['ops_per_second']:,.0f} | {real['ops_per_second']:,.0f} "
                  f"| {real['ops_per_second'] / base['ops_per_second']:.2f} "
                  f"| {base['cpu_us_per_op']:.1f} | {real['cpu_us_per_op']:.1f} "
                  f"| {latency['p50']:.0f} | {latency['p99']:.0f} | {latency['p99.9']:.0f} "
                  f"| {base['p50_us']:.0f} |", flush=True)
    finally:
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
