# SPDX-License-Identifier: Apache-2.0
"""Real replica groups for tests: started, broken, watched and cleaned up.

Every cluster has a directory, ports and processes of its own, and is gone when its test ends,
however that ends. Nothing here depends on the speed of the machine: tests wait for conditions,
with deadlines that only a broken program meets.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VR_BIN", ROOT / "bin"))
BUILD = pathlib.Path(os.environ.get("VR_BUILD", ROOT / "build"))
SERVER = str(BIN / "vr-server")
CLIENT = str(BIN / "vr-client")
SCRIPT = str(ROOT / "run_cluster.sh")

PEER_PORT_OFFSET = 100
PATIENCE_SECONDS = 120  # longer than anything that works ever takes
QUICK = os.environ.get("VR_QUICK") == "1"  # `make test`: fewer rounds of the same
SANITIZED = any(name in str(BUILD) for name in ("asan", "tsan"))  # several times slower

# Sanitizers make everything several times slower; timeouts are proportions, and grow with it.
HEARTBEAT_MS = 100 if SANITIZED else 20


def times(heartbeat_ms):
    """Server flags; a view change after 6 heartbeats, as by default."""
    return ["--heartbeat-ms", str(heartbeat_ms), "--view-change-ms", str(6 * heartbeat_ms)]


ALARMS = ("INVARIANT failed", "AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DEGRADED, EXIT_UNAVAILABLE = 0, 1, 2, 3, 4
EXIT_WRONG_GROUP, EXIT_IO = 7, 74

# What the storage says that is wrong; but not VR1213, which a write cut short by a kill leaves.
DISK_PROBLEM = "VR12(0|2|1[0-24-9])"


# Where tests look for ports: below those that the kernel hands out, so that no client's socket takes
# one meanwhile, and below those of tools/demo.sh. A worker of runner.py has a part of it for itself.
PORTS = range(10000, 31000)
ports = PORTS


def slice_of_ports(number, count):
    """The part of PORTS that is worker `number`'s, of `count`."""
    size = len(PORTS) // count
    return PORTS[number * size:(number + 1) * size]


def alone(test):
    """Decorates a test, or a class of them, that measures or that other load disturbs."""
    test.alone = True
    return test


def takes_long(test):
    """Decorates a test, or a class of them, that had better begin early."""
    test.takes_long = True
    return test


def free_first_port(count):
    """The first of `count` ports such that these, and the peer ports above them, are free now."""
    for _ in range(1000):
        first = random.choice(ports[:-PEER_PORT_OFFSET - count])
        try:
            with contextlib.ExitStack() as stack:
                for i in range(count):
                    for port in (first + i, first + i + PEER_PORT_OFFSET):
                        s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                        s.bind(("127.0.0.1", port))
                return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


def wait_until(condition, what, seconds=PATIENCE_SECONDS):
    """What condition() returned once it was true; a failed test if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.02)


def environment():
    """Without variables of the tests' own, and without options that somebody has set."""
    return {k: v for k, v in os.environ.items() if not k.startswith("VR_")} | {"VR_BIN": str(BIN)}


