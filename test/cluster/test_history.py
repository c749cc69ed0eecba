# SPDX-License-Identifier: Apache-2.0
"""Independent clients write down what they ask and what they are told, while replicas are killed and
stopped and the network between them is bad: the histories must be linearizable.

Who judges, build/check_history, knows nothing of logs and views; that it is no yes-man is tested
with histories that are falsified here."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

from harness import (BUILD, HEARTBEAT_MS, PATIENCE_SECONDS, ClusterTest, environment, takes_long,
                     wait_until)

HEADER = "viewstamp-history 1\n"
EXIT_LINEARIZABLE, EXIT_NOT_LINEARIZABLE, EXIT_NO_HISTORY = 0, 1, 2


def check(*paths):
    return subprocess.run([str(BUILD / "check_history"), *paths], capture_output=True, text=True,
                          timeout=PATIENCE_SECONDS)


class Recorders:
    """Processes of several clients each, and their files."""

    def __init__(self, group, directory, seed, processes=3, clients=4, keys=6):
        self.paths = [os.path.join(directory, f"history-{i}") for i in range(processes)]
        self.processes = [
            subprocess.Popen(
                [str(BUILD / "history_client"), "--cluster", group.addresses, "--file", path,
                 "--clients", str(clients), "--first-client", str(clients * i), "--keys", str(keys),
                 "--seed", str(seed)], stdin=subprocess.DEVNULL, env=environment())
            for i, path in enumerate(self.paths)]

    def answered(self):
        """How many operations have got their answer so far."""
        total = 0
        for path in self.paths:
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                total += sum(line.startswith("<") and " unknown" not in line for line in file)
        return total

    def kill_one(self):
        self.processes[0].kill()
        self.processes[0].wait()

    def finish(self):
        """Ends those that were not killed, and returns the exit codes of all."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        return [process.wait(PATIENCE_SECONDS) for process in self.processes]

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


