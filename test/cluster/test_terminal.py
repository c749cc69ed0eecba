# SPDX-License-Identifier: Apache-2.0
"""The prompt on a real terminal: what a user types, and what the screen shows."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

from harness import (CLIENT, EXIT_OK, EXIT_UNAVAILABLE, PATIENCE_SECONDS, ClusterTest, Group, ScriptCluster,
                     environment, free_first_port)

PROMPT = r"(view \d+, primary \d+|view \d+|no primary)> "
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")
EXIT_UNKNOWN = 5
TAB, CTRL_C, CTRL_D, CTRL_U, UP = "\t", "\x03", "\x04", "\x15", "\x1b[A"


class Terminal:
    """vr-client at a terminal of its own. `seen` is what came since the last expect()."""

    def __init__(self, group, *arguments, columns=80, timeout_ms=60000, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.execve(CLIENT, [CLIENT, "--cluster", group.addresses,
                                   "--timeout", str(timeout_ms), *arguments],
                          dict(environment(), **env))
            os._exit(127)
        self.dumb = env.get("TERM") == "dumb"
        self.resize(columns)
        self.seen = ""
        self.all = ""
        self.status = None

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _read(self):
        """False once the program has closed the terminal, which it does by ending."""
        if select.select([self.fd], [], [], 0.1)[0]:
            try:
                some = os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                return False
            self.seen += some
            self.all += some
            return bool(some)
        return True

    def expect(self, pattern, seconds=PATIENCE_SECONDS):
        """Reads until the pattern is there, and forgets what came up to its end. Returns that,
        without escape sequences."""
        deadline = time.monotonic() + seconds
        while True:
            plain = ESCAPE.sub("", self.seen)
            match = re.search(pattern, plain)
            if match:
                # What follows the match has no part in what was shown up to it.
                rest = len(plain) - match.end()
                self.seen = plain[match.end():] if rest else ""
                return plain[:match.end()]
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {pattern!r} in {self.seen!r}")
            if not self._read():
                raise AssertionError(f"ended before {pattern!r}: {self.seen!r}")

    def prompt(self):
        """The prompt, and the keyboard ready for it: libedit shows the one and then sets up the
        other, and what is typed in between is echoed twice. Returns what came before."""
        shown = self.expect(PROMPT)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.dumb and termios.tcgetattr(self.fd)[3] & termios.ECHO:
            if time.monotonic() > deadline:
                raise AssertionError("the terminal is not made ready for editing")
            time.sleep(0.001)
        return shown

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def interrupt_line(self):
        """Ctrl-C until it is noticed: one that comes while libedit is busy with a key is lost."""
        for _ in range(PATIENCE_SECONDS):
            self.type(CTRL_C)
            with contextlib.suppress(TimeoutError):
                self.expect(r"\^C\r?\n", seconds=1)
                self.prompt()
                return
        raise AssertionError("Ctrl-C has no effect")

    def command(self, line):
        """What the command printed."""
        self.type(line + "\n")
        self.expect(r"\n")
        return re.sub(PROMPT + r"$", "", self.prompt()).replace("\r", "")

    def end(self, keys=""):
        """Reads until it has ended - closing the terminal earlier would be a hang-up - and returns
        its exit code. Types `keys` until then: one that comes while the terminal changes between
        editing and running a command is lost, as for interrupt_line(), or stands in the line as a
        character, which is why the line is emptied first."""
        if self.status is None:
            deadline = time.monotonic() + PATIENCE_SECONDS
            again = time.monotonic()
            first = True
            while self._read():
                if time.monotonic() > deadline:
                    raise AssertionError(f"does not end: {self.seen!r}")
                if keys and time.monotonic() > again:
                    with contextlib.suppress(OSError):  # it has just ended
                        self.type(keys if first else CTRL_U + keys)
                    first = False
                    again = time.monotonic() + 2
            self.status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self.status)

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)


class TerminalTest(ClusterTest):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix="vr-test-")
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)

    def terminal(self, group, *arguments, **options):
        # No ~/.editrc of whoever runs this.
        env = {"TERM": "xterm", "XDG_STATE_HOME": self.state, "HOME": self.state, "NO_COLOR": ""}
        env.update({k: options.pop(k) for k in list(options) if k.isupper()})
        terminal = Terminal(group, *arguments, **env, **options)
        self.addCleanup(terminal.close)
        return terminal

    def history(self):
        return pathlib.Path(self.state, "viewstamp", "history")


class Editing(TerminalTest):
    """One cluster of one replica is enough for what happens at the keyboard."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = ScriptCluster(1)
        cls.addClassCleanup(cls.cluster.close)

    def test_ctrl_d_leaves(self):
        t = self.terminal(self.cluster)
        t.prompt()
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_quit_leaves(self):
        t = self.terminal(self.cluster)
        t.prompt()
        t.type("quit\n")
        self.assertEqual(t.end(), EXIT_OK)

    def test_tab_completes_commands_and_keys(self):
        t = self.terminal(self.cluster)
        t.prompt()
        self.assertEqual(t.command("sca" + TAB + "completion/"), "0 keys\n")
        self.assertEqual(t.command('set "completion/a key" v'), "ok\n")
        self.assertEqual(t.command("ge" + TAB + "comp" + TAB), "v\n")
        # A key that only a scan has shown.
        self.assertEqual(self.cluster.client("set", "shown/k\u00fcche", "w").returncode, EXIT_OK)
        self.assertIn("shown/", t.command("scan shown/"))
        self.assertEqual(t.command("get sho" + TAB), "w\n")
        # Several: listed, and the line is there again.
        t.type("s" + TAB)
        t.expect(r"scan +set +status")
        t.expect(PROMPT + "s")
        t.interrupt_line()
        self.assertIn("set KEY VALUE", t.command("help se" + TAB))

    def test_wrong_commands_are_explained(self):
        t = self.terminal(self.cluster)
        prompt = t.prompt()
        prompt = len(re.search(PROMPT, prompt).group(0))
        said = t.command("gte x").split("\n")
        self.assertEqual(said[0], " " * prompt + "^~~")
        self.assertIn('did you mean "get"?', said[1])
        said = t.command("incr a ten").split("\n")
        self.assertEqual(said[0], " " * (prompt + len("incr a ")) + "^~~")
        said = t.command('get "oops').split("\n")
        self.assertEqual(said[0], " " * (prompt + len("get ")) + "^")
        said = t.command("set a b c").split("\n")
        self.assertEqual(said[0], " " * (prompt + len("set a b ")) + "^")
        self.assertIn('"get"', t.command("help gte"))
        # One that the screen cannot show in a line is shown again, in part.
        said = t.command("incr a " + "x" * 200).split("\n")
        self.assertRegex(said[0], r"^    incr a x+$")
        self.assertRegex(said[1], r"^ {11}\^~+$")

    def test_history_survives_a_restart(self):
        t = self.terminal(self.cluster)
        t.prompt()
        t.command("set history 1")
        t.command(" set secret 1")
        self.assertEqual(t.command("get history"), "1\n")
        self.assertEqual(t.end(CTRL_D), EXIT_OK)
        self.assertEqual(self.history().read_text(), "set history 1\nget history\n")
        self.assertEqual(self.history().stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.history().parent.stat().st_mode & 0o777, 0o700)

        t = self.terminal(self.cluster)
        t.prompt()
        t.type(UP)
        t.expect("get history")
        t.type(UP)
        t.expect("set history 1")
        self.assertEqual(t.command(""), "ok\n")

    def test_two_prompts_keep_one_history(self):
        first, second = self.terminal(self.cluster), self.terminal(self.cluster)
        first.prompt()
        second.prompt()
        first.command("get a1")
        second.command("get b1")
        first.command("get a2")
        for t in first, second:
            self.assertEqual(t.end(CTRL_D), EXIT_OK)
        self.assertEqual(self.history().read_text(), "get a1\nget b1\nget a2\n")

    def test_a_history_that_cannot_be_kept_is_said_once(self):
        self.history().mkdir(parents=True)
        t = self.terminal(self.cluster)
        self.assertEqual(t.prompt().count("history is not kept"), 1)
        self.assertEqual(t.command("set a 1"), "ok\n")
        self.assertEqual(t.command("get a"), "1\n")

    def test_ctrl_c_drops_the_line(self):
        t = self.terminal(self.cluster)
        t.prompt()
        t.type("set interrupted 1")
        t.expect("set interrupted 1")
        t.interrupt_line()
        self.assertEqual(t.command("get interrupted"), "key not found\n")

    def test_a_value_from_the_keyboard(self):
        t = self.terminal(self.cluster)
        t.prompt()
        t.type("set typed -\n")
        t.expect("Ctrl-D on a line of its own")
        t.type("one\ntwo\n" + CTRL_D)
        t.expect("ok\r?\n")
        t.prompt()
        self.assertEqual(t.command("get typed"), '"one\\ntwo\\n"\n')
        t.type("set typed -\n")
        t.expect("Ctrl-D on a line of its own")
        t.type("three\n")
        t.expect("three\r?\n")
        t.type(CTRL_C)
        t.expect("cancelled; nothing was sent")
        t.prompt()
        self.assertEqual(t.command("get typed"), '"one\\ntwo\\n"\n')

    def test_timing(self):
        t = self.terminal(self.cluster)
        t.prompt()
        self.assertEqual(t.command("timing on"), "")
        self.assertRegex(t.command("set timed 1"), r"^ok\n\(\d+\.\d\d ms\)\n$")
        self.assertEqual(t.command("timing off"), "")
        self.assertRegex(t.command("timing get timed"), r"^1\n\(\d+\.\d\d ms\)\n$")
        self.assertEqual(t.command("get timed"), "1\n")

    def test_a_dumb_terminal_gets_no_escape_sequences(self):
        t = self.terminal(self.cluster, TERM="dumb")
        t.prompt()
        self.assertEqual(t.command("set dumb 1"), "ok\n")
        self.assertIn("did you mean", t.command("gte x"))
        self.assertIn("healthy", t.command("status"))
        self.assertEqual(t.end(CTRL_D), EXIT_OK)
        self.assertNotIn("\x1b", t.all)

    def test_colour_is_for_bad_news_and_can_be_refused(self):
        for refused in (False, True):
            t = self.terminal(self.cluster, NO_COLOR="1" if refused else "")
            t.prompt()
            t.command("set colour 1")
            self.assertNotRegex(t.all, r"\x1b\[[0-9;]*m")
            t.command("gte colour")
            self.assertEqual("\x1b[31m" in t.all, not refused)
            self.assertEqual(t.end(CTRL_D), EXIT_OK)
            self.assertEqual(bool(re.search(r"\x1b\[[0-9;]*m", t.all)), not refused)

    def test_long_lines_and_another_size(self):
        t = self.terminal(self.cluster, columns=40)
        t.prompt()
        value = "x" * 300
        self.assertEqual(t.command("set long " + value).splitlines()[-1], "ok")
        t.resize(100)
        self.assertIn(value, t.command("get long"))
        t.resize(30)
        self.assertEqual(t.command("set short 1").splitlines()[-1], "ok")

    def test_watch_draws_in_place_and_ctrl_c_ends_it(self):
        # Too narrow: summary, head and the one replica take two rows each.
        t = self.terminal(self.cluster, "status", "--watch", "--interval", "0.1", columns=80)
        for _ in range(3):
            t.expect("Ctrl-C ends")
        t.type(CTRL_C)
        self.assertEqual(t.end(), EXIT_OK)
        # Up over these, the outlook and the clock.
        self.assertEqual(set(re.findall(r"\x1b\[\d+A\r\x1b\[J", t.all)), {"\x1b[8A\r\x1b[J"})

        t = self.terminal(self.cluster)
        t.prompt()
        t.type("status --watch --interval 0.1\n")
        for _ in range(3):
            t.expect("Ctrl-C ends")
        t.type(CTRL_C)
        t.prompt()
        self.assertEqual(t.command("set after-watch 1"), "ok\n")

    def test_ctrl_c_ends_what_goes_on_and_not_the_prompt(self):
        t = self.terminal(self.cluster)
        t.prompt()
        for line, running in (("trace --follow --heartbeats", r"began view|what\r?\n"),
                              ("timing trace --follow", r"what\r?\n"),
                              ("flood --duration 600 --clients 1", r"p99")):
            t.type(line + "\n")
            t.expect(running)
            t.type(CTRL_C)
            t.prompt()
            self.assertEqual(t.command("set after-ctrl-c 1"), "ok\n", line)
        self.assertEqual(t.command("get after-ctrl-c"), "1\n")
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_pipes_have_no_prompt(self):
        done = self.cluster.client(stdin=b"set piped 1\nget piped\ngte\nget piped\n")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, b"ok\n1\n")
        self.assertIn(b'line 3: there is no command "gte"; did you mean "get"?', done.stderr)
        done = self.cluster.client("--keep-going", stdin=b"gte\nget piped\n")
        self.assertEqual((done.returncode, done.stdout), (2, b"1\n"))
        done = self.cluster.client(stdin=b"timing on\nget piped\n")
        self.assertEqual(done.stdout, b"1\n")
        self.assertRegex(done.stderr, rb"^\(\d+\.\d\d ms\)\n$")
        done = self.cluster.client(stdin=b"\x1b[2Jgte\n")
        self.assertIn(b'there is no command "?[2Jgte"', done.stderr)
        done = self.cluster.client("stauts")
        self.assertIn(b'did you mean "status"?', done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_each_answer_of_a_pipe_comes_at_once(self):
        with subprocess.Popen([CLIENT, "--cluster", self.cluster.addresses],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=environment()) as client:
            for i in range(3):
                client.stdin.write(b"set at-once %d\n" % i)
                client.stdin.flush()
                self.assertTrue(select.select([client.stdout], [], [], PATIENCE_SECONDS)[0])
                self.assertEqual(client.stdout.readline(), b"ok\n")
            client.stdin.close()
            self.assertEqual(client.wait(PATIENCE_SECONDS), EXIT_OK)


class Waiting(TerminalTest):
    """What is said while the group does not answer."""

    def test_a_primary_killed_during_a_set(self):
        c = self.script_cluster(3)
        t = self.terminal(c)
        t.prompt()
        self.assertEqual(t.command("set k 1"), "ok\n")
        old = c.primary()
        others = [i for i in range(3) if i != old]
        # The others sleep until the line has been seen: a fail-over may be quicker than that.
        for i in others:
            c.pause(i)
        c.kill(old)
        t.type("set k 2\n")
        t.expect(rf"primary {old} silent, asking all replicas \(\d+\.\d s\)")
        for i in others:
            c.resume(i)
        shown = t.expect(r"\nok\r?\n")
        t.prompt()
        self.assertRegex(shown, rf"primary {old} silent, asking all replicas \(\d+\.\d s\) \.\.\. "
                                rf"view \d+, primary [{others[0]}{others[1]}]\s")
        self.assertEqual(t.command("get k"), "2\n")
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_ctrl_c_ends_the_wait_and_not_the_prompt(self):
        c = self.script_cluster(3)
        t = self.terminal(c, timeout_ms=600000)
        t.prompt()
        self.assertEqual(t.command("set k 1"), "ok\n")
        primary = c.primary()
        others = [i for i in range(3) if i != primary]
        for i in others:
            c.pause(i)
        t.type("set k 2\n")
        t.expect(r"\(\d+\.\d s\)")
        t.type(CTRL_C)
        t.expect("cancelled after .* outcome unknown: it may have been executed, or may yet be")
        t.prompt()
        # A read changes nothing: its outcome is known.
        t.type("get k\n")
        t.expect(r"\(\d+\.\d s\)")
        t.type(CTRL_C)
        t.expect("cancelled after .* it was not executed")
        t.prompt()
        t.type("status\n")
        t.expect("UNAVAILABLE")
        t.prompt()
        for i in others:
            c.resume(i)
        self.assertEqual(t.command("set k 3").splitlines()[-1], "ok")
        self.assertEqual(t.command("get k"), "3\n")
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_one_command_says_it_too(self):
        c = self.script_cluster(3)
        primary = c.primary()
        others = [i for i in range(3) if i != primary]
        for i in others:
            c.pause(i)
        t = self.terminal(c, "set", "k", "1", timeout_ms=600000)
        t.expect(r"\(\d+\.\d s\)")
        t.type(CTRL_C)
        t.expect("cancelled after ")
        self.assertIn(t.end(), (EXIT_UNAVAILABLE, EXIT_UNKNOWN))
        for i in others:
            c.resume(i)

    def test_many_ctrl_c_do_not_end_the_prompt(self):
        c = self.script_cluster(1)
        t = self.terminal(c)
        t.prompt()
        for _ in range(20):
            t.type(CTRL_C + CTRL_C)
            with contextlib.suppress(TimeoutError):  # one between two prompts does nothing
                t.expect(r"\^C\r?\n", seconds=0.5)
        # A late one takes with it what was typed: again, then.
        for _ in range(20):
            t.type("set last 1\n")
            with contextlib.suppress(TimeoutError):
                t.expect(r"ok\r?\n", seconds=PATIENCE_SECONDS / 20)
                break
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_ctrl_c_ends_every_command_that_finds_nobody(self):
        """Those without a session, too: a second one comes while the first is heeded."""
        t = self.terminal(Group(3, free_first_port(3)), timeout_ms=600000)
        t.prompt()
        for line in ("trace", "trace --follow", "log-level debug", "timing trace --op 1", "status"):
            t.type(line + "\n")
            t.expect(r"\n")
            time.sleep(0.2)  # one that comes before the command does is the line's
            t.type(CTRL_C)
            self.assertIn("cancelled", t.prompt(), line)
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

    def test_nobody_there(self):
        nobody = Group(3, free_first_port(3))
        t = self.terminal(nobody, timeout_ms=1500)
        self.assertEqual(t.prompt(), "no primary> ")
        said = t.command("set k 1")
        self.assertIn("no primary known, asking all replicas", said)
        self.assertIn("no replica answers: asked", said)
        self.assertEqual(t.end(CTRL_D), EXIT_OK)

