# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with real processes; ends with "cluster: N passed, N failed".

    test/cluster/run.py [--quick] [--jobs N] [NAME...]
        NAME: test_operation, test_operation.FailOver, ...

VR_BIN and VR_BUILD say where the programs are. --quick leaves out what takes minutes and runs fewer
rounds of the rest. --jobs says how many tests run at a time, one more than there are cores unless
told otherwise.
"""

import argparse
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)) + 1)
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
    return runner.run(suite, options.jobs,
                      lambda report: f"cluster: {report.passed} passed, {report.failed} failed")


if __name__ == "__main__":
    sys.exit(main())
