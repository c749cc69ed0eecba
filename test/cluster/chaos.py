# SPDX-License-Identifier: Apache-2.0
"""Everything at once, on real processes; ends with "chaos: N passed, N failed".

    test/cluster/chaos.py [--minutes M] [--seed S] [--seconds T] [--jobs N]

Episodes of T seconds (30), M minutes of them altogether, the first with seed S (1), the next with
S + 1, ...: six in a row are 3 and 5 replicas in all modes of durability. The seed decides what is
done and in which order; who is the primary then, and what meets what, it cannot.

An episode is rounds. In each the network is bad (relay.c), something happens to processes, disks or
files, and all is made whole again; then the service must be back, nobody may have ended unasked, and
the group must come together. Independent processes write down what clients saw, which must be
linearizable in the end, and no replica may have more descriptors, threads or memory than it began
with. In mode memory, and wherever a replica may have forgotten, at most f are struck at once.

Of an episode that fails, what was done is printed, and data, logs and histories stay in
BUILD/chaos/seed-S. `--seed S --minutes 0.5` does the same again."""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

import runner
from harness import BUILD, EXIT_IO, EXIT_OK, ClusterTest, wait_until
from test_disk_faults import FaultyCluster
from test_history import EXIT_LINEARIZABLE, Recorders, check

EPISODES = [(count, mode) for mode in ("memory", "async", "sync") for count in (3, 5)]
SMALL = ("--log-retain", "100", "--log-memory-max", str(32 * 1024 * 1024))
OFTEN = ("--checkpoint-interval", "300")

# A quiet machine needs less than 5 s; what it took is printed.
SERVICE_SECONDS = 60
MORE_DESCRIPTORS = 4
MORE_MEMORY = 128 * 1024 * 1024  # four times what the log may take (SMALL); a client table, a store

DISK_ORDERS = ("write /log. 1 1 EIO", "write /log. 3 - EIO", "sync /log. 1 1 EIO",
               "write /log. 2 - ENOSPC", "reserve /log. 1 - ENOSPC", "write /replica- 1 - short",
               "write /log. 1 1 kill", "write /checkpoint 1 - EIO", "write /checkpoint 1 - ENOSPC",
               "sync /checkpoint 1 - EIO", "sync /replica- 2 2 EIO")


def draw_network(rng, count):
    """Orders to the relay: some of them for all links, some for one."""
    kinds = (lambda: ("loss", rng.choice((2, 10, 30))), lambda: ("duplicate", rng.choice((5, 20, 50))),
             lambda: ("delay", rng.randint(0, 4), rng.randint(1, 12)),
             lambda: ("corrupt", rng.choice((1, 5))),
             lambda: ("mutate", 5), lambda: ("forge", 5), lambda: ("limit", rng.choice((600, 1400))),
             lambda: ("cut",))
    orders = []
    for _ in range(rng.randint(0, 4)):
        verb, *values = rng.choice(kinds)()
        link = ("*", "*") if rng.random() < 0.5 else tuple(rng.sample(range(count), 2))
        if verb in ("cut", "limit") and link[0] == "*":  # not a bad network, but none
            link = tuple(rng.sample(range(count), 2))
        orders.append((verb, *link, *values))
    return orders


def draw_fault(rng, count, mode):
    """(kind, victims, what else it needs); victim None: who is the primary then."""
    most = (count - 1) // 2
    some = rng.sample(range(count), rng.randint(1, most))
    one = [rng.choice((None, rng.randrange(count)))]
    kinds = [lambda: ("kill", some, None), lambda: ("kill", [None], None),
             lambda: ("pause", one, rng.choice((0.2, 0.5, 1, 2, 10))),
             lambda: ("cut", one, rng.choice(("in", "out", "both"))),
             lambda: ("disk", some, rng.choice(DISK_ORDERS))]
    if mode != "memory":
        kinds += [lambda: ("kill", rng.sample(range(count), most + 1), None),
                  lambda: ("kill", list(range(count)), None),
                  lambda: ("damage", some,
                           (rng.choice(("flip", "flip", "truncate", "older")), rng.random()))]
    return rng.choice(kinds)()


