# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: built, without errors to lintian, and tried in a Debian of their own."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, ROOT, free_first_port
from test_install import version
from tree import make, plain_environment

PACKAGES = ("viewstamp", "libvrclient0", "libvrclient-dev", "libvr-dev")
STEPS = 8  # that in_clean_root.sh and in_booted_root.sh say they have done
NOT_BOOTED = 77
CLEAN_ROOT_SECONDS = 900


def status():
    """What git sees among the sources; "" where there is no git."""
    return subprocess.run(["git", "-C", str(ROOT), "status", "--porcelain"], capture_output=True,
                          text=True).stdout


@functools.cache  # it takes a while
def packages():
    """Built now: by name the file of each, and what git saw before and after that."""
    before = status()
    make("deb")
    debs = {name.split("_")[0]: str(BUILD / "deb" / name)
            for name in os.listdir(BUILD / "deb") if name.endswith(".deb")}
    return debs, before, status()


class DebTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.debs, cls.before, cls.after = packages()


def field(deb, name):
    return subprocess.run(["dpkg-deb", "-f", deb, name], capture_output=True, text=True,
                          check=True).stdout.strip()


class Packages(DebTest):
    def test_are_all_there_in_the_version_of_the_programs(self):
        for package in PACKAGES:
            self.assertEqual(field(self.debs[package], "Version"), version())

    def test_building_leaves_nothing_among_the_sources(self):
        self.assertEqual(self.after, self.before)

    def test_lintian_finds_neither_errors_nor_warnings(self):
        done = subprocess.run(
            ["lintian", "--allow-root", "--fail-on", "error,warning",
             *(self.debs[package] for package in PACKAGES)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=plain_environment())
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_what_the_build_needs_is_what_the_package_says_it_needs(self):
        listed = subprocess.run(
            ["bash", "-c", "source <(sed -n '/^needs()/,/^}/p' tools/deps.sh); needs build"],
            cwd=ROOT, capture_output=True, text=True, check=True).stdout
        # These every build has (build-essential).
        needed = {line.split()[0] for line in listed.splitlines()} - {"gcc", "make", "libc6-dev"}
        control = (ROOT / "debian/control").read_text()
        said = re.search(r"^Build-Depends:(.*?)^\S", control, re.DOTALL | re.MULTILINE).group(1)
        self.assertEqual(needed - {word.strip() for word in said.split(",")}, set())


class CleanRoot(DebTest):
    @unittest.skipIf(os.geteuid() != 0, "A ROOT OF ITS OWN WANTS ROOT: run make test-package as root")
    def test_life_of_an_installation(self):
        directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        os.chmod(directory, 0o755)  # apt reads the packages as a user of its own
        for package in PACKAGES:
            shutil.copy(self.debs[package], directory)
        for script in ("in_clean_root.sh", "in_booted_root.sh"):
            shutil.copy(ROOT / "test/package" / script, directory)
        done = subprocess.run(
            [str(ROOT / "test/package/clean_root.sh"), directory, str(free_first_port(3))],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=plain_environment(),
            timeout=CLEAN_ROOT_SECONDS)
        if done.returncode == NOT_BOOTED:
            self.skipTest(f"UNDER SYSTEMD: no container can be booted here; all before that is "
                          f"well:\n{done.stdout}\n{done.stderr}")
        steps = re.findall(r"^ok: ", done.stdout, re.MULTILINE)
        self.assertEqual((done.returncode, len(steps)), (0, STEPS),
                         f"\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    unittest.main()