class Falsified(ClusterTest):
    """What check_history says to histories that are wrong in one point each."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def write(self, *lines, header=HEADER, name="history"):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(header + "".join(line + "\n" for line in lines))
        return path

    RIGHT = ("> 0 1 10 set k a", "< 0 1 20 ok @2", "> 1 1 15 cas k a b", "< 1 1 30 ok @3",
             "> 0 2 40 get k", "< 0 2 50 ok b @4", "> 1 2 45 incr n 5", "< 1 2 60 unknown",
             "> 0 3 70 get n", "< 0 3 80 ok 5 @6", "> 1 3 75 del k", "< 1 3 85 failed",
             "> 0 4 90 set k c")

    def test_right(self):
        done = check(self.write(*self.RIGHT))
        self.assertEqual(done.returncode, EXIT_LINEARIZABLE, done.stdout + done.stderr)
        self.assertIn("7 operations on 2 keys, 2 of unknown outcome, 1 not executed", done.stdout)
        self.assertIn(": linearizable", done.stdout)

    def refused(self, old, new):
        self.assertIn(old, self.RIGHT)
        done = check(self.write(*(new if line == old else line for line in self.RIGHT)))
        self.assertEqual(done.returncode, EXIT_NOT_LINEARIZABLE, done.stdout + done.stderr)
        self.assertIn("NOT LINEARIZABLE: no order explains the ", done.stdout)
        self.assertIn(": not linearizable", done.stdout)
        return done.stdout

    def test_stale_read(self):
        said = self.refused("< 0 2 50 ok b @4", "< 0 2 50 ok a @4")
        self.assertIn("history, line 6:\n    > 0 2 40 get k\n    < 0 2 50 ok a @4\n", said)
        self.assertIn("What it holds there is by\n", said)
        self.assertIn("    > 1 1 15 cas k a b\n", said)

    def test_value_never_written(self):
        self.refused("< 0 2 50 ok b @4", "< 0 2 50 ok x @4")

    def test_effect_of_what_failed(self):
        self.refused("< 0 1 20 ok @2", "< 0 1 20 failed")

    def test_applied_twice(self):
        self.refused("< 0 3 80 ok 5 @6", "< 0 3 80 ok 10 @6")

    def test_effect_of_another_operation(self):
        self.refused("> 1 2 45 incr n 5", "> 1 2 45 incr n 6")

    def test_read_from_the_future(self):
        self.refused("> 0 4 90 set k c", "> 1 4 90 get k\n< 1 4 95 ok c\n> 0 4 96 set k c")

    def test_several_files_are_one_history(self):
        one = self.write("> 0 1 10 set k a", "< 0 1 20 ok", name="one")
        other = self.write("> 0 1 30 get k", "< 0 1 40 not_found", name="other")
        self.assertEqual(check(one).returncode, EXIT_LINEARIZABLE)
        self.assertEqual(check(other).returncode, EXIT_LINEARIZABLE)
        self.assertEqual(check(one, other).returncode, EXIT_NOT_LINEARIZABLE)

    def test_no_history(self):
        begun = "> 0 1 10 set k a"
        for lines, said in (((begun, "< 0 2 20 ok"), "line 3: this client has no such operation"),
                            ((begun, "< 0 1 9 ok"), "line 3: it ends before it began"),
                            ((begun, "< 0 1 20 ok a"), "line 3: no result of this operation"),
                            ((begun, begun), "line 3: this client's operation before"),
                            (("> 0 1 10 set k",), "line 2: no operation"),
                            (("> 0 1 ten get k",), "line 2: expected \"> CLIENT NUMBER NS"),
                            (("> 5000 1 10 get k",), "line 2: clients are numbered"),
                            (("= 0 1 10 get k",), "line 2: neither > nor <"),
                            (("> 0 1 10 get " + "k" * 2000,), "line 2: too long a line")):
            done = check(self.write(*lines))
            self.assertEqual(done.returncode, EXIT_NO_HISTORY, done.stdout)
            self.assertIn(said, done.stderr)
        done = check(self.write(header=""))
        self.assertEqual(done.returncode, EXIT_NO_HISTORY)
        self.assertIn("a history begins with \"viewstamp-history 1\"", done.stderr)
        self.assertEqual(check(os.path.join(self.directory, "none")).returncode, EXIT_NO_HISTORY)

    def test_cut_off_last_line(self):
        """Whoever is killed while it writes leaves a part of a line, which does not count."""
        path = self.write("> 0 1 10 set k a")
        with open(path, "a", encoding="ascii") as file:
            file.write("< 0 1 20 mism")
        self.assertEqual(check(path).returncode, EXIT_LINEARIZABLE)


@takes_long
class Chaos(ClusterTest):
    SECONDS = 8  # for longer, and with everything else besides: chaos.py
    BAD_NETWORK = (("loss", "*", "*", 10), ("duplicate", "*", "*", 20), ("delay", "*", "*", 1, 5))

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def kill_primary(self, c, _):
        victim = c.primary()
        c.kill(victim)
        c.other_primary(victim)
        c.start(victim)

    def stop_primary(self, c, rng):
        """Longer than it takes the others to go on without it; then it still believes to be one."""
        server = c.servers[c.primary()]
        server.send_signal(signal.SIGSTOP)
        try:
            time.sleep(rng.uniform(10, 40) * HEARTBEAT_MS / 1000)
        finally:
            server.send_signal(signal.SIGCONT)

    def cut_primary(self, c, rng):
        """Its clients still reach it; one way or both, of its links to the others, are gone."""
        victim = c.primary()
        in_, out = ("*", victim), (victim, "*")
        for way in rng.choice(((in_,), (out,), (in_, out))):
            c.order("cut", *way)
        c.other_primary(victim)
        c.order("heal")

    def kill_everybody(self, c, _):
        for i in range(c.count):
            c.kill(i)
        for i in range(c.count):
            c.start(i)

    def record(self, count, seed, *flags, more_faults=()):
        c = self.relayed_cluster(count, *flags)
        rng = random.Random(seed)
        recorders = Recorders(c, self.directory, seed)
        self.addCleanup(recorders.close)
        wait_until(lambda: recorders.answered() > 100, "clients at work")
        view = c.status()["view"]
        faults = [self.kill_primary, self.stop_primary, self.cut_primary, *more_faults]
        deadline = time.monotonic() + self.SECONDS
        done = 0
        while time.monotonic() < deadline or done < len(faults):
            for order in self.BAD_NETWORK:
                if rng.random() < 0.5:
                    c.order(*order)
            faults[done % len(faults)](c, rng)
            c.order("heal")
            # In memory mode a replica that recovers counts as failed until it is done.
            c.wait_normal()
            time.sleep(rng.uniform(0, 0.5))
            done += 1
            if done == 2:
                recorders.kill_one()
        self.assertGreater(c.status()["view"], view)
        answered = recorders.answered()
        wait_until(lambda: recorders.answered() > answered, "clients served after all that")
        self.assertEqual(recorders.finish(), [-signal.SIGKILL, 0, 0])
        c.wait_equal()
        self.judge(recorders, answered)

    def judge(self, recorders, answered):
        done = check(*recorders.paths)
        self.assertEqual(done.returncode, EXIT_LINEARIZABLE, done.stdout + done.stderr)
        said = re.search(r"(\d+) operations on 6 keys, \d+ of unknown outcome", done.stdout)
        self.assertIsNotNone(said, done.stdout)
        self.assertGreaterEqual(int(said[1]), answered)
        self.falsify(recorders.paths[1])
        done = check(*recorders.paths)
        self.assertEqual(done.returncode, EXIT_NOT_LINEARIZABLE, done.stdout + done.stderr)
        self.assertIn("NOT LINEARIZABLE: no order explains the ", done.stdout)

    def falsify(self, path):
        """The last read of a text got one that its client had overwritten itself, long ago."""
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        begun, sets = {}, {}
        stale = None
        for at, line in enumerate(lines[1:], 1):
            words = line.split()
            if words[0] == ">":
                begun[words[1]] = words
                continue
            operation = begun[words[1]]
            key = operation[5]
            if words[4] == "ok" and operation[4] == "set":
                sets.setdefault((words[1], key), []).append(operation[6])
            elif words[4] == "ok" and operation[4] == "get" and words[5].startswith("c"):
                if len(sets.get((words[1], key), ())) > 1:
                    stale = at, sets[words[1], key][0]
        self.assertIsNotNone(stale, "no client read what it had written twice")
        at, value = stale
        words = lines[at].split()
        words[5] = value
        lines[at] = " ".join(words)
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")

    def test_three_replicas(self):
        self.record(3, 3)

    def test_five_replicas(self):
        self.record(5, 5)

    def test_three_replicas_on_disk(self):
        """Everybody is killed at once, too."""
        self.record(3, 4, "--durability", "async", more_faults=(self.kill_everybody,))
