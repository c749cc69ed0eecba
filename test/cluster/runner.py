# SPDX-License-Identifier: Apache-2.0
"""Runs unittest suites in several processes at once: most tests wait most of the time.

A worker is a fork of this process that runs what it is told through a pipe, and reports each test
through the same. Tests share no more than that fork: each worker has ports of its own (harness.py),
each test its own directories. What is handed out at a time is one test; where a class prepares
something for all its tests (setUpClass), the class. Those marked `takes_long` come first, so that
nobody waits for them in the end, and those marked `alone` come last, one by one, with nothing beside
them.

However it ends, no process stays: workers clean up after a test that is interrupted, and what was
left behind nevertheless is ended, and counts as a failure. It is known by a variable of its
environment.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import secrets
import signal
import sys
import time
import unittest

import harness

RUN_VARIABLE = "CLUSTER_TEST_RUN"  # not VR_...: some tests take those away
STOP_SECONDS = 60  # for the clean-up of an interrupted test
LINGER_SECONDS = 10  # for processes that were told to end and still do
EXIT_INTERRUPTED = 130

FORK = multiprocessing.get_context("fork")


# --- in a worker --------------------------------------------------------------------------------


class Result(unittest.TestResult):
    """Says through `send` what becomes of each test: ("began", name), then ("ended", name, word,
    seconds, [what to print about it])."""

    def __init__(self, send):
        super().__init__()
        self.send = send
        self.test = None

    def startTest(self, test):
        super().startTest(test)
        self.test, self.word, self.began = test, "ok", time.monotonic()
        self.send(("began", name_of(test)))

    def stopTest(self, test):
        super().stopTest(test)
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            return  # it has not ended: work() cleans up after it
        self._ended(test, time.monotonic() - self.began)
        self.test = None

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, "ERROR")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, "FAILED")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(test, "FAILED")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.failures.append((test, "It succeeded, and was expected to fail.\n"))
        self._bad(test, "FAILED")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.word = f"skipped: {reason}"
        if self.test is None:
            self._ended(test, 0)

    def _bad(self, test, word):
        self.word = word
        if self.test is None:  # what prepares a class has failed, which is no test
            self._ended(test, 0)

    def _ended(self, test, seconds):
        texts = [f"{kind}: {describe(subject)}\n{'-' * 70}\n{text}"
                 for kind, found in (("ERROR", self.errors), ("FAIL", self.failures))
                 for subject, text in found]
        self.errors.clear()
        self.failures.clear()
        self.send(("ended", name_of(test), self.word, seconds, texts))


def name_of(test):
    name = test.id()
    return name if " " in name else name.split(".", 1)[-1]  # "setUpClass (test_terminal.Editing)"


def describe(test):
    first_line = test.shortDescription()
    return f"{test}\n{first_line}" if first_line else str(test)


def interrupt(*_):
    """The first signal interrupts; those that follow must not interrupt the clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which children would inherit
    raise KeyboardInterrupt


def work(units, connection, others, ports):
    """The life of a worker: runs units[n] for each n that arrives, until nobody is there to ask."""
    for other in others:  # copies of the ends of other pipes, which would keep those open
        other.close()
    os.setsid()  # Ctrl-C is for the parent, who passes it on
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    harness.ports = ports
    result = Result(connection.send)
    try:
        while True:
            unittest.TestSuite(units[connection.recv()]).run(result)
            connection.send(("idle",))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    except KeyboardInterrupt:
        pass
    if result.test is not None:
        result.test.doCleanups()
        result.test.doClassCleanups()


# --- in the parent ------------------------------------------------------------------------------