def resources(pid):
    """(descriptors, threads, bytes of memory) of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return (len(os.listdir(f"/proc/{pid}/fd")), int(re.search(r"Threads:\s+(\d+)", status)[1]),
            int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024)


class ChaosCluster(FaultyCluster):
    def __init__(self, count, mode, seed):
        self.relay_options = ("--seed", str(seed))
        super().__init__(count, "--durability", mode, *SMALL, init_all=OFTEN)

    def running(self):
        return [i for i, server in enumerate(self.servers) if server is not None and server.poll() is None]

    def op_of(self, i):
        return self.replica(i).get("op") or 0


class Episode(ClusterTest):
    def __init__(self, seed, seconds):
        super().__init__("episode")
        self.seed, self.seconds = seed, seconds
        self.count, self.mode = EPISODES[seed % len(EPISODES)]
        self.kept = BUILD / "chaos" / f"seed-{seed}"
        self.said, self.slowest, self.rounds = [], 0, 0
        self.more_histories = []
        self.happened = collections.Counter()

    def id(self):
        return str(self)

    def __str__(self):
        return f"seed {self.seed}, {self.count} replicas, {self.mode}"

    def say(self, text):
        self.said.append(f"{time.monotonic() - self.began:7.2f} s  {text}")

    def episode(self):
        self.began = time.monotonic()
        self.rng = random.Random(self.seed)
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.c = None
        try:
            self.c = self.keep(ChaosCluster(self.count, self.mode, self.seed))
            self.storm(self.c)
        except Exception as error:
            raise AssertionError(f"{error}\n\n{self}; what was done:\n" + "\n".join(self.said) +
                                 f"\n\n{self.keep_all()}") from error
        print(f"    seed {self.seed}: {self.rounds} rounds, {dict(self.happened)}; {self.judged}; service "
              f"was back after at most {self.slowest:.1f} s", flush=True)

    def keep_all(self):
        """Data, logs and histories for whoever looks for the cause; says where."""
        kept = self.kept
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.directory, kept / "histories")
        if self.c is not None:
            with contextlib.suppress(shutil.Error):  # files that go while they are copied
                shutil.copytree(self.c.directory, kept / "replicas")
        (kept / "schedule").write_text("\n".join(self.said) + "\n")
        return f"data, logs and histories are in {kept}"

    def storm(self, c):
        recorders = Recorders(c, self.directory, self.seed)
        self.addCleanup(recorders.close)
        wait_until(lambda: recorders.answered() > 100, "clients at work")
        self.first = [resources(c.servers[i].pid) for i in range(c.count)]
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            network, fault = draw_network(self.rng, c.count), draw_fault(self.rng, c.count, self.mode)
            calm = self.rng.uniform(0, 0.5)
            self.one_round(c, network, fault)
            time.sleep(calm)
            self.rounds += 1
            if self.rounds == 2:
                recorders.kill_one()
        answered = recorders.answered()
        wait_until(lambda: recorders.answered() > answered, "clients served after all that")
        self.assertEqual(recorders.finish()[1:], [0, 0])
        c.wait_equal()
        for i in range(c.count):
            self.no_more_than_at_first(c, i)
        done = check(*recorders.paths, *self.more_histories)
        self.judged = done.stdout.strip()
        self.assertEqual(done.returncode, EXIT_LINEARIZABLE, done.stdout + done.stderr)

    def one_round(self, c, network, fault):
        kind, victims, how = fault
        if None in victims:
            victims = [c.primary()]
        self.happened[f"{kind} {how[0]}" if kind == "damage" else kind] += 1
        self.say(f"network {network}; {kind} {victims} {how if how is not None else ''}")
        for order in network:
            c.order(*order)
        getattr(self, kind)(c, victims, how)
        c.heal()
        self.ended_unasked(c, victims if kind in ("disk", "damage") else ())
        for i in range(c.count):
            if c.servers[i] is None or c.servers[i].poll() is not None:
                c.start(i)
        self.service_is_back(c)
        self.all_normal(c, victims if kind == "damage" else ())

    def service_is_back(self, c):
        began = time.monotonic()
        done = c.client("set", "chaos", str(self.rounds), timeout_ms=SERVICE_SECONDS * 1000)
        seconds = time.monotonic() - began
        self.assertEqual(done.returncode, EXIT_OK,
                         f"no service {seconds:.0f} s after all was healed: {done.stderr}")
        self.slowest = max(self.slowest, seconds)
        self.say(f"service after {seconds:.2f} s")

    def ended_unasked(self, c, may_stop):
        for i, server in enumerate(c.servers):
            if server is None or (code := server.poll()) is None:
                continue
            expected = (EXIT_IO, -signal.SIGKILL) if i in may_stop else ()
            self.assertIn(code, expected, f"replica {i} ended, status {code}:\n{c.log(i)[-3000:]}")

    def all_normal(self, c, refusing):
        """Those that do not start with what is left of their files are told to forget it."""
        def normal():
            for i in range(c.count):
                if c.servers[i].poll() is not None:
                    self.ended_unasked(c, refusing)
                    self.happened["rebuild"] += 1
                    self.say(f"replica {i} refuses its files: --rebuild")
                    c.start(i, "--rebuild")
            replicas = c.status()["replicas"]
            return all(r["status"] == "normal" for r in replicas)
        wait_until(normal, "status normal of all")
        self.say("all are normal")

    def no_more_than_at_first(self, c, i):
        def settled():
            now = resources(c.servers[i].pid)
            bounds = [max(column) + more for column, more in
                      zip(zip(*self.first), (MORE_DESCRIPTORS, 0, MORE_MEMORY))]
            return all(have <= bound for have, bound in zip(now, bounds))
        wait_until(settled, f"replica {i} no larger than {self.first[i]} (descriptors, threads, bytes)", 30)

    # --- what happens ---

    def kill(self, c, victims, _):
        for i in victims:
            c.kill(i)
        if len(victims) <= (c.count - 1) // 2:
            time.sleep(self.rng.uniform(0.1, 1))

    def pause(self, c, victims, seconds):
        for i in victims:
            c.servers[i].send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for i in victims:
                c.servers[i].send_signal(signal.SIGCONT)

    def cut(self, c, victims, ways):
        for i in victims:
            for way, link in (("in", ("*", i)), ("out", (i, "*"))):
                if ways in (way, "both"):
                    c.order("cut", *link)
        time.sleep(self.rng.uniform(0.2, 2))

    def disk(self, c, victims, order):
        for i in victims:
            c.faults(i, order)
        time.sleep(self.rng.uniform(0.2, 1.5))
        for i in victims:
            c.faults(i)

    def damage(self, c, victims, how):
        """Of files of replicas that do not run; what those had reported, all others have meanwhile."""
        what, where = how
        c.heal()
        if what == "older":
            self.forget_a_while(c, victims)
            return
        head = self.stop_when_others_have_all(c, victims)
        for i in victims:
            files = sorted(p for p in c.data(i).iterdir() if p.is_file() and p.stat().st_size > 0 and
                           p.name != "LOCK")
            path = files[int(where * len(files))]
            at = int(where * 7919 % 1 * path.stat().st_size)
            self.say(f"{what} {path.name} of replica {i} at {at}")
            if what == "truncate":
                os.truncate(path, at)
            else:
                with open(path, "r+b") as file:
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1 << int(where * 104729) % 8]))
        self.comes_back(c, victims, head)

    def stop_when_others_have_all(self, c, victims):
        for i in victims:
            c.kill(i)
        others = [i for i in range(c.count) if i not in victims]
        head = max(c.op_of(i) for i in others)
        wait_until(lambda: all(c.op_of(i) >= head for i in others), "the others have all")
        return head

    def forget_a_while(self, c, victims):
        self.stop_when_others_have_all(c, victims)
        for i in victims:
            shutil.copytree(c.data(i), os.path.join(c.directory, f"older-{i}"))
            c.start(i)
        self.all_normal(c, ())
        time.sleep(self.rng.uniform(0.5, 2))
        head = self.stop_when_others_have_all(c, victims)
        for i in victims:
            shutil.rmtree(c.data(i))
            shutil.move(os.path.join(c.directory, f"older-{i}"), c.data(i))
        self.comes_back(c, victims, head)

    def comes_back(self, c, victims, head):
        """Before anybody else is struck: until then each of them counts as failed."""
        for i in victims:
            c.start(i)
        self.all_normal(c, victims)
        wait_until(lambda: all(c.op_of(i) >= head for i in victims), f"op {head} where files were damaged")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30, help="of an episode")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    count = max(1, round(options.minutes * 60 / options.seconds))
    suite = unittest.TestSuite(Episode(options.seed + n, options.seconds) for n in range(count))
    return runner.run(suite, options.jobs,
                      lambda report: f"chaos: {report.passed} passed, {report.failed} failed")


if __name__ == "__main__":
    sys.exit(main())
