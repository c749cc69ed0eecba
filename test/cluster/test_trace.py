# SPDX-License-Identifier: Apache-2.0
"""vr-client trace: the messages of a real group, in one order (M8)."""

import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import time

from harness import (CLIENT, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, PATIENCE_SECONDS,
                     SANITIZED, ClusterTest, Group, environment, free_first_port, wait_until)


def trace(group, *options, code=EXIT_OK):
    """The objects that trace --json prints, and then those of them that are lines."""
    done = group.client("trace", "--json", *options)
    if done.returncode != code:
        raise AssertionError(f"trace {options}: exit {done.returncode}, not {code}: "
                             f"{done.stdout!r} {done.stderr!r}")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    return objects, [o for o in objects if o["kind"] in ("message", "state")]


def in_order(lines, *steps):
    """The lines that have these steps, each the first after the one before; None: they are not
    there in that order. A step is its name, or (name, condition)."""
    found = []
    at = 0
    for step in steps:
        name, condition = step if isinstance(step, tuple) else (step, lambda line: True)
        while at < len(lines) and not (lines[at]["step"] == name and condition(lines[at])):
            at += 1
        if at == len(lines):
            return None
        found.append(lines[at])
        at += 1
    return found


def op_of(group, key):
    done = group.client("--json", "set", key, "v")
    return json.loads(done.stdout)["op"]


