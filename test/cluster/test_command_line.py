# SPDX-License-Identifier: Apache-2.0
"""What scripts rely on without a cluster: errors under --json, and exit codes of what only prints."""

import json
import subprocess
import tempfile
import unittest

from harness import CLIENT, EXIT_IO, EXIT_OK, EXIT_USAGE, PATIENCE_SECONDS, SERVER, environment

EXIT_CONFIGURATION = 78


def run(*words, stdout=subprocess.PIPE, errors=None, **variables):
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                          text=True, errors=errors, env=environment() | variables, timeout=PATIENCE_SECONDS)


class Misspelt(unittest.TestCase):
    """Each command that has options says which one was meant."""

    def check(self, meant, *words):
        done = run(*words)
        self.assertEqual((done.returncode, done.stdout), (EXIT_USAGE, ""), words)
        self.assertRegex(done.stderr, rf'did you mean "?{meant}\b', words)

    def test_client(self):
        for meant, *words in (("--watch", "status", "--wach"), ("--op", "trace", "--opp", "3"),
                              ("--type", "trace", "--last", "3", "--tpye=Prepare"),
                              ("--verify", "flood", "--count", "9", "--verfiy"),
                              ("--replica", "log-level", "--repilca", "1"),
                              ("--force", "backup", "--forced", "file"),
                              ("--without", "unsafe-restore", "--witout", "1"),
                              ("--absent", "cas", "k", "--abesnt", "v"),
                              ("--json", "get", "--jsno", "k"), ("--quiet", "--qiuet", "get", "k")):
            self.check(meant, CLIENT, *words)

    def test_server(self):
        for meant, *words in (("--data-dir", "init", "--data-dri", "d"),
                              ("--state-size-max", "init", "--replica", "0", "--state-szie-max=1"),
                              ("--from-backup", "init", "--form-backup", "f"),
                              ("--json", "inspect", "--jsno"), ("--rebuild", "start", "--rebiuld"),
                              ("inspect", "inpsect"), ("start", "strat")):
            self.check(meant, SERVER, *words)