class Report:
    """Prints each test when it ends, and all that failed at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.texts = []
        self.began = time.monotonic()

    def ended(self, name, word, seconds, texts):
        print(f"{name:<60} {word:<7} {seconds:6.1f} s", flush=True)
        if word == "ok":
            self.passed += 1
        elif word.startswith("skipped"):
            self.skipped += 1
        else:
            self.failed += 1
        self.texts += texts

    def finish(self):
        for text in self.texts:
            print(f"\n{'=' * 70}\n{text}", end="")
        print(f"\nRan {self.passed + self.failed + self.skipped} tests in "
              f"{time.monotonic() - self.began:.1f} s", flush=True)


class Worker:
    def __init__(self, units, number, count, others):
        self.unit = self.test = None
        self.number = number
        self.connection, theirs = FORK.Pipe()
        self.process = FORK.Process(
            target=work, args=(units, theirs, [*others, self.connection],
                               harness.slice_of_ports(number, count)))
        self.process.start()
        theirs.close()

    def begin(self, unit):
        self.unit = unit
        self.connection.send(unit)


class Workers:
    """Up to `count` of them, made when there is something to do."""

    def __init__(self, units, count, report):
        self.units = units
        self.count = count
        self.report = report
        self.workers = {}  # by their number

    def run(self, units, at_once):
        """Runs those of the units whose numbers are given, and waits for their end."""
        waiting = list(units)
        while True:
            for number in range(at_once):
                if waiting and (number not in self.workers or self.workers[number].unit is None):
                    self._worker(number).begin(waiting.pop(0))
            busy = [w for w in self.workers.values() if w.unit is not None]
            if not busy:
                return
            for connection in multiprocessing.connection.wait([w.connection for w in busy]):
                self._take(next(w for w in busy if w.connection is connection))

    def _worker(self, number):
        if number not in self.workers:
            others = [w.connection for w in self.workers.values()]
            self.workers[number] = Worker(self.units, number, self.count, others)
        return self.workers[number]

    def _take(self, worker):
        try:
            kind, *message = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._died(worker)
            return
        if kind == "began":
            (worker.test,) = message
        elif kind == "ended":
            self.report.ended(*message)
        else:
            worker.unit = None

    def _died(self, worker):
        worker.process.join()
        name = worker.test or name_of(self.units[worker.unit][0])
        self.report.ended(name, "ERROR", 0, [
            f"ERROR: {name}\n{'-' * 70}\nthe process that ran it ended, "
            f"exit code {worker.process.exitcode}\n"])
        worker.connection.close()
        del self.workers[worker.number]

    def stop(self):
        """Idle ones end at once, others when their test has been cleaned up."""
        for worker in self.workers.values():
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self.workers.values():
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()


def units_of(suite):
    """Lists of tests that are run by one worker in one go."""
    units = {}
    for test in tests_of(suite):
        by_class = type(test).setUpClass.__func__ is not unittest.TestCase.setUpClass.__func__
        units.setdefault(type(test) if by_class else test.id(), []).append(test)
    return list(units.values())


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def marked(unit, mark):
    """Whether harness.py's decorator of that name is at the class or the test."""
    return any(getattr(type(test), mark, False) or
               getattr(getattr(test, test._testMethodName, None), mark, False) for test in unit)


def processes_of(run):
    """{pid: command line} of what was started, by whomever, in the environment of this run."""
    found = {}
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{RUN_VARIABLE}={run}".encode() in (directory / "environ").read_bytes().split(b"\0"):
                line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(directory.name)] = line.strip()
    return found


def end_what_is_left(run, seconds):
    """Ends what still runs `seconds` from now, and returns its command lines."""
    deadline = time.monotonic() + seconds
    while (left := processes_of(run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    everything = dict(left)
    while left:  # a shell among them may have started another meanwhile
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        left = processes_of(run)
        everything |= left
    return list(everything.values())


def run(suite, jobs, closing_line):
    """Runs all tests of the suite, `jobs` at a time, and returns the exit code. closing_line(report)
    is printed last."""
    this_run = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    units = units_of(suite)
    alone = [n for n, unit in enumerate(units) if marked(unit, "alone")]
    together = [n for n in range(len(units)) if n not in alone]
    together.sort(key=lambda n: not marked(units[n], "takes_long"))
    jobs = max(1, min(jobs, len(together)))
    report = Report()
    workers = Workers(units, jobs, report)
    interrupted = False
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    try:
        workers.run(together, jobs)
        workers.run(alone, 1)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        workers.stop()
        left = end_what_is_left(this_run, 0 if interrupted else LINGER_SECONDS)
    if left and not interrupted:
        report.ended("no process is left behind", "FAILED", 0, [
            f"FAIL: left behind by some test, and ended now:\n{'-' * 70}\n" +
            "".join(f"{line}\n" for line in left)])
    with contextlib.suppress(BrokenPipeError):  # whoever reads it may have been interrupted, too
        report.finish()
        print("interrupted\n" if interrupted else "", closing_line(report), sep="", flush=True)
    if interrupted:
        return EXIT_INTERRUPTED
    return 0 if report.failed == 0 and report.passed > 0 else 1