def pause(pid):
    """SIGSTOP, and waits until it has reached every thread; as quick as that may be."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                           for task in pathlib.Path(f"/proc/{pid}/task").iterdir()),
               f"all threads of {pid} stopped")


class Session:
    """A client that reads commands from a pipe: one session, opened by its first command."""

    def __init__(self, group):
        self.process = subprocess.Popen(
            [CLIENT, "--cluster", group.addresses, "--timeout", "60000", "--json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())

    def begin(self, command):
        print(command, file=self.process.stdin, flush=True)

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()


class Operation(ClusterTest):
    def setUp(self):
        self.cluster = self.script_cluster(3)
        self.cluster.wait_normal()

    def test_an_operation_from_request_to_reply(self):
        c = self.cluster
        primary = c.primary()
        op = op_of(c, "k")

        def story():
            objects, lines = trace(c, "--op", str(op))
            found = in_order(
                lines,
                ("request", lambda m: m["to"] == primary and m["accepted"] and m["last_op"] == op),
                ("prepare", lambda m: m["from"] == primary),
                ("prepare_ok", lambda m: m["to"] == primary and m["accepted"]),
                ("committed", lambda m: m["replica"] == primary),
                ("executed", lambda m: m["replica"] == primary),
                ("reply", lambda m: m["from"] == primary and m["last_op"] == op))
            return found and (objects, lines, found)
        # A backup's ack may be on its way still.
        objects, lines, found = wait_until(story, f"the story of op {op}")
        times = [line["time_us"] for line in lines]
        self.assertEqual(times, sorted(times))
        for message in (line for line in lines if line["kind"] == "message"):
            if message["sent_us"] is not None and message["received_us"] is not None:
                self.assertLessEqual(message["sent_us"], message["received_us"])
        (summary,) = [o for o in objects if o["kind"] == "operation"]
        self.assertEqual(summary["op"], op)
        self.assertFalse(summary["view_changed"])
        self.assertGreater(summary["duration_us"], 0)
        # Both backups were sent the Prepare; they and the primary read the same clock.
        self.assertEqual({m["to"] for m in lines if m["step"] == "prepare"},
                         set(range(3)) - {primary})
        for replica in (o for o in objects if o["kind"] == "replica"):
            self.assertTrue(replica["answered"])
            self.assertEqual(replica["clock_offset_us"], 0)

    def test_filters(self):
        c = self.cluster
        op = op_of(c, "k")
        _, lines = trace(c, "--type", "prepare,PrepareOk")
        self.assertEqual({line["type"] for line in lines}, {"Prepare", "PrepareOk"})
        _, lines = trace(c, "--ops", f"{op}..{op}")
        self.assertIn("Prepare", {line.get("type") for line in lines})
        self.assertTrue(all(line["first_op"] <= op <= line["last_op"] or line["type"] == "Commit"
                            for line in lines), lines)
        _, lines = trace(c, "--replica", "2")
        self.assertTrue(all(2 in (line.get("from"), line.get("to"), line.get("replica"))
                            for line in lines), lines)
        _, lines = trace(c, "--last", "5")
        self.assertEqual(len(lines), 5)
        _, lines = trace(c, "--all")
        self.assertFalse(any(line.get("repeated") for line in lines))
        idle = [line for line in wait_until(
            lambda: [x for x in trace(c, "--heartbeats", "--all")[1] if x.get("repeated")],
            "idle heartbeats")]
        self.assertIn("Commit", {line["type"] for line in idle})

    def test_text_and_mermaid(self):
        c = self.cluster
        op = op_of(c, "k")
        text = c.value("trace", "--op", str(op))
        self.assertNotIn("\033", text)
        self.assertIn(f"becomes op {op}", text)
        self.assertRegex(text, r"(?m)^ +\d+\.\d{3} +\d -> \d .*Prepare +view")
        diagram = c.value("trace", "--mermaid", "--op", str(op)).splitlines()
        self.assertEqual(diagram[0], "sequenceDiagram")
        named = set()
        for line in diagram[1:]:
            if m := re.fullmatch(r"    participant (\w+) as [\w ]+", line):
                named.add(m[1])
            elif m := re.fullmatch(r"    Note over (\w+): [^;#]+", line):
                self.assertIn(m[1], named)
            else:
                m = re.fullmatch(r"    (\w+)(->>|-x)(\w+): [^;#]+", line)
                self.assertIsNotNone(m, line)
                self.assertLessEqual({m[1], m[3]}, named)
        self.assertEqual(len(named), 4)

    def terminal(self, *options, **variables):
        """What trace writes to a terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(CLIENT, [CLIENT, "--cluster", self.cluster.addresses, "trace", *options],
                       dict(environment(), **variables))
        seen = b""
        with contextlib.suppress(OSError), open(terminal, "rb", 0) as output:
            while some := output.read(4096):
                seen += some
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), EXIT_OK)
        return seen

    def test_colours_are_for_terminals(self):
        colour = b"\033["
        self.assertIn(colour, self.terminal(TERM="xterm"))
        self.assertNotIn(colour, self.terminal(TERM="xterm", NO_COLOR="1"))
        self.assertNotIn(colour, self.terminal(TERM="dumb"))
        self.assertNotIn(colour, self.terminal("--json", TERM="xterm"))
        self.assertNotIn(colour, self.cluster.client("trace").stdout)

    def test_errors_say_what_is_wrong(self):
        c = self.cluster
        for options, code, words in [
                (["--op", "0"], EXIT_USAGE, "--op 0"),
                (["--type", "Prepair"], EXIT_USAGE, "PrepareOk"),
                (["--ops", "9..3"], EXIT_USAGE, "10..20"),
                (["--nonsense"], EXIT_USAGE, "nonsense"),
                (["--replica", "7"], EXIT_USAGE, "replica 7"),
                (["--op", "3", "--follow"], EXIT_USAGE, "--follow"),
                (["--op", "99999999"], EXIT_FAILED, "has not happened"),
                (["--view", "77"], EXIT_FAILED, "remembers anything of what was asked")]:
            done = c.client("trace", *options)
            self.assertEqual(done.returncode, code, (options, done))
            self.assertIn(words, done.stderr.decode(), options)
        self.assertIn(b"--follow", c.client("trace", "--help").stdout)
        self.assertIn(b"trace --op", c.client("help", "trace").stdout)

    def test_in_a_pipe_of_commands(self):
        done = self.cluster.client(stdin=b"set k v\ntrace --last 3\nget k\n")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], b"v")


class SmallDatagrams(ClusterTest):
    def test_pages_that_come_in_parts(self):
        """M6: 256 events are some 30 KB, which is many datagrams of 1,400 bytes."""
        c = self.script_cluster(3, "--datagram-size", "1400")
        c.wait_normal()
        commands = b"".join(b"set k%d v\n" % i for i in range(300))
        self.assertEqual(c.client(stdin=commands).returncode, EXIT_OK)
        _, lines = trace(c, "--all", "--type", "Request")
        self.assertEqual(len({line["last_op"] for line in lines if line["accepted"]}), 302)


class Nobody(ClusterTest):
    def test_nobody_answers(self):
        nobody = Group(3, free_first_port(3))
        done = nobody.client("trace", timeout_ms=500)
        self.assertEqual(done.returncode, EXIT_UNAVAILABLE)
        self.assertIn(b"no replica", done.stderr)


