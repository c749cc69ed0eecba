# SPDX-License-Identifier: Apache-2.0
"""Tests of what is installed; ends with "package: N passed, N failed".

    test/package/run.py [NAME...]      NAME: test_manual, test_install.Libraries, ...

`make test-package` brings what they need (tools/deps.sh, set `package`) and says where the programs
are. They want root: packages are installed in a root of their own."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster"), str(HERE)]

import runner  # noqa: E402  test/cluster/runner.py


def main():
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        suite = loader.loadTestsFromNames(sys.argv[1:])
    else:
        suite = loader.discover(str(HERE), pattern="test_*.py")
    # One by one: most of them call make in the same tree.
    return runner.run(suite, 1, lambda report: f"package: {report.passed} passed, {report.failed} failed, "
                      f"{report.skipped} skipped")


if __name__ == "__main__":
    sys.exit(main())
