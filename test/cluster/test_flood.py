# SPDX-License-Identifier: Apache-2.0
"""flood as an instrument: rows, a plot, an open loop, whose CPU is whose, and the end by Ctrl-C."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from harness import (BIN, BUILD, CLIENT, EXIT_IO, EXIT_OK, PATIENCE_SECONDS, SANITIZED, ClusterTest,
                     environment, wait_until)

EXIT_CONFIGURATION = 78


class Instrument(ClusterTest):
    def setUp(self):
        self.cluster = self.script_cluster(3, "--durability", "memory")
        self.directory = tempfile.mkdtemp(prefix="vr-flood-")
        self.addCleanup(shutil.rmtree, self.directory)

    def file(self, name):
        return os.path.join(self.directory, name)

    def rows(self, name):
        with open(self.file(name), newline="") as file:
            return list(csv.DictReader(file))

    def flood(self, *arguments):
        done = self.cluster.client("flood", "--json", *arguments)
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        return json.loads(done.stdout)

    def test_rows_open_loop_and_cpu(self):
        result = self.flood("--clients", "16", "--duration", "2.5", "--rate", "400", "--dist", "zipf",
                            "--csv", self.file("rows.csv"), "--verify")
        self.assertEqual(result["dist"], "zipf")
        self.assertEqual(result["violation_count"], 0)
        # However slow the machine is, no more than what was due: 400 a second, the first at once.
        self.assertLessEqual(result["ops"] + result["overdue"], 400 * result["seconds"] + 16)
        self.assertGreater(result["ops"] + result["overdue"], 400 * 2.4 - 16)
        cpu = result["cpu"]
        self.assertGreater(cpu["replicas_cores"], 0)
        self.assertGreater(cpu["flood_cores"], 0)
        self.assertEqual([replica["id"] for replica in cpu["replicas"]], [0, 1, 2])
        rows = self.rows("rows.csv")
        self.assertGreaterEqual(len(rows), 2)
        self.assertTrue(all(float(a["time_s"]) < float(b["time_s"]) for a, b in zip(rows, rows[1:])))
        # Operations in flight at the end are in the summary and in no row.
        self.assertLessEqual(sum(int(row["ops"]) for row in rows), result["ops"])
        self.assertTrue(any(float(row["replicas_cpu"] or 0) > 0 for row in rows[1:]))

    def test_ctrl_c_leaves_a_summary_and_whole_rows(self):
        process = subprocess.Popen(
            [CLIENT, "--cluster", self.cluster.addresses, "--json", "flood", "--duration", "600",
             "--csv", self.file("rows.csv")], stdout=subprocess.PIPE, env=environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        path = pathlib.Path(self.file("rows.csv"))
        wait_until(lambda: path.exists() and path.read_text().count("\n") >= 2, "a row")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, EXIT_OK)
        self.assertGreater(json.loads(out)["ops"], 0)
        self.assertTrue(path.read_text().endswith("\n"))

    def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(self):
        done = self.cluster.client("flood", "--csv", self.file("no/such/directory.csv"))
        self.assertEqual(done.returncode, EXIT_IO)
        self.assertIn(b"cannot write", done.stderr)
        self.assertEqual(self.cluster.value("scan", "flood/"), "")

    def test_plot(self):
        """With a gnuplot that is there, or with one that stands in for it."""
        environment_path = os.environ["PATH"]
        if shutil.which("gnuplot") is None:
            stand_in = pathlib.Path(self.file("gnuplot"))
            stand_in.write_text("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n"
                                "grep -q '^plot ' && printf '\\211PNG stand-in'\n")
            stand_in.chmod(0o755)
            environment_path = f"{self.directory}:{environment_path}"
        run = [CLIENT, "--cluster", self.cluster.addresses, "flood", "--duration", "1.2", "--plot",
               self.file("a picture.png")]
        done = subprocess.run(run, capture_output=True, timeout=PATIENCE_SECONDS,
                              env=environment() | {"PATH": environment_path})
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        self.assertEqual(pathlib.Path(self.file("a picture.png")).read_bytes()[:4], b"\x89PNG")
        done = subprocess.run(run, capture_output=True, timeout=PATIENCE_SECONDS,
                              env=environment() | {"PATH": self.file("nothing here")})
        self.assertEqual(done.returncode, EXIT_CONFIGURATION)
        self.assertIn(b"gnuplot-nox", done.stderr)


@unittest.skipIf(SANITIZED, "what these measure is not for a sanitizer's build")
class Benchmarks(unittest.TestCase):
    """That the scripts run: what they measure in so short a time means nothing."""

    def run_script(self, name, *arguments):
        directory = tempfile.mkdtemp(prefix="vr-bench-")
        self.addCleanup(shutil.rmtree, directory)
        script = pathlib.Path(__file__).resolve().parents[1] / "bench" / name
        done = subprocess.run(
            [sys.executable, "-B", str(script), "--out", directory, *arguments],
            capture_output=True, text=True, timeout=3 * PATIENCE_SECONDS,
            env=environment() | {"VR_BIN": str(BIN), "VR_BUILD": str(BUILD)})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, pathlib.Path(directory)

    def test_run(self):
        out, directory = self.run_script("run.py", "--turns", "2", "--seconds", "0.2", "--clients",
                                         "2", "--series", "operations")
        with open(directory / "results.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertLessEqual({"SET", "GET", "half"}, {row["operation"] for row in rows})
        self.assertTrue(all(row["turns"] == "2" and float(row["ops_per_second"]) > 0
                            for row in rows), rows)
        self.assertIn("| operations | viewstamp | 3 |", out)

    def test_failover(self):
        out, directory = self.run_script("failover.py", "--runs", "1", "--calm-minutes", "0.01",
                                         "--heartbeat-ms", "20", "--clients", "4")
        with open(directory / "failover.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 1)
        self.assertGreater(float(rows[0]["gap_ms"]), 0)
        self.assertIn("| 20 | 1 |", out)


if __name__ == "__main__":
    unittest.main()