class FailOver(ClusterTest):
    # The backups are patient enough for the client to lose its patience first, wherever this runs.
    PATIENT = ("--heartbeat-ms", "100", "--view-change-ms", "1500")
    VIEW_CHANGE = ("silence", "vote", "do_view_change", "new_primary", "start_view")

    def test_a_request_that_waits_for_the_next_primary(self):
        """The primary sleeps, then dies, before it sees the request: the client asks the others,
        who suspect, vote and start a view, whose primary executes it."""
        c = self.script_cluster(3, *self.PATIENT)
        session = Session(c)
        self.addCleanup(session.close)
        session.begin("set k 1")
        self.assertTrue(session.answer()["ok"])
        c.wait_normal()
        c.wait_equal()  # the backups know all that was said, so that both can vote
        old = c.primary()
        pause(c.pids()[old])
        session.begin("set k 2")
        time.sleep(0.03)
        c.kill(old)
        op = session.answer()["op"]

        objects, lines = trace(c, "--op", str(op))
        self.assertIsNotNone(in_order(
            lines, ("request", lambda m: not m["accepted"]), "redirected", *self.VIEW_CHANGE,
            ("request", lambda m: m["accepted"]), "committed",
            ("reply", lambda m: m["last_op"] == op)), lines)
        (summary,) = [o for o in objects if o["kind"] == "operation"]
        self.assertTrue(summary["view_changed"])
        silences = [line["silence_us"] for line in lines if line["step"] == "silence"]
        self.assertGreater(max(silences), 0)
        (missing,) = [o for o in objects if o["kind"] == "replica" and not o["answered"]]
        self.assertEqual(missing["replica"], old)

    def test_an_entry_that_outlives_its_primary(self):
        """The backups sleep while the primary prepares; it dies; they wake up and find the Prepare,
        which the next view commits, and the client is answered from there."""
        c = self.script_cluster(3, *self.PATIENT)
        session = Session(c)
        self.addCleanup(session.close)
        session.begin("set k 1")
        self.assertTrue(session.answer()["ok"])
        c.wait_normal()
        c.wait_equal()
        old = c.primary()
        backups = [i for i in range(3) if i != old]
        before = c.replica(old)["op"]
        pids = c.pids()
        for backup in backups:
            pause(pids[backup])
        session.begin("set k 2")
        wait_until(lambda: c.replica(old)["op"] > before, "the entry in the primary's log")
        time.sleep(0.05)
        c.kill(old)
        for backup in backups:
            os.kill(pids[backup], signal.SIGCONT)
        op = session.answer()["op"]
        self.assertEqual(op, before + 1)
        _, lines = trace(c, "--op", str(op))
        self.assertIsNotNone(in_order(
            lines, ("prepare", lambda m: m["from"] == old), *self.VIEW_CHANGE[1:],
            ("reply", lambda m: m["from"] != old)), lines)


class Follow(ClusterTest):
    def follow(self, cluster, *options):
        process = subprocess.Popen(
            [CLIENT, "--cluster", cluster.addresses, "trace", "--follow", "--json", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment())
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()

    def test_shows_what_happens_from_now_on(self):
        c = self.script_cluster(3)
        c.wait_normal()
        process = self.follow(c)
        self.assertEqual({json.loads(process.stdout.readline())["kind"] for _ in range(3)},
                         {"replica"})
        op = op_of(c, "k")
        seen = set()
        while not {"request", "prepare", "prepare_ok", "committed", "reply"} <= seen:
            line = json.loads(process.stdout.readline())
            if line.get("first_op", 0) <= op <= line.get("last_op", 0):
                seen.add(line["step"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, EXIT_OK, errors)

    def test_a_flood_does_not_drown_it(self):
        """What it cannot show it counts; its memory is bounded; Ctrl-C ends it well."""
        c = self.script_cluster(3)
        c.wait_normal()
        with open(os.devnull, "w") as nowhere:
            process = subprocess.Popen(
                [CLIENT, "--cluster", c.addresses, "trace", "--follow", "--json"],
                stdin=subprocess.DEVNULL, stdout=nowhere, stderr=subprocess.PIPE, text=True,
                env=environment())
        self.addCleanup(self.end, process)
        with c.flood("--clients", "16", "--duration", "60"):
            time.sleep(2)
            first = self.resident_kib(process.pid)
            time.sleep(3)
            if not SANITIZED:  # which keeps what was freed
                self.assertLess(self.resident_kib(process.pid), first + 32 * 1024)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, EXIT_OK, errors)
        refused = [r["counters"].get("trace_refused", 0) for r in c.status()["replicas"]]
        self.assertEqual(refused, [0, 0, 0])

    def resident_kib(self, pid):
        with open(f"/proc/{pid}/status") as status:
            (line,) = [x for x in status if x.startswith("VmRSS")]
        return int(line.split()[1])
