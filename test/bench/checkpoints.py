# SPDX-License-Identifier: Apache-2.0
"""What checkpoints are for: a start, a replica that was away, and a service that runs for years.

    test/bench/checkpoints.py [--keys 1000000] [--away 2000000] [--ops 20000000] [--durability async]

One group of three, all defaults. First the keys are written, and every replica is killed and started
again. Then a replica is killed, so many operations pass, and it is started while the flood goes on: how
long until it lags no more, and what that costs the flood; and, some times over, how long clients wait while it pulls
a checkpoint, and did before. Then the flood goes on until so many
operations have passed in all, while memory and disk of each replica are watched."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import CLIENT, ScriptCluster, environment, wait_until  # noqa: E402
from run import COUNT, machine  # noqa: E402

AWAY = 2
LONG = 24 * 3600
BIT_SECONDS = 0.5
PIN_SECONDS = 75  # what followed the last checkpoint that was pulled is in the log no longer (K2: 60 s)
MIB = 1024 * 1024


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def disk(cluster, i):
    directory = pathlib.Path(cluster.directory, f"replica-{i}")
    total = 0
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def head(cluster):
    return max(r.get("op") or 0 for r in cluster.status()["replicas"])


def lag(cluster, i):
    replica = cluster.replica(i)
    if replica["status"] != "normal":
        return None
    return head(cluster) - (replica.get("commit") or 0)


@contextlib.contextmanager
def flood(cluster, keys):
    """Writes as long as the body runs. Nothing is read back: that is test/cluster's business."""
    process = subprocess.Popen(
        [CLIENT, "--cluster", cluster.addresses, "--timeout", "60000", "flood", "--clients", "64",
         "--mix", "100", "--key-count", str(keys), "--duration", str(LONG)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment())
    try:
        yield
        if process.poll() is not None:
            raise SystemExit(f"the flood ended by itself, exit {process.returncode}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def wait_for(condition, what):
    return wait_until(condition, what, LONG)


def restart(cluster):
    """Seconds until every replica is normal again, after all were killed."""
    for i in range(COUNT):
        cluster.kill(i)
    began = time.monotonic()
    cluster.run("start")
    cluster.wait_normal()
    return time.monotonic() - began


class Rate:
    """Operations a second: on the whole, and of each bit of time."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.first = self.last = (time.monotonic(), head(cluster))
        self.bits = []

    def sample(self):
        now = (time.monotonic(), head(self.cluster))
        if now[0] - self.last[0] >= BIT_SECONDS:
            self.bits.append((now[1] - self.last[1]) / (now[0] - self.last[0]))
            self.last = now
        self.whole = (now[1] - self.first[1]) / (now[0] - self.first[0])


def catch_up(cluster, keys, away):
    """(seconds, Rate while it was away, Rate meanwhile)"""
    cluster.kill(AWAY)
    goal = head(cluster) + away
    before = Rate(cluster)

    def passed():
        before.sample()
        return head(cluster) >= goal

    with flood(cluster, keys):
        wait_for(passed, f"{away} operations")
        meanwhile = Rate(cluster)
        began = time.monotonic()
        starting = threading.Thread(target=cluster.restart, args=(AWAY,))
        starting.start()  # it returns when the replica is normal: that may take all of the time

        def level():
            meanwhile.sample()
            behind = lag(cluster, AWAY)
            return behind is not None and behind < 10000

        wait_for(level, "the replica that was away")
        seconds = time.monotonic() - began
        starting.join()
    return seconds, before, meanwhile


class Probes(threading.Thread):
    """Floods of a second each, one behind the other, that say how long a client waited: as many clients as
    flood() has. [(began, ended, p50 us, p99 us, ops/s)]"""

    def __init__(self, cluster, keys):
        super().__init__()
        self.command = [CLIENT, "--cluster", cluster.addresses, "--timeout", "60000", "flood", "--json",
                        "--clients", "64", "--mix", "100", "--key-count", str(keys), "--duration", "1"]
        self.done = threading.Event()
        self.found = []

    def run(self):
        while not self.done.is_set():
            began = time.monotonic()
            result = subprocess.run(self.command, stdin=subprocess.DEVNULL, capture_output=True,
                                    env=environment())
            if result.returncode == 0:
                report = json.loads(result.stdout)
                self.found.append((began, time.monotonic(), report["latency_us"]["p50"],
                                   report["latency_us"]["p99"], report["ops_per_second"]))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def within(found, began, ended):
    """The probes that lie in this time with at least half of theirs."""
    return [p for p in found if min(p[1], ended) - max(p[0], began) >= (p[1] - p[0]) / 2]


def transfer(cluster, keys, away, rounds):
    """([probes before], [probes during a transfer], [seconds of each], MiB of a checkpoint): a transfer is
    the time in which the replica that was away has a file of what it pulls."""
    before, during, seconds, size = [], [], [], 0
    pulled = pathlib.Path(cluster.directory, f"replica-{AWAY}", "checkpoint.pull")
    for i in range(rounds):
        cluster.kill(AWAY)
        pulled.unlink(missing_ok=True)
        goal = head(cluster) + away
        free = time.monotonic() + (PIN_SECONDS if i > 0 else 0)
        with Probes(cluster, keys) as probes:
            wait_for(lambda: head(cluster) >= goal and time.monotonic() > free, f"{away} operations")
            killed = time.monotonic()
            starting = threading.Thread(target=cluster.restart, args=(AWAY,))
            starting.start()
            wait_until(pulled.exists, "a transfer")
            began = time.monotonic()
            wait_until(lambda: not pulled.exists(), "its end", LONG)
            ended = time.monotonic()
            starting.join()
            wait_for(lambda: (lag(cluster, AWAY) or away) < 10000, "the replica that was away")
        before += within(probes.found, 0, killed)[1:]
        during += within(probes.found, began, ended)
        seconds.append(ended - began)
        size = max((p.stat().st_size for p in pulled.parent.glob("checkpoint.*")), default=0)
    return before, during, seconds, size / MIB


def middle(probes, field):
    return statistics.median(p[field] for p in probes) if probes else float("nan")


def print_transfer(before, during, seconds, size):
    p99 = [p[3] for p in before]
    print(f"a checkpoint of {size:,.0f} MiB, pulled in {', '.join(f'{s:.1f}' for s in seconds)} s; clients "
          f"meanwhile, {len(during)} floods of a second: p50 {middle(during, 2):,.0f} us, p99 "
          f"{middle(during, 3):,.0f} us, {middle(during, 4):,.0f} ops/s; before, {len(before)} floods: p50 "
          f"{middle(before, 2):,.0f} us, p99 {middle(before, 3):,.0f} us ({min(p99):,.0f} to {max(p99):,.0f}), "
          f"{middle(before, 4):,.0f} ops/s; p99 is {middle(during, 3) / middle(before, 3):.2f} of what it was "
          "(medians; at most 2 is the goal)", flush=True)


def endless(cluster, keys, ops):
    """(largest resident set, largest data directory, seconds)"""
    most_memory = most_disk = 0
    began = time.monotonic()
    with flood(cluster, keys):
        while head(cluster) < ops:
            most_memory = max(most_memory, *map(resident, cluster.pids().values()))
            most_disk = max(most_disk, *(disk(cluster, i) for i in range(COUNT)))
            time.sleep(0.5)
    return most_memory, most_disk, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--away", type=int, default=2000000)
    parser.add_argument("--ops", type=int, default=20000000)
    parser.add_argument("--transfers", type=int, default=5)
    parser.add_argument("--transfers-only", action="store_true", help="what clients notice of them, nothing else")
    parser.add_argument("--durability", default="async")
    options = parser.parse_args()
    print(f"machine: {machine()}\n{COUNT} replicas, durability {options.durability}, {options.keys:,} keys of "
          f"64 bytes, {time.strftime('%Y-%m-%d')}", flush=True)
    with contextlib.closing(ScriptCluster(COUNT, "--durability", options.durability)) as cluster:
        with flood(cluster, options.keys): # at random: three times as many leave out one in twenty
            wait_for(lambda: head(cluster) >= 3 * options.keys, "the keys")
        cluster.wait_equal()
        print_transfer(*transfer(cluster, options.keys, 500000, options.transfers))
        if options.transfers_only:
            return 0
        print(f"all killed and started again: normal after {restart(cluster):.1f} s", flush=True)
        seconds, before, meanwhile = catch_up(cluster, options.keys, options.away)
        print(f"away for {options.away:,} operations: level after {seconds:.1f} s; the flood made "
              f"{before.whole:,.0f} ops/s before (least half second {min(before.bits):,.0f}), "
              f"{meanwhile.whole:,.0f} meanwhile (least half second "
              f"{min(meanwhile.bits, default=meanwhile.whole):,.0f})", flush=True)
        memory, data, seconds = endless(cluster, options.keys, options.ops)
        print(f"{options.ops:,} operations in {seconds:.0f} s: at most {memory / MIB:,.0f} MiB of memory and "
              f"{data / MIB:,.0f} MiB of disk a replica", flush=True)
        print(f"all killed and started again: normal after {restart(cluster):.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
