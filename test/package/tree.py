# SPDX-License-Identifier: Apache-2.0
"""The project as `make install` lays it down, in a directory of its own, and programs compiled
against that."""

import os
import shutil
import subprocess
import tempfile
import unittest

from harness import BIN, BUILD, ROOT, environment


def plain_environment(**more):
    """Without what a make that called us would tell a make that we call."""
    env = environment()
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        env.pop(name, None)
    env.update(more)
    return env


def make(*arguments):
    """The same build as the one under test, so that nothing is compiled again."""
    done = subprocess.run(
        ["make", "-C", str(ROOT), f"BUILD={os.path.relpath(BUILD, ROOT)}",
         f"BIN={os.path.relpath(BIN, ROOT)}", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=plain_environment())
    if done.returncode != 0:
        raise AssertionError(f"make {arguments}: exit {done.returncode}:\n"
                             f"{done.stdout[-3000:]}{done.stderr[-6000:]}")
    return done.stdout


class TreeTest(unittest.TestCase):
    """`cls.root` is a DESTDIR into which everything was installed, below /usr."""

    PLACES = ("PREFIX=/usr",)

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="vr-test-root-")
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        make("install", f"DESTDIR={cls.root}", *cls.PLACES)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def pkg_config(self, *arguments):
        done = subprocess.run(
            ["pkg-config", *arguments], capture_output=True, text=True, check=True,
            env=plain_environment(PKG_CONFIG_PATH=self.path("usr/lib/pkgconfig"),
                                  PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1",
                                  PKG_CONFIG_ALLOW_SYSTEM_LIBS="1"))
        # Not PKG_CONFIG_SYSROOT_DIR, which would look for the system's libraries there, too.
        return [f"{flag[:2]}{self.root}{flag[2:]}" if flag[2:].startswith("/usr/") and
                os.path.exists(self.root + flag[2:]) else flag for flag in done.stdout.split()]

    def compile(self, source, output, package, compiler=("cc",), static=False):
        """Compiles a program as a stranger would, with all warnings, and returns its path."""
        program = self.path(output)
        flags = self.pkg_config("--cflags", "--libs", *(["--static"] if static else []), package)
        done = subprocess.run(
            [*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror",
             *(["-static", "-Wl,--no-warnings"] if static else []),
             "-o", program, str(source), *flags], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{source} with {flags}:\n{done.stderr}")
        return program

    def run_program(self, *command, **options):
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            env=plain_environment(LD_LIBRARY_PATH=self.path("usr/lib")), **options)
