# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with real processes; ends with "cluster: N passed, N failed".

    test/cluster/run.py [--quick] [--jobs N] [NAME...]
        NAME: test_operation, test_operation.FailOver, ...

VR_BIN and VR_BUILD say where the programs are. --quick leaves out what takes minutes and runs fewer
rounds of the rest. Most tests wait most of the time, so several classes run at once, each in a
process of its own with its own range of ports; what measures time or cost (ALONE = True in its class)
runs when all others are done.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PORTS = (10000, 32000)  # below the range that the kernel hands out


class Result(unittest.TestResult):
    """Tells `out` of each test as it ends, an object a line."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def tell(self, test, word, detail=None):
        # What a class or a module does for all of its tests has neither a name of that form nor a start.
        name = test.id().split(".", 1)[-1]
        seconds = time.monotonic() - getattr(self, "began", time.monotonic())
        print(json.dumps({"name": name, "word": word, "seconds": seconds, "detail": detail}),
              file=self.out, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tell(test, "ok")

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, "ERROR", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, "FAILED", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(test, f"skipped: {reason}")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            errors = self.failures if issubclass(err[0], test.failureException) else self.errors
            self.tell(subtest, "FAILED", errors[-1][1])

    def addExpectedFailure(self, test, err):
        raise AssertionError("a failure is never expected here")

    addUnexpectedSuccess = addExpectedFailure


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def load(names):
    sys.path.insert(0, str(HERE))
    loader = unittest.TestLoader()
    if names:
        return loader.loadTestsFromNames(names)
    return loader.discover(str(HERE), pattern="test_*.py")


def jobs_of(suite):
    """[(names of one class's tests, alone)], what there is most of first."""
    classes = {}
    for test in tests_of(suite):
        classes.setdefault(type(test), []).append(test.id())
    groups = [(ids, getattr(kind, "ALONE", False), getattr(kind, "LONG", False))
              for kind, ids in classes.items()]
    groups.sort(key=lambda group: (not group[2], -len(group[0])))
    return [(ids, alone) for ids, alone, _ in groups]


class Worker:
    """One class's tests in a process of their own."""

    def __init__(self, ids, slot, slots, quick):
        width = (PORTS[1] - PORTS[0]) // slots
        first = PORTS[0] + slot * width
        self.slot = slot
        self.ids = ids
        self.results = []
        self.text = tempfile.TemporaryFile("w+")
        self.pipe, writing = os.pipe()
        os.set_blocking(self.pipe, False)
        self.rest = b""
        env = dict(os.environ, VR_TEST_PORTS=f"{first}-{first + width}")
        command = [sys.executable, "-B", __file__, "--worker", str(writing), *ids]
        if quick:
            command.insert(3, "--quick")
        self.process = subprocess.Popen(command, env=env, pass_fds=[writing], stdout=self.text,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        os.close(writing)

    def read(self):
        """What it told since the last time."""
        try:
            while bytes_read := os.read(self.pipe, 65536):
                self.rest += bytes_read
        except BlockingIOError:
            pass
        *lines, self.rest = self.rest.split(b"\n")
        told = [json.loads(line) for line in lines]
        self.results += told
        return told

    def ended(self):
        return self.process.poll() is not None

    def close(self):
        """Results of what it did not come to."""
        os.close(self.pipe)
        self.text.seek(0)
        text = self.text.read()
        self.text.close()
        if self.process.returncode == 0:
            return []
        return [{"name": self.ids[0].split(".", 1)[-1], "word": "ERROR", "seconds": 0,
                 "detail": f"its process ended with {self.process.returncode}\n{text}"}]


class Run:
    def __init__(self, quick, slots):
        self.quick = quick
        self.slots = slots
        self.workers = []
        self.results = []

    def tell(self, results):
        for result in results:
            self.results.append(result)
            print(f"{result['name']:<60} {result['word']:<7} {result['seconds']:6.1f} s", flush=True)

    def look(self):
        for worker in list(self.workers):
            ended = worker.ended()
            self.tell(worker.read())
            if ended:
                self.tell(worker.close())
                self.workers.remove(worker)

    def start(self, ids):
        free = set(range(self.slots)) - {worker.slot for worker in self.workers}
        self.workers.append(Worker(ids, min(free), self.slots, self.quick))

    def all(self, jobs, at_once):
        while jobs or self.workers:
            while jobs and len(self.workers) < at_once:
                self.start(jobs.pop(0))
            time.sleep(0.02)
            self.look()

    def stop(self):
        for worker in self.workers:
            worker.process.send_signal(signal.SIGINT)  # cleans up after the test it is at
        for worker in self.workers:
            worker.process.wait()


def run_worker(options):
    """In this process, told to the one that started it."""
    with os.fdopen(options.worker, "w") as out:
        result = Result(out)
        suite = load(options.names)
        try:
            suite.run(result)
        except KeyboardInterrupt:
            for test in tests_of(suite):
                test.doCleanups()
            return 130
    return 0


def interrupt(number, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("--worker", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.quick:
        os.environ["VR_QUICK"] = "1"
    signal.signal(signal.SIGTERM, interrupt)
    if options.worker is not None:
        return run_worker(options)
    began = time.monotonic()
    jobs = jobs_of(load(options.names))
    run = Run(options.quick, max(1, options.jobs))
    try:
        run.all([ids for ids, alone in jobs if not alone], run.slots)
        run.all([ids for ids, alone in jobs if alone], 1)
    except KeyboardInterrupt:
        run.stop()
        print("cluster: interrupted")
        return 130
    failures = [result for result in run.results if result["detail"] is not None]
    for result in failures:
        print(f"\n{'=' * 70}\n{result['word']}: {result['name']}\n{'-' * 70}\n{result['detail']}")
    passed = sum(result["word"] == "ok" for result in run.results)
    print(f"\n{len(run.results)} tests in {time.monotonic() - began:.0f} s")
    print(f"cluster: {passed} passed, {len(failures)} failed")
    return 0 if not failures and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