class Group:
    """What tests ask of a running group, however its processes were started."""

    def __init__(self, count, first_port):
        self.count = count
        self.first_port = first_port
        self.addresses = ",".join(f"127.0.0.1:{first_port + i}" for i in range(count))

    def client(self, *arguments, stdin=None, timeout_ms=20000):
        """Runs vr-client; stdout and stderr are bytes, for values are."""
        return subprocess.run(
            [CLIENT, "--cluster", self.addresses, "--timeout", str(timeout_ms), *arguments],
            input=b"" if stdin is None else stdin, capture_output=True, env=environment(),
            timeout=PATIENCE_SECONDS)

    def value(self, *arguments):
        """stdout, without its newline, of a command that must succeed."""
        done = self.client(*arguments)
        if done.returncode != EXIT_OK:
            raise AssertionError(f"vr-client {arguments}: exit {done.returncode}: {done.stderr!r}")
        return done.stdout.removesuffix(b"\n").decode()

    def status(self):
        done = self.client("--json", "status", timeout_ms=1000)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AssertionError(
                f"status --json: exit {done.returncode}: {done.stdout!r} {done.stderr!r}") from None

    def primary(self):
        """The acting primary, once there is one."""
        return wait_until(lambda: (p := self.status()["primary"]) is not None and [p],
                          "a primary")[0]

    def other_primary(self, than):
        return wait_until(
            lambda: (p := self.status()["primary"]) not in (None, than) and [p],
            f"another primary than {than}")[0]

    def replica(self, i):
        return self.status()["replicas"][i]

    def wait_normal(self, *replicas):
        def all_normal():
            status = self.status()
            return status["primary"] is not None and all(
                status["replicas"][i]["status"] == "normal" for i in replicas or range(self.count))
        wait_until(all_normal, f"status normal of {replicas or 'all'}")

    def wait_equal(self, *replicas):
        """Until the replicas (all, unless named) executed the same and have the same state digest.
        Digests that differ at the same op are a failure at once: that is divergence."""
        def equal():
            reports = [r for r in self.status()["replicas"]
                       if r["id"] in (replicas or range(self.count))]
            if any(r["status"] != "normal" for r in reports):
                return False
            digests = [(r["state_digest"]["op"], r["state_digest"]["value"]) for r in reports]
            by_op = {}
            for op, value in digests:
                if by_op.setdefault(op, value) != value:
                    raise AssertionError(f"replicas diverged: {digests}")
            return len(by_op) == 1 and digests[0]
        return wait_until(equal, "equal state digests")

    def check_logs(self):
        """A replica may have been killed, but none may have broken a promise of its own."""
        for i in range(self.count):
            log = self.log(i)
            for alarm in ALARMS:
                if alarm in log:
                    at = log.index(alarm)
                    raise AssertionError(f"replica {i}: ...{log[max(0, at - 200):at + 6000]}")

    @contextlib.contextmanager
    def flood(self, *arguments):
        """A flood that runs while the body does. After the body `flood.result` holds its summary;
        it must have ended well: nothing lost, nothing wrong."""
        def op():
            return max(r.get("op") or 0 for r in self.status()["replicas"])
        before = op()
        flood = Flood(self, arguments)
        try:
            wait_until(lambda: op() > before + 100 or flood.process.poll() is not None,
                       "flood under way")
            yield flood
        except BaseException:
            flood.process.kill()
            flood.process.communicate()
            raise
        flood.finish()


