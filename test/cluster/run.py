# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with real processes; ends with "cluster: N passed, N failed".

    test/cluster/run.py [--quick | --rest] [--jobs N] [NAME...]
        NAME: test_operation, test_operation.FailOver, ...

VR_BIN and VR_BUILD say where the programs are. --quick leaves out what takes minutes and runs fewer
rounds of the rest; --rest runs what is not the very same with --quick: all classes that speak of
QUICK. --jobs says how many tests run at a time, twice as many as there are cores unless told
otherwise.
"""

import argparse
import inspect
import os
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def speaks_of_quick(test):
    """Whether the class of the test, or one it comes from, is another one with --quick; a file that
    cannot be read as tests is nobody's, and fails in every run."""
    if not type(test).__module__.startswith("test_"):
        return True
    return any("QUICK" in inspect.getsource(base) for base in type(test).__mro__
               if base.__module__.startswith("test_"))


def outside_of_classes(module):
    """Lines of a module that speak of QUICK where no class is: --rest could not tell whom they mean."""
    source = re.sub(r"^from harness import (\([^)]*\)|.*)$", "", inspect.getsource(module),
                    flags=re.MULTILINE)
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__:
            source = source.replace(inspect.getsource(found), "")
    return [line for line in source.splitlines() if "QUICK" in line]


def rest_of(tests):
    for name in sorted({type(test).__module__ for test in tests} & set(sys.modules)):
        if lines := name.startswith("test_") and outside_of_classes(sys.modules[name]):
            raise SystemExit(f"{name}: QUICK outside of the classes that it changes: {lines}")
    return unittest.TestSuite(test for test in tests if speaks_of_quick(test))


def main():
    parser = argparse.ArgumentParser()
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true")
    extent.add_argument("--rest", action="store_true")
    parser.add_argument("--jobs", type=int, default=2 * len(os.sched_getaffinity(0)))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.quick:
        os.environ["VR_QUICK"] = "1"
    sys.path.insert(0, str(HERE))
    import runner  # only now: harness.py looks at VR_QUICK
    loader = unittest.TestLoader()
    if options.names:
        suite = loader.loadTestsFromNames(options.names)
    else:
        suite = loader.discover(str(HERE), pattern="test_*.py")
    if options.rest:
        suite = rest_of(list(runner.tests_of(suite)))
    return runner.run(suite, options.jobs,
                      lambda report: f"cluster: {report.passed} passed, {report.failed} failed")


if __name__ == "__main__":
    sys.exit(main())