class JsonErrors(unittest.TestCase):
    """Under --json every error is one object on stdout, and nothing else is said."""

    def check(self, *arguments, says, code=EXIT_USAGE, error="usage", **variables):
        done = run(CLIENT, *arguments, **variables)
        self.assertEqual((done.returncode, done.stderr), (code, ""), arguments)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), 1, arguments)
        self.assertIs(answers[0]["ok"], False)
        self.assertEqual((answers[0]["outcome"], answers[0]["error"]), ("failed", error))
        self.assertIn(says, answers[0]["message"])

    def test_options(self):
        self.check("--json", "--timeout", "x", says="--timeout must be a number")
        self.check("--timeout", "x", "--json", says="--timeout must be a number")
        self.check("--json", "--datagram-size", "1", says="--datagram-size must be")
        self.check("--json", "--bogus", "get", "k", says="--bogus")
        self.check("--json", "--timeuot", "1", "get", "k", says="did you mean --timeout?")
        self.check("--json", "--cluster", says="requires an argument")

    def test_options_of_commands(self):
        self.check("--json", "trace", "--mermiad", says="did you mean --mermaid?")
        self.check("flood", "--cleints", "3", "--json", says="did you mean --clients?")
        self.check("backup", "--json", "--forec", "x", says="did you mean --force")

    def test_environment(self):
        self.check("--json", "get", "k", code=EXIT_CONFIGURATION, error="configuration",
                   says="VR_TIMEOUT=x", VR_TIMEOUT="x")

    def test_all_that_is_wrong(self):
        """In a file, and elsewhere: as many as text shows, whatever bytes they have."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"[client]\ntimeout = \xff\ntimuot = 1\n[timing]\nheartbeat-ms = x\n")
            file.flush()
            wrong = {"VR_DATAGRAM_SIZE": "1", "VR_CONFIG": file.name}
            text = run(CLIENT, "get", "k", **wrong, errors="replace").stderr.splitlines()
            done = run(CLIENT, "-j", "get", "k", **wrong)
        self.assertEqual((done.returncode, done.stderr), (EXIT_CONFIGURATION, ""))
        answer = json.loads(done.stdout)
        self.assertEqual((answer["ok"], answer["error"]), (False, "configuration"))
        self.assertEqual(len(text), 4)
        self.assertEqual([p.replace("?", "") for p in answer["problems"]],
                         [t.removeprefix("vr-client: ").replace("\ufffd", "").replace("?", "")
                          for t in text])
        self.assertEqual(answer["message"], "; ".join(answer["problems"]))

    def test_letters_in_a_group(self):
        for group in ("-j", "-qj", "-jq", "-qkj"):
            self.check(group, "--timeout", "x", says="--timeout must be a number")
            self.check("--bogus", group, says="--bogus")
        done = run(CLIENT, "-qcj", "--timeout", "x")  # a list that is called j
        self.assertEqual((done.returncode, done.stdout), (EXIT_USAGE, ""))
        self.assertIn("vr-client", run(CLIENT, "-jV").stdout)

    def test_commands(self):
        self.check("--json", "get", says="too few")
        self.check("--json", "dance", says="no command")
        self.check("--json", "status", "--bogus", says="--bogus")
        self.check("--json", "flood", "--bogus", says="--bogus")
        self.check("flood", "--clients", "x", "--json", says="--clients x")
        self.check("--json", "flood", "--count", "1", "--duration", "1", says="exclude")
        self.check("--json", "trace", "--bogus", says="--bogus")
        self.check("trace", "--op", "x", "--json", says="--op")
        self.check("trace", "--op", "1", "--last", "2", "--json", says="leave out --follow, --last")
        self.check("trace", "--mermaid", "--json", says="two forms of the same")
        self.check("--json", "log-level", "--bogus", says="--bogus")

    def test_words_that_look_like_options(self):
        self.check("--json", "set", "--json", "3", says="no option --json (vr-client's go before")
        self.check("--json", "get", "--bogus", says="put -- before it")

    def test_text_without_it(self):
        done = run(CLIENT, "--timeout", "x")
        self.assertEqual((done.returncode, done.stdout), (EXIT_USAGE, ""))
        self.assertIn("--timeout must be a number from 1 to", done.stderr)


class Help(unittest.TestCase):
    """--help behind a command explains it, and is no key by accident."""

    def test_every_command(self):
        listed = json.loads(run(CLIENT, "--json", "help").stdout)["commands"]
        self.assertGreater(len(listed), 9)
        for command in (one["name"] for one in listed if one["name"] != "timing"):
            done = run(CLIENT, "--cluster", "127.0.0.1:1", command, "--help")
            self.assertEqual((done.returncode, done.stderr), (EXIT_OK, ""), command)
            self.assertIn(command, done.stdout)
        for line in ("get --help", "set k --help"):
            done = subprocess.run([CLIENT, "--cluster", "127.0.0.1:1"], input=line + "\n",
                                  capture_output=True, text=True, env=environment(),
                                  timeout=PATIENCE_SECONDS)
            self.assertEqual((done.returncode, done.stderr), (EXIT_OK, ""), line)
            self.assertIn("example:", done.stdout)

    def test_the_programs_own_names_all_commands(self):
        said = " ".join(run(CLIENT, "--help").stdout.split())
        for one in json.loads(run(CLIENT, "--json", "help").stdout)["commands"]:
            self.assertIn(one["name"] + " ", said)


class FullStdout(unittest.TestCase):
    """What could not be printed was not done, though it be but a help text."""

    def test_help_and_version(self):
        for words in ((CLIENT, "--help"), (CLIENT, "--usage"), (CLIENT, "--version"),
                      (CLIENT, "help"), (CLIENT, "flood", "--help"), (CLIENT, "trace", "--help"),
                      (CLIENT, "--print-config"), (SERVER, "--help"), (SERVER, "--version"),
                      (SERVER, "init", "--help"), (SERVER, "start", "--help"),
                      (SERVER, "start", "--print-config")):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = run(*words, stdout=full)
            self.assertEqual(done.returncode, EXIT_IO, words)
            self.assertIn("cannot write to stdout", done.stderr)
            self.assertEqual(run(*words).returncode, EXIT_OK, words)