class Flood:
    def __init__(self, group, arguments):
        self.process = subprocess.Popen(
            [CLIENT, "--cluster", group.addresses, "--timeout", "20000", "--json", "flood",
             "--verify", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment())
        self.result = None

    def finish(self):
        """Ends it as Ctrl-C does, which still prints the summary."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        if self.process.returncode != EXIT_OK:
            raise AssertionError(f"flood: exit {self.process.returncode}: {out!r} {err!r}")
        self.result = json.loads(out.splitlines()[-1])
        if self.result["ops"] == 0 or any(self.result["errors"].values()) or \
                self.result["violation_count"] > 0 or self.result["unread_keys"] > 0:
            raise AssertionError(f"flood: {self.result}")


class ScriptCluster(Group):
    """A group that run_cluster.sh runs, as a user would."""

    def __init__(self, count, *flags):
        super().__init__(count, free_first_port(count))
        self.parent = tempfile.mkdtemp(prefix="vr-test-")
        # A space, because users' directories have them.
        self.directory = os.path.join(self.parent, "a cluster")
        try:
            self.run("start", "-n", str(count), "-p", str(self.first_port),
                     "--", *times(HEARTBEAT_MS), *flags)
        except BaseException:
            self.close()
            raise

    def run(self, verb, *arguments, code=EXIT_OK):
        """Runs run_cluster.sh; `code` is the exit code it must have (None: any)."""
        done = subprocess.run([SCRIPT, verb, "-d", self.directory, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=environment(), timeout=PATIENCE_SECONDS)
        if code is not None and done.returncode != code:
            raise AssertionError(f"run_cluster.sh {verb} {arguments}: exit {done.returncode}, "
                                 f"not {code}:\n{done.stdout}{done.stderr}{self.log_tails()}")
        return done

    def kill(self, i):
        self.run("kill", str(i))

    def pause(self, i):
        self.run("pause", str(i))

    def resume(self, i):
        self.run("resume", str(i))

    def restart(self, i):
        """Starts it, at least: the script's own patience with what follows is no test's business, who
        waits for what it needs."""
        done = self.run("restart", str(i), code=None)
        if done.returncode not in (EXIT_OK, EXIT_UNAVAILABLE):
            raise AssertionError(f"run_cluster.sh restart {i}: exit {done.returncode}:\n"
                                 f"{done.stdout}{done.stderr}{self.log_tails()}")

    def stop(self):
        if os.path.isdir(self.directory):
            self.run("stop", code=None)

    def log(self, i):
        path = pathlib.Path(self.directory, f"replica-{i}.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tails(self):
        tails = [f"--- replica {i}\n" + "\n".join(self.log(i).splitlines()[-15:])
                 for i in range(self.count)]
        return "\n".join(tails)

    def pids(self):
        pids = {}
        for i in range(self.count):
            with contextlib.suppress(OSError, ValueError):
                pids[i] = int(pathlib.Path(self.directory, f"replica-{i}.pid").read_text())
        return pids

    def close(self):
        if os.path.isdir(self.directory):
            self.run("destroy", code=None)
        shutil.rmtree(self.parent, ignore_errors=True)


class RelayedCluster(Group):
    """A group whose replicas reach each other only through test/support/relay.c: every replica's
    configured peer port is the relay's, and it really listens on another one."""

    relay_options = ()

    def __init__(self, count, *flags, heartbeat_ms=HEARTBEAT_MS, init_flags=None, init_all=()):
        """`init_all`: flags of init of all replicas.
        `init_flags`: {replica: [flags of init]}; these are not waited for, as they may differ from
        the others'."""
        super().__init__(count, free_first_port(2 * count))
        self.init_flags = init_flags or {}
        self.init_all = init_all
        self.flags = [*times(heartbeat_ms), *flags]
        self.directory = tempfile.mkdtemp(prefix="vr-test-")
        self.servers = [None] * count
        self.relay = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        configured = [self.first_port + i + PEER_PORT_OFFSET for i in range(self.count)]
        self.real = [self.first_port + self.count + i for i in range(self.count)]
        self.relay = subprocess.Popen(
            [str(BUILD / "relay"), *self.relay_options, *(f"{c}={r}" for c, r in zip(configured, self.real))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.relay.stdout.readline() != "ready\n":
            raise AssertionError("the relay did not start")
        cluster_id = f"{random.getrandbits(64) | 1:016x}"
        for i in range(self.count):
            subprocess.run([SERVER, "init", "--data-dir", self._data(i), "--replica", str(i),
                            "--cluster", self.addresses, "--cluster-id", cluster_id,
                            *self.init_all, *self.init_flags.get(i, [])],
                           check=True, capture_output=True)
            self.start(i)
        self.wait_normal(*(i for i in range(self.count) if i not in self.init_flags))

    def _data(self, i):
        return os.path.join(self.directory, f"replica-{i}")

    def start(self, i, *flags):
        log = open(os.path.join(self.directory, f"replica-{i}.log"), "ab")
        with log:
            self.servers[i] = subprocess.Popen(
                [SERVER, "start", "--data-dir", self._data(i),
                 "--listen", f"127.0.0.1:{self.first_port + i}:{self.real[i]}", *self.flags, *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment() | self.variables(i))

    def variables(self, i):
        """What its environment has besides."""
        return {}

    def kill(self, i):
        self.servers[i].kill()
        self.servers[i].wait()
        self.servers[i] = None

    def stop(self):
        for server in self.servers:
            if server is not None:
                server.terminate()
        for server in self.servers:
            if server is not None:
                server.wait(PATIENCE_SECONDS)

    def heal(self):
        """Undoes all orders; returns what the relay counted so far, see relay.c."""
        counts = dict(pair.split("=") for pair in self.order("stats").split()[1:])
        self.order("heal")
        return {name: int(count) for name, count in counts.items()}

    def order(self, *words):
        """An order to the relay: order("loss", "*", 1, 10). See relay.c."""
        print(*words, file=self.relay.stdin, flush=True)
        answer = self.relay.stdout.readline()
        if not answer.startswith("ok"):
            raise AssertionError(f"relay: {words}: {answer}")
        return answer

    def log(self, i):
        return pathlib.Path(self.directory, f"replica-{i}.log").read_text(errors="replace")

    def close(self):
        for server in self.servers:
            if server is not None:
                server.kill()
                server.wait()
        if self.relay is not None:
            self.relay.stdin.close()
            self.relay.wait()
            self.relay.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class ClusterTest(unittest.TestCase):
    """Gives a test its clusters and takes them away again."""

    def script_cluster(self, count, *flags):
        return self.keep(ScriptCluster(count, *flags))

    def relayed_cluster(self, count, *flags, **options):
        return self.keep(RelayedCluster(count, *flags, **options))

    def keep(self, cluster):
        self.addCleanup(cluster.close)
        # First, while there are logs: stopped in good order, so that leaks are seen too.
        self.addCleanup(cluster.check_logs)
        self.addCleanup(cluster.stop)
        return cluster
