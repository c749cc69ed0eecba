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

from run import Result  # noqa: E402  test/cluster/run.py: one line a test


def main():
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        suite = loader.loadTestsFromNames(sys.argv[1:])
    else:
        suite = loader.discover(str(HERE), pattern="test_*.py")
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors)
    passed = result.testsRun - failed - len(result.skipped)
    print(f"package: {passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
