# SPDX-License-Identifier: Apache-2.0
"""systemd's side of a replica: a socket in NOTIFY_SOCKET that is told when it serves, what it does,
and that it stops."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import (EXIT_OK, PATIENCE_SECONDS, SERVER, environment, free_first_port, times,
                     HEARTBEAT_MS)


class Supervisor(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(os.path.join(self.directory, "notify"))
        self.socket.settimeout(PATIENCE_SECONDS)
        self.port = free_first_port(1)
        self.make()

    def make(self):
        subprocess.run([SERVER, "init", "--data-dir", self.data(), "--replica", "0", "--cluster",
                        f"127.0.0.1:{self.port}", "--cluster-id", "5eed"],
                       check=True, env=environment())

    def data(self):
        return os.path.join(self.directory, "data")

    def start(self):
        server = subprocess.Popen(
            [SERVER, "start", "--data-dir", self.data(), *times(HEARTBEAT_MS)],
            env=dict(environment(), NOTIFY_SOCKET=self.socket.getsockname()),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return server

    def told(self):
        return self.socket.recv(4096).decode()

    def test_is_told_ready_status_and_stopping(self):
        server = self.start()
        self.assertEqual(self.told(), "READY=1")
        # Ready means that the sockets are bound: nobody else can have the port.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            self.assertRaises(OSError, other.bind, ("127.0.0.1", self.port))
        said = self.told()
        while "primary of view" not in said:
            self.assertTrue(said.startswith("STATUS="), said)
            said = self.told()
        server.send_signal(signal.SIGTERM)
        while said.startswith("STATUS="):
            said = self.told()
        self.assertEqual(said, "STOPPING=1")
        self.assertEqual(server.wait(PATIENCE_SECONDS), EXIT_OK)

    def test_a_group_of_one_always_gets_its_primary(self):
        """Its state file may become durable at any point of its start; nobody else wakes it."""
        for _ in range(25):
            server = self.start()
            while "primary of view" not in self.told():
                pass
            server.kill()
            server.wait()
            shutil.rmtree(self.data())
            self.make()

    def test_a_start_that_fails_is_never_ready(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", self.port))
            self.assertNotEqual(self.start().wait(PATIENCE_SECONDS), EXIT_OK)
        self.socket.settimeout(0)
        self.assertRaises(BlockingIOError, self.told)


if __name__ == "__main__":
    unittest.main()
