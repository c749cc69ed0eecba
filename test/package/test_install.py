# SPDX-License-Identifier: Apache-2.0
"""make install: what is laid down where, and whether strangers can build on it."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import (EXIT_OK, HEARTBEAT_MS, PATIENCE_SECONDS, ROOT, Group, free_first_port, times,
                     wait_until)
from tree import TreeTest, make

HEADERS = ("client.h", "app.h", "server.h", "types.h")
EXAMPLES = ROOT / "examples"


def version():
    text = (ROOT / "common/base/version.h").read_text()
    return re.search(r'VERSION_TEXT "(.*)"', text).group(1)


def declared():
    """The functions of the public header; types of callbacks are none."""
    header = (ROOT / "client/lib/vr/client.h").read_text()
    callbacks = re.findall(r"typedef [a-z ]+\b(vr_[a-z_]+)\(", header)
    return sorted(set(re.findall(r"\b(vr_[a-z_]+)\(", header)) - set(callbacks))


def symbols(*command):
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(words[2] for words in map(str.split, lines)
                  if len(words) == 3 and words[1] in "TDBRVW")


class InstalledGroup(Group):
    """Replicas of any server program, in a directory, started without any script."""

    def __init__(self, server, count, start_flags=()):
        super().__init__(count, free_first_port(count))
        self.server, self.start_flags = server, start_flags
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.servers = []

    def data(self, i):
        return os.path.join(self.directory, str(i))

    def start(self, i, *command):
        with open(os.path.join(self.directory, f"log-{i}"), "ab") as log:
            server = subprocess.Popen([self.server, *command], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=log)
        self.servers.append(server)
        if server.stdout.readline() != b"ready\n":
            raise AssertionError(f"{command}: {self.log(i)}")

    def log(self, i):
        return pathlib.Path(self.directory, f"log-{i}").read_text(errors="replace")

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
            server.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Places(TreeTest):
    PLACES = ("PREFIX=/opt/vr", "LIBDIR=/opt/vr/lib/some-triplet", "UNITDIR=/lib/systemd/system")

    def test_everything_goes_where_it_was_told(self):
        files = sorted(os.path.relpath(os.path.join(at, name), self.root)
                       for at, _, names in os.walk(self.root) for name in names)
        lib = "opt/vr/lib/some-triplet"
        share = "opt/vr/share"
        expected = {
            "lib/systemd/system/vr-server@.service", "opt/vr/bin/vr-client", "opt/vr/bin/vr-server",
            f"{lib}/libvr.a", f"{lib}/libvrclient.a", f"{lib}/libvrclient.so",
            f"{lib}/libvrclient.so.0", f"{lib}/libvrclient.so.{version()}",
            f"{lib}/pkgconfig/vr.pc", f"{lib}/pkgconfig/vrclient.pc",
            f"{share}/man/man1/vr-client.1", f"{share}/man/man3/libvrclient.3",
            f"{share}/man/man5/vr.conf.5", f"{share}/man/man8/vr-server.8",
            *(f"opt/vr/include/vr/{name}" for name in HEADERS),
            *(f"{share}/bash-completion/completions/{name}"
              for name in ("vr-client", "vr-server")),  # run_cluster.sh stays in the clone
        }
        documents = {f for f in files if f.startswith(f"{share}/doc/viewstamp/")}
        self.assertEqual(set(files) - documents, expected)
        self.assertIn(f"{share}/doc/viewstamp/examples/hello.cc", documents)
        for page in (ROOT / "docs").glob("*.*"):
            self.assertIn(f"{share}/doc/viewstamp/docs/{page.name}", documents)

    def test_pages_lead_to_each_other(self):
        """Links between pages that are installed; those to sources lead out of them."""
        directory = pathlib.Path(self.path("opt/vr/share/doc/viewstamp"))
        links = 0
        for page in (directory / "README.md", *(directory / "docs").glob("*.md")):
            for target in re.findall(r"\]\(([^)#:]+\.(?:md|png|example))(?:#[^)]*)?\)",
                                     page.read_text()):
                if target != "CONTRIBUTING.md":
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")
                    links += 1
        self.assertGreater(links, 30)

    def test_texts_name_the_places_and_not_where_they_were_laid_down(self):
        for name in ("opt/vr/lib/some-triplet/pkgconfig/vrclient.pc",
                     "opt/vr/lib/some-triplet/pkgconfig/vr.pc",
                     "lib/systemd/system/vr-server@.service"):
            text = pathlib.Path(self.path(name)).read_text()
            self.assertIn("/opt/vr", text)
            self.assertNotRegex(text, r"@[A-Z]+@")
            self.assertNotIn(self.root, text)
        for name in HEADERS:
            text = pathlib.Path(self.path("opt/vr/include/vr", name)).read_text()
            self.assertNotRegex(text, r'#include "(?!vr/)')


class Uninstall(TreeTest):
    def test_takes_everything_back(self):
        other = pathlib.Path(self.path("usr/lib/other.so"))
        other.write_text("somebody else's")
        make("uninstall", f"DESTDIR={self.root}", *self.PLACES)
        left = [os.path.join(at, name) for at, _, names in os.walk(self.root) for name in names]
        self.assertEqual(left, [str(other)])


class Libraries(TreeTest):
    def test_shared_library_shows_what_the_header_declares_and_no_more(self):
        library = self.path("usr/lib/libvrclient.so")
        shown = symbols("nm", "-D", "--defined-only", library)
        self.assertEqual(shown, [f"{name}@@LIBVRCLIENT_0" for name in declared()])
        dynamic = subprocess.run(["objdump", "-p", library], capture_output=True, text=True,
                                 check=True).stdout
        self.assertRegex(dynamic, r"SONAME +libvrclient\.so\.0\n")
        self.assertEqual(os.path.realpath(self.path("usr/lib/libvrclient.so.0")),
                         os.path.realpath(self.path(f"usr/lib/libvrclient.so.{version()}")))

    def test_static_libraries_show_no_more_either(self):
        shown = symbols("nm", "-g", "--defined-only", self.path("usr/lib/libvrclient.a"))
        self.assertEqual(shown, declared())
        server = symbols("nm", "-g", "--defined-only", self.path("usr/lib/libvr.a"))
        self.assertEqual([s for s in server if not s.startswith("vr_server_")],
                         ["cluster_parameters_default"])

    def test_each_header_stands_alone_in_c_and_in_cxx(self):
        for name in HEADERS:
            for language in (["cc", "-xc", "-std=c99"], ["cc", "-xc", "-std=c11"],
                             ["g++", "-xc++", "-std=c++11"], ["g++", "-xc++", "-std=c++20"]):
                done = subprocess.run(
                    [*language, "-Wall", "-Wextra", "-pedantic-errors", "-Werror", "-fsyntax-only",
                     f"-I{self.path('usr/include')}", "-"],
                    input=f"#include <vr/{name}>\n#include <vr/{name}>\n", capture_output=True,
                    text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""), f"{name}: {language}")

    def test_version_is_one(self):
        for package in ("vr", "vrclient"):
            self.assertEqual(self.pkg_config("--modversion", package), [version()])
        self.assertIn(version(), self.run_program(self.path("usr/bin/vr-client"), "-V").stdout)


class Programs(TreeTest):
    """Outside programs against real replicas, all of what was installed."""

    def group(self, server, count=3):
        group = InstalledGroup(server, count)
        self.addCleanup(group.close)
        return group

    def test_key_value_store_from_c_and_cxx_shared_and_static(self):
        group = self.group(self.path("usr/bin/vr-server"))
        for i in range(group.count):
            subprocess.run([group.server, "init", "--data-dir", group.data(i), "--replica", str(i),
                            "--cluster", group.addresses, "--cluster-id", "abc"], check=True)
            group.start(i, "start", "--data-dir", group.data(i), *times(HEARTBEAT_MS))
        for output, static in (("hello", False), ("hello-static", True)):
            program = self.compile(EXAMPLES / "hello.cc", output, "vrclient",
                                   ("g++", "-std=c++11"), static)
            done = self.run_program(program, group.addresses)
            self.assertEqual((done.returncode, done.stdout), (EXIT_OK, "hello from C++\n"),
                             done.stderr)
        linked = subprocess.run(["objdump", "-p", self.path("hello")], capture_output=True,
                                text=True).stdout
        self.assertRegex(linked, r"NEEDED +libvrclient\.so\.0\n")
        self.assertNotIn("libvrclient", subprocess.run(
            ["objdump", "-p", self.path("hello-static")], capture_output=True, text=True).stdout)

    def test_an_application_of_ones_own_outlives_a_replica(self):
        server = self.compile(EXAMPLES / "adder_server.c", "adder_server", "vr")
        clients = [self.compile(EXAMPLES / "adder_client.c", output, "vrclient", static=static)
                   for output, static in (("adder", False), ("adder-static", True))]
        group = self.group(server)
        for i in range(group.count):
            done = self.run_program(server, "init", group.data(i), str(i), group.addresses, "abc")
            self.assertEqual(done.returncode, EXIT_OK, done.stderr)
            group.start(i, "start", group.data(i))

        def add(*numbers):
            done = [self.run_program(client, group.addresses, *numbers) for client in clients]
            self.assertEqual([d.returncode for d in done], [EXIT_OK] * 2, done)
            return [d.stdout for d in done]
        self.assertEqual(add("40"), ["40\n", "80\n"])
        self.assertEqual(add("forty"), ["?\n", "?\n"])
        primary = group.primary()
        group.servers[primary].kill()
        group.servers[primary].wait(PATIENCE_SECONDS)
        self.assertEqual(add("1"), ["81\n", "82\n"])
        self.assertEqual(add(), ["82\n", "82\n"])
        wait_until(lambda: group.status()["primary"] not in (None, primary), "another primary")


if __name__ == "__main__":
    unittest.main()
