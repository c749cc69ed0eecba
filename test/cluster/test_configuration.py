# SPDX-License-Identifier: Apache-2.0
"""Options from flags, environment and files, as the programs take them."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import (CLIENT, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, PATIENCE_SECONDS, ROOT, SERVER,
                     ClusterTest, environment, free_first_port, wait_until)

EXIT_CONFIGURATION = 78
SECTION = re.compile(r"\[(\w+)\]")
KEY = re.compile(r"([a-z-]+) = (.*?) +; (.*)")


def run(program, *arguments, **variables):
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=environment() | variables, timeout=PATIENCE_SECONDS)


def start(*arguments, **variables):
    return run(SERVER, "start", *arguments, **variables)


def printed(done):
    """{(section, key): (value, origin)} of what --print-config printed."""
    settings, section = {}, None
    for line in done.stdout.splitlines():
        if match := SECTION.fullmatch(line):
            section = match[1]
        elif match := KEY.fullmatch(line):
            settings[section, match[1]] = (match[2], match[3])
    return settings


class Configuration(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.port = free_first_port(1)
        self.data = os.path.join(self.directory, "replica")
        done = run(SERVER, "init", "--data-dir", self.data, "--replica", "0", "--cluster",
                   f"127.0.0.1:{self.port}", "--cluster-id", f"{random.getrandbits(63) | 1:x}")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)

    def file(self, text):
        path = os.path.join(self.directory, "vr.conf")
        pathlib.Path(path).write_text(text)
        return path

    def test_where_each_value_came_from(self):
        path = self.file("[timing]\nheartbeat-ms = 30\nview-change-ms = 200\n")
        done = start("--config", path, "--heartbeat-ms", "40", "--print-config",
                     VR_DATAGRAM_SIZE="1000")
        self.assertEqual((done.returncode, done.stderr), (EXIT_OK, ""))
        settings = printed(done)
        self.assertEqual(settings["timing", "heartbeat-ms"], ("40", "flag --heartbeat-ms"))
        self.assertEqual(settings["timing", "view-change-ms"], ("200", f"{path}:3"))
        self.assertEqual(settings["network", "datagram-size"],
                         ("1000", "environment VR_DATAGRAM_SIZE"))
        self.assertEqual(settings["log", "log-level"], ("info", "default"))

    def test_example_says_the_defaults(self):
        """docs/vr.conf.example, with its keys in force, changes nothing."""
        text = (ROOT / "docs" / "vr.conf.example").read_text()
        in_force = self.file(re.sub(r"^;", "", text, flags=re.MULTILINE))
        for program, arguments in ((SERVER, ["start"]), (CLIENT, [])):
            defaults = printed(run(program, *arguments, "--print-config"))
            example = printed(run(program, *arguments, "--print-config", "--config", in_force))
            self.assertGreater(len(defaults), 2)
            for name, (value, origin) in defaults.items():
                self.assertTrue(origin.startswith("default"), origin)
                self.assertEqual(example[name][0], value, name)
            for name in example.keys() - defaults.keys():
                self.assertIn(name, {("replica", "data-dir"), ("network", "listen")})

    def test_check(self):
        good = start("--data-dir", self.data, "--check")
        self.assertEqual((good.returncode, good.stdout, good.stderr), (EXIT_OK, "", ""))
        self.assertEqual(start("--check", VR_DATA_DIR=self.data).returncode, EXIT_OK)
        empty = os.path.join(self.directory, "empty")
        os.mkdir(empty)
        for arguments, words in (
                (["--data-dir", self.data + "-lost"], ("no data directory", "vr-server init")),
                (["--data-dir", empty], ("no file `state`", "init")),
                (["--data-dir", self.data, "--heartbeat-ms", "50", "--view-change-ms", "50"],
                 ("--view-change-ms must be longer", "suspected")),
                (["--data-dir", self.data, "--listen", "0.0.0.0:1"], ("--insecure",))):
            done = start(*arguments, "--check")
            self.assertEqual(done.returncode, EXIT_CONFIGURATION, arguments)
            for word in words:
                self.assertIn(word, done.stderr)
        self.assertEqual(start("--check").returncode, EXIT_USAGE)
        self.assertIn("--data-dir", start("--check").stderr)

    def test_cluster_parameters(self):
        """Written by init, within bounds, and shown by inspect."""
        data = os.path.join(self.directory, "other")

        def init(*flags):
            return run(SERVER, "init", "--data-dir", data, "--replica", "0", "--cluster",
                       f"127.0.0.1:{self.port}", "--cluster-id", "1", *flags)
        for flag, values in (("--checkpoint-interval", ("0", "1000000001", "x")),
                             ("--state-size-max", ("0", "65535", "274877906945", "4G"))):
            for value in values:
                done = init(flag, value)
                self.assertEqual(done.returncode, EXIT_USAGE, (flag, value))
                self.assertIn(f'{flag} must be a number from ', done.stderr)
                self.assertFalse(os.path.exists(data))
        done = init("--checkpoint-interval", "7", "--state-size-max", "65536")
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        for directory, interval, size in ((data, 7, 65536), (self.data, 100000, 4 << 30)):
            done = run(SERVER, "inspect", "--json", "--data-dir", directory)
            self.assertEqual(done.returncode, EXIT_OK, done.stderr)
            parameters = json.loads(done.stdout)["state"]["parameters"]
            self.assertEqual((parameters["checkpoint_interval"], parameters["state_size_max"]),
                             (interval, size))
            text = run(SERVER, "inspect", "--data-dir", directory).stdout
            self.assertIn(f"every {interval} ops", text)
            self.assertIn(f"state {size} bytes", text)

    def test_log_retain(self):
        path = self.file("[replica]\nlog-retain = 5000\n")
        self.assertEqual(printed(start("--print-config"))["replica", "log-retain"],
                         ("100000", "default"))
        self.assertEqual(printed(start("--config", path, "--print-config"))["replica", "log-retain"],
                         ("5000", f"{path}:2"))
        self.assertEqual(printed(start("--log-retain", "6", "--print-config",
                                       VR_LOG_RETAIN="7"))["replica", "log-retain"],
                         ("6", "flag --log-retain"))
        for wrong in ("0", "1000000001", "many"):
            done = start("--data-dir", self.data, "--log-retain", wrong)
            self.assertEqual(done.returncode, EXIT_USAGE, wrong)
            self.assertIn("--log-retain must be a number from 1 to 1000000000", done.stderr)

    def test_transfer_rate(self):
        path = self.file("[replica]\ntransfer-rate = 2097152\n")
        self.assertEqual(printed(start("--print-config"))["replica", "transfer-rate"],
                         ("52428800", "default: 50 MiB a second"))
        self.assertEqual(printed(start("--config", path, "--print-config"))["replica", "transfer-rate"],
                         ("2097152", f"{path}:2"))
        for wrong in ("0", "1048575", "10737418241", "fast"):
            done = start("--data-dir", self.data, "--transfer-rate", wrong)
            self.assertEqual(done.returncode, EXIT_USAGE, wrong)
            self.assertIn("--transfer-rate must be a number from 1048576 to 10737418240", done.stderr)

    def test_mistakes_end_it_with_the_right_code(self):
        flag = start("--data-dir", self.data, "--heartbeat-ms", "x")
        self.assertEqual(flag.returncode, EXIT_USAGE)
        self.assertIn('--heartbeat-ms must be a number from 1 to 3600000, not "x"', flag.stderr)
        near = start("--data-dir", self.data, "--hartbeat-ms", "20")
        self.assertEqual(near.returncode, EXIT_USAGE)
        self.assertIn("did you mean --heartbeat-ms?", near.stderr)
        variable = start("--data-dir", self.data, VR_HEARTBEAT_MS="x")
        self.assertEqual(variable.returncode, EXIT_CONFIGURATION)
        self.assertIn("VR_HEARTBEAT_MS=x", variable.stderr)
        path = self.file("[timing]\nheartbeet-ms = 20\n")
        for more in ([], ["--check"], ["--print-config"]):
            done = start("--data-dir", self.data, "--config", path, *more)
            self.assertEqual((done.returncode, done.stdout), (EXIT_CONFIGURATION, ""))
            self.assertIn(f"{path}:2: heartbeet-ms", done.stderr)
            self.assertIn("Did you mean heartbeat-ms?", done.stderr)

    def test_unknown_variables(self):
        """Warned of once, and of no consequence."""
        said = ("environment: VR_HEARTBEET_MS is no option, and is ignored. Did you mean "
                "VR_HEARTBEAT_MS? [VR1012]")
        for more in (["--check"], ["--print-config"]):
            done = start("--data-dir", self.data, *more, VR_HEARTBEET_MS="1")
            self.assertEqual((done.returncode, done.stderr), (EXIT_OK, f"vr-server: {said}\n"))
        done = run(CLIENT, "--print-config", VR_HEARTBEET_MS="1")
        self.assertEqual((done.returncode, done.stderr), (EXIT_OK, f"vr-client: {said}\n"))
        done = run(CLIENT, "-q", "--print-config", VR_HEARTBEET_MS="1")
        self.assertEqual((done.returncode, done.stderr), (EXIT_OK, ""))
        done = run(CLIENT, "--json", "nonsense", VR_HEARTBEET_MS="1")
        self.assertEqual(done.returncode, EXIT_USAGE)
        self.assertFalse(json.loads(done.stdout)["ok"])

    def test_client(self):
        path = self.file(f"[client]\ncluster = 127.0.0.1:{self.port}\ntimeout = 300\n")
        settings = printed(run(CLIENT, "--config", path, "--print-config"))
        self.assertEqual(settings["client", "timeout"], ("300", f"{path}:3"))
        nobody = run(CLIENT, "get", "a", VR_CONFIG=path)
        self.assertEqual(nobody.returncode, EXIT_UNAVAILABLE, nobody.stderr)
        self.assertIn(f"127.0.0.1:{self.port}", nobody.stderr)
        wrong = run(CLIENT, "get", "a", VR_CLUSTER="127.0.0.1")
        self.assertEqual(wrong.returncode, EXIT_CONFIGURATION)
        self.assertIn("VR_CLUSTER", wrong.stderr)
        wrong = run(CLIENT, "--cluster", "127.0.0.1", "get", "a")
        self.assertEqual(wrong.returncode, EXIT_USAGE)
        wrong = run(CLIENT, "--config", self.file("[client]\ncluster = a:b:c:d\n"), "get", "a")
        self.assertEqual(wrong.returncode, EXIT_CONFIGURATION)
        self.assertIn("vr.conf:2", wrong.stderr)
        flags = run(CLIENT, "-qjc", f"127.0.0.1:{self.port}", "-t", "100", "get", "a")
        self.assertEqual(flags.returncode, EXIT_UNAVAILABLE, flags.stderr)


class ConfiguredServer(ClusterTest):
    def test_unknown_variables_are_in_the_log(self):
        with tempfile.TemporaryDirectory(prefix="vr-test-") as directory:
            data = os.path.join(directory, "data")
            port = free_first_port(1)
            self.assertEqual(run(SERVER, "init", "--data-dir", data, "--replica", "0", "--cluster",
                                 f"127.0.0.1:{port}", "--cluster-id", "1").returncode, EXIT_OK)
            server = subprocess.Popen(
                [SERVER, "start", "--data-dir", data, "--log-format", "json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=environment() | {"VR_HEARTBEET_MS": "1"})
            try:
                self.assertEqual(server.stdout.readline(), "ready\n")
            finally:
                server.terminate()
                log = [json.loads(line) for line in server.communicate()[1].splitlines()]
            self.assertEqual(server.returncode, EXIT_OK)
            warnings = [line for line in log if line["id"] == "VR1012"]
            self.assertEqual(len(warnings), 1)
            self.assertEqual(warnings[0]["level"], "warning")
            self.assertIn("VR_HEARTBEET_MS", warnings[0]["message"])

    def test_server_runs_with_its_file(self):
        """A running replica's banner says what the file said, and --check leaves it alone."""
        with tempfile.TemporaryDirectory(prefix="vr-test-") as directory:
            path = os.path.join(directory, "vr.conf")
            pathlib.Path(path).write_text("[replica]\nlog-memory-max = 33554432\n")
            cluster = self.script_cluster(1, "--config", path)
            wait_until(lambda: "log 32 MiB" in cluster.log(0), "the banner of replica 0")
            data = os.path.join(cluster.directory, "replica-0")
            self.assertEqual(start("--data-dir", data, "--check").returncode, EXIT_OK)
            self.assertEqual(cluster.client("set", "a", "1").returncode, EXIT_OK)
