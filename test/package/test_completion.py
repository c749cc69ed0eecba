# SPDX-License-Identifier: Apache-2.0
"""Completion, as bash calls it."""

import os
import re
import subprocess
import unittest

from harness import BIN, CLIENT, ROOT, SERVER, environment


def complete(program, line):
    """What Tab offers at the end of `line`."""
    # bash breaks words at these, too, and hands them over as words.
    words = [w for w in re.split(r"\s+|([=:])", line) if w]
    if line.endswith((" ", "=")):
        words.append("" if line.endswith(" ") else "=")
        if line.endswith("="):
            words.pop()
    script = f"""
        source '{ROOT}/packaging/completion/{program}'
        compopt() {{ :; }}  # works only while bash itself completes
        function=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$* COMP_POINT=${{#COMP_LINE}}
        $function {program} "${{COMP_WORDS[COMP_CWORD]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-u", "-c", script, "bash", *words], capture_output=True, text=True,
        env=dict(environment(), PATH=f"{BIN}:{ROOT}:{os.environ['PATH']}"), cwd="/")
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{line!r}: exit {done.returncode}: {done.stderr}")
    return done.stdout.split()


def offered_by_help(*command):
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*=?", done.stdout))


class Completion(unittest.TestCase):
    def test_server(self):
        self.assertEqual(complete("vr-server", "vr-server i"), ["init", "inspect"])
        self.assertEqual(set(complete("vr-server", "vr-server start --")),
                         offered_by_help(SERVER, "start", "--help"))
        self.assertEqual(set(complete("vr-server", "vr-server init --")),
                         offered_by_help(SERVER, "init", "--help"))
        self.assertEqual(complete("vr-server", "vr-server start --heart"), ["--heartbeat-ms="])
        self.assertEqual(complete("vr-server", "vr-server start --log-level=d"), ["debug"])
        self.assertEqual(complete("vr-server", "vr-server start --log-level w"), ["warning"])
        self.assertIn("/usr", complete("vr-server", "vr-server start --data-dir=/us"))
        self.assertEqual(complete("vr-server", "vr-server init --cluster "), [])

    def test_client(self):
        commands = complete("vr-client", "vr-client ")
        for command in ("get", "set", "del", "cas", "incr", "scan", "status", "flood", "help"):
            self.assertIn(command, commands)
        self.assertEqual(complete("vr-client", "vr-client sta"), ["status"])
        self.assertEqual(set(complete("vr-client", "vr-client --")),
                         offered_by_help(CLIENT, "--help"))
        self.assertEqual(
            complete("vr-client", "vr-client --cluster 127.0.0.1:8000 --json flo"), ["flood"])
        self.assertEqual(complete("vr-client", "vr-client --timeout=50 flood --val"),
                         ["--value-size="])
        self.assertEqual(complete("vr-client", "vr-client cas k "), ["--absent"])
        self.assertEqual(complete("vr-client", "vr-client help fl"), ["flood"])
        self.assertEqual(complete("vr-client", "vr-client get k"), [])

    def test_script(self):
        verbs = complete("run_cluster.sh", "run_cluster.sh ")
        for verb in ("help", "start", "status", "client", "kill", "pause", "resume", "restart",
                     "logs", "stop", "destroy"):
            self.assertIn(verb, verbs)
        self.assertEqual(complete("run_cluster.sh", "run_cluster.sh des"), ["destroy"])
        self.assertIn("/usr", complete("run_cluster.sh", "run_cluster.sh stop -d /us"))


if __name__ == "__main__":
    unittest.main()
