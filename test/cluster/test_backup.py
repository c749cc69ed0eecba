# SPDX-License-Identifier: Apache-2.0
"""A backup of a running group, and a new group from it: everything acknowledged is there, and the two
groups never take each other for theirs."""

import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import time

from harness import (CLIENT, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE,
                     HEARTBEAT_MS, PATIENCE_SECONDS, SANITIZED, SERVER, ClusterTest, Group,
                     environment, free_first_port, times, wait_until)

EXIT_IO = 74
EXIT_CONFIGURATION = 78


def init_from(backup, directory, addresses, *flags):
    return subprocess.run(
        [SERVER, "init", "--from-backup", backup, "--data-dir", directory, "--replica", "0",
         "--cluster", addresses, *flags],
        capture_output=True, text=True, env=environment(), timeout=PATIENCE_SECONDS)


class RestoredCluster(Group):
    """A group made from a backup, by just what init prints."""

    def __init__(self, backup, parent, count, *flags):
        super().__init__(count, free_first_port(count))
        self.directory = os.path.join(parent, f"restored {self.first_port}")
        os.mkdir(self.directory)
        self.servers = {}
        try:
            self._init(backup, flags)
            for i in range(count):
                self.start(i)
            self.wait_normal()
        except BaseException:
            self.close()
            raise

    def _data(self, i):
        return os.path.join(self.directory, f"replica-{i}")

    def _init(self, backup, flags):
        done = init_from(backup, self._data(0), self.addresses, *flags)
        if done.returncode != EXIT_OK:
            raise AssertionError(f"init: exit {done.returncode}: {done.stdout}{done.stderr}")
        self.printed = done.stdout
        self.cluster_id = re.search(r"new cluster ([0-9a-f]{16}) ", done.stdout)[1]
        commands = [line.strip() for line in done.stdout.splitlines()
                    if line.startswith("  vr-server init ")]
        assert len(commands) == self.count - 1, done.stdout
        for command in commands:
            words = shlex.split(command)
            subprocess.run([SERVER, *words[1:]], check=True, capture_output=True,
                           env=environment(), timeout=PATIENCE_SECONDS)

    def start(self, i, *flags):
        with open(os.path.join(self.directory, f"replica-{i}.log"), "ab") as log:
            self.servers[i] = subprocess.Popen(
                [SERVER, "start", "--data-dir", self._data(i), "--durability", "async",
                 *times(HEARTBEAT_MS), *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, i):
        server = self.servers.pop(i)
        server.kill()
        server.wait()

    def stop(self):
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.wait(PATIENCE_SECONDS)

    def log(self, i):
        path = pathlib.Path(self.directory, f"replica-{i}.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self):
        for server in self.servers.values():
            server.kill()
            server.wait()


class MixedCluster(RestoredCluster):
    """A group whose members somebody initialised differently. They are not started yet."""

    def __init__(self, parent, files):
        Group.__init__(self, len(files), free_first_port(len(files)))
        self.directory = os.path.join(parent, f"mixed {self.first_port}")
        os.mkdir(self.directory)
        self.servers = {}
        self.cluster_id = f"{random.getrandbits(64) | 1:016x}"
        for i, file in enumerate(files):
            done = self.init(i, file)
            if done.returncode != EXIT_OK:
                raise AssertionError(f"init: exit {done.returncode}: {done.stderr}")

    def data(self, i):
        return self._data(i)

    def init(self, i, file):
        return subprocess.run(
            [SERVER, "init", "--data-dir", self._data(i), "--replica", str(i), "--cluster",
             self.addresses, "--cluster-id", self.cluster_id,
             *(["--from-backup", file] if file else [])],
            capture_output=True, text=True, env=environment(), timeout=PATIENCE_SECONDS)

    def remove(self, i):
        self.kill(i)
        shutil.rmtree(self._data(i))


class Backup(ClusterTest):
    def backup(self, cluster, name, *flags):
        path = os.path.join(cluster.parent, name)
        done = cluster.client("--json", "backup", *flags, path)
        if done.returncode != EXIT_OK:
            raise AssertionError(f"backup: exit {done.returncode}: {done.stdout!r}")
        return path, json.loads(done.stdout)

    def restored(self, cluster, backup, count, *flags):
        return self.keep(RestoredCluster(backup, cluster.parent, count, *flags))

    def test_all_that_was_acknowledged_is_in_a_new_group(self):
        c = self.script_cluster(3, "--durability", "async")
        primary = c.primary()
        with c.flood("--clients", "8", "--duration", "600", "--key-count", "500"):
            for i in range(40):
                c.value("set", f"kept/{i}", f"value {i}")
            path, result = self.backup(c, "monday.vrb")
            c.value("set", "kept/later", "1")
        self.assertNotEqual(result["replica"], primary)
        self.assertEqual(result["path"], path)
        self.assertEqual(result["bytes"], os.path.getsize(path))
        self.assertEqual(os.listdir(c.parent).count("monday.vrb.partial"), 0)
        old_id = c.status()["cluster_id"]
        self.assertEqual(result["cluster"], old_id)

        n = self.restored(c, path, 3, "--checkpoint-interval", "50")
        self.assertNotEqual(n.cluster_id, old_id)
        self.assertEqual(n.status()["cluster_id"], n.cluster_id)
        self.assertEqual(min(r["op"] for r in n.status()["replicas"]), result["op"])
        pairs = dict(line.split("\t") for line in n.value("scan", "kept/").splitlines())
        self.assertEqual(pairs, {f"kept/{i}": f"value {i}" for i in range(40)})
        n.wait_equal()

        # It lives: writes, checkpoints of its own, all killed and started again.
        for i in range(120):
            n.value("set", f"new/{i % 7}", str(i))
        for i in range(3):
            n.kill(i)
        for i in range(3):
            n.start(i)
        n.wait_normal()
        self.assertEqual(n.value("get", "new/0"), "119")
        self.assertEqual(n.value("get", "kept/3"), "value 3")
        n.wait_equal()

        # A backup of the new group is one, too.
        copy = os.path.join(c.parent, "tuesday.vrb")
        self.assertEqual(n.client("backup", copy).returncode, EXIT_OK)
        one = self.restored(c, copy, 1)
        self.assertEqual(one.value("get", "new/0"), "119")

        # Clients and replicas of the old group have no business here.
        mixed = subprocess.run(
            [SERVER, "init", "--data-dir", os.path.join(c.parent, "stray"), "--replica", "0",
             "--cluster", f"127.0.0.1:{free_first_port(1)},127.0.0.1:{n.first_port}",
             "--cluster-id", old_id],
            capture_output=True, env=environment(), timeout=PATIENCE_SECONDS)
        self.assertEqual(mixed.returncode, EXIT_CONFIGURATION, mixed.stderr)
        self.assertIn(n.cluster_id.encode(), mixed.stderr)

    def test_a_replica_that_starts_late_or_lost_its_disk_is_given_the_backup(self):
        c = self.script_cluster(1, "--durability", "async")
        for i in range(10):
            c.value("set", f"k{i}", str(i))
        path, _ = self.backup(c, "b.vrb")
        n = self.restored(c, path, 3)
        n.kill(2)
        for name in os.listdir(n._data(2)):
            if name.startswith(("checkpoint.", "log.")):
                os.unlink(os.path.join(n._data(2), name))
        n.start(2)
        n.wait_normal()
        n.value("set", "more", "1")
        n.wait_equal()

    def mixed(self, cluster, files):
        """A group whose replicas were initialised from what `files` names (None: no backup), and all
        started."""
        n = self.keep(MixedCluster(cluster.parent, files))
        for i in range(n.count):
            n.start(i)
        return n

    def check_left_out(self, n, i, what):
        """Replica i is told from the rest, and each side says why in its log."""
        others = [k for k in range(n.count) if k != i]
        n.wait_normal(*others)
        reason = wait_until(lambda: what in (r := n.status()["reason"] or "") and r,
                            f"a status that says of replica {i}: {what}")
        self.assertIn(f"replica {i} was initialised with other parameters than the rest", reason)
        for k in others:
            wait_until(lambda k=k: f"replica {i} is refused" in n.log(k), f"VR1403 of replica {k}")
            self.assertIn("from the same backup file", n.log(k))
        wait_until(lambda: "VR1404" in n.log(i), f"VR1404 of replica {i}")
        self.assertNotEqual(n.status()["replicas"][i]["status"], "normal")

    def test_a_backup_on_some_members_only_is_noticed(self):
        c = self.script_cluster(1)
        c.value("set", "kept", "1")
        monday, _ = self.backup(c, "monday.vrb")
        c.value("set", "kept", "2")
        tuesday, _ = self.backup(c, "tuesday.vrb")

        # One was made without it. It is no member until it is made anew, from the same file.
        n = self.mixed(c, [monday, monday, None])
        self.check_left_out(n, 2, "without the backup that the others are from")
        self.assertEqual(n.value("get", "kept"), "1")
        n.remove(2)
        done = n.init(2, tuesday)
        self.assertEqual(done.returncode, EXIT_CONFIGURATION, done.stderr)
        self.assertIn("was initialised from another backup", done.stderr)
        done = n.init(2, None)
        self.assertEqual(done.returncode, EXIT_CONFIGURATION, done.stderr)
        self.assertIn("was initialised from a backup", done.stderr)
        self.assertFalse(os.path.exists(n.data(2)))
        done = n.init(2, monday)
        self.assertEqual(done.returncode, EXIT_OK, done.stderr)
        n.start(2)
        n.wait_normal()
        n.value("set", "new", "3")
        n.wait_equal()

        # One is of another day.
        n = self.mixed(c, [tuesday, monday, tuesday])
        self.check_left_out(n, 1, "from another backup")
        self.assertEqual(n.value("get", "kept"), "2")

        # Most were made without: theirs is an empty group, and it says whom it leaves out.
        n = self.mixed(c, [monday, None, None])
        self.check_left_out(n, 0, "from a backup, and the others are from none")
        self.assertEqual(n.client("get", "kept").returncode, EXIT_FAILED)

    def test_what_is_wrong_is_refused(self):
        c = self.script_cluster(3, "--durability", "async")
        empty = c.client("backup", os.path.join(c.parent, "empty"))
        self.assertEqual(empty.returncode, EXIT_FAILED, empty.stderr)
        c.value("set", "a", "1")
        c.wait_equal()
        path, result = self.backup(c, "b.vrb", "--replica", "2")
        self.assertEqual(result["replica"], 2)

        again = c.client("backup", path)
        self.assertEqual(again.returncode, EXIT_FAILED, again.stderr)
        self.assertIn(b"--force", again.stderr)
        c.value("set", "a", "2")
        _, forced = self.backup(c, "b.vrb", "--force")
        self.assertGreater(forced["op"], result["op"])
        for arguments, code in ((("backup",), EXIT_USAGE),
                                (("backup", "a", "b"), EXIT_USAGE),
                                (("backup", "--fast", path + "x"), EXIT_USAGE),
                                (("backup", "--replica", "9", path + "x"), EXIT_USAGE),
                                (("backup", os.path.join(c.parent, "no", "b")), EXIT_IO),
                                (("backup", "--force", c.parent), EXIT_FAILED)):
            done = c.client(*arguments)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
        self.assertFalse(os.path.exists(path + "x"))

        addresses = f"127.0.0.1:{free_first_port(1)}"
        directory = os.path.join(c.parent, "restored")
        damaged = os.path.join(c.parent, "damaged.vrb")
        data = bytearray(pathlib.Path(path).read_bytes())
        data[4200] ^= 1
        pathlib.Path(damaged).write_bytes(data)
        for backup, flags, code, text in (
                (damaged, (), EXIT_IO, "damaged"),
                (os.path.join(c.parent, "none"), (), EXIT_IO, "No such file"),
                (c.parent, (), EXIT_IO, "directory"),
                (path, ("--cluster-id", c.status()["cluster_id"]), EXIT_CONFIGURATION,
                 "always a new cluster")):
            done = init_from(backup, directory, addresses, *flags)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(os.path.exists(directory), "nothing is initialised")

        self.assertEqual(init_from(path, directory, addresses).returncode, EXIT_OK)
        for check in ([], ["--check"]):
            memory = subprocess.run(
                [SERVER, "start", "--data-dir", directory, "--durability", "memory", *check],
                capture_output=True, text=True, env=environment(), timeout=PATIENCE_SECONDS)
            self.assertEqual(memory.returncode, EXIT_CONFIGURATION, memory.stderr)
            self.assertIn("--durability sync or async", memory.stderr)

    def test_another_replica_gives_what_the_first_did_not(self):
        c = self.script_cluster(3, "--durability", "async")
        c.value("set", "a", "1")
        c.wait_equal()
        first = self.backup(c, "first.vrb")[1]["replica"]
        c.value("set", "a", "2")  # the next one is cut anew
        pid = c.pids()[first]
        path = os.path.join(c.parent, "second.vrb")
        c.pause(first)
        client = subprocess.Popen(
            [CLIENT, "--cluster", c.addresses, "--timeout", "3000", "--json", "backup", path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        out, err = client.communicate(timeout=PATIENCE_SECONDS)
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(client.returncode, EXIT_OK, (out, err))
        self.assertNotEqual(json.loads(out)["replica"], first)

    def stopped_on_the_way(self, cluster, path, *flags):
        """A client of backup that was stopped, SIGSTOP, when something had come and not all."""
        for _ in range(20):
            client = subprocess.Popen(
                [CLIENT, "--cluster", cluster.addresses, "--timeout", "2000", "--json", "backup",
                 *flags, path],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
            while client.poll() is None and not os.path.exists(path + ".partial"):
                time.sleep(0.001)
            client.send_signal(signal.SIGSTOP)
            if client.poll() is None and os.path.exists(path + ".partial"):
                return client
            client.send_signal(signal.SIGCONT)  # it was faster, or met a view change
            client.communicate(timeout=PATIENCE_SECONDS)
            if client.returncode == EXIT_OK:
                os.remove(path)
            cluster.wait_equal()
        raise AssertionError("no backup could be stopped on its way")

    def ended(self, client, code):
        out, err = client.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(client.returncode, code, (out, err))
        return json.loads(out)

    def test_who_gives_it_or_takes_it_dies(self):
        """There is all of a FILE or none, whoever ends in the midst of it."""
        c = self.script_cluster(3, "--durability", "async")
        big = os.urandom(250_000).hex().encode()
        count = 8 if SANITIZED else 40  # such that all of it does not come at once
        for i in range(count):
            self.assertEqual(c.client("set", f"big/{i}", "-", stdin=big).returncode, EXIT_OK)
        c.wait_equal()
        path = os.path.join(c.parent, "b.vrb")

        def there():
            return [n for n in os.listdir(c.parent) if n.startswith("b.vrb")]

        # Asked for by its number: nobody else is asked instead, and that is said.
        asked = next(i for i in range(3) if i != c.primary())
        client = self.stopped_on_the_way(c, path, "--replica", str(asked))
        c.kill(asked)
        client.send_signal(signal.SIGCONT)
        said = self.ended(client, EXIT_UNAVAILABLE)["message"]
        self.assertIn(f"replica {asked} ", said)
        self.assertIn("without --replica; there is no backup", said)
        self.assertEqual(there(), [])
        c.restart(asked)
        c.wait_equal()

        # The client: what it had is not taken for a backup, and the next one is not disturbed.
        client = self.stopped_on_the_way(c, path)
        client.kill()
        client.communicate()
        self.assertEqual(there(), ["b.vrb.partial"])

        # Any: another one gives all of it.
        client = self.stopped_on_the_way(c, path)
        asked = min(i for i in range(3) if i != c.primary())  # the first of those that are equal
        self.assertTrue(os.listdir(os.path.join(c.directory, f"replica-{asked}", "backup")))
        c.kill(asked)
        client.send_signal(signal.SIGCONT)
        self.assertNotEqual(self.ended(client, EXIT_OK)["replica"], asked)
        self.assertEqual(there(), ["b.vrb"])
        one = self.restored(c, path, 1)
        self.assertEqual(one.value("get", f"big/{count - 1}").encode(), big)
        c.restart(asked)
        c.wait_normal()

    def test_what_a_backup_leaves_is_removed(self):
        c = self.script_cluster(1, "--durability", "async")
        c.value("set", "a", "1")
        self.backup(c, "b.vrb")
        kept = pathlib.Path(c.directory, "replica-0", "backup")
        self.assertEqual(len(list(kept.iterdir())), 1)
        c.run("stop")
        c.run("start")
        wait_until(lambda: not list(kept.iterdir()), "the end of the old backup")
        self.assertEqual(c.value("get", "a"), "1")
