# SPDX-License-Identifier: Apache-2.0
"""viewstamp beside other systems on one machine, turn by turn in one run.

    test/bench/peers.py [--turns 5] [--seconds 5] [--clients 1,16,64,256,1024] [--quick]
                        [--systems viewstamp,floor,redis,redis-wait,zookeeper,etcd] [--out DIR]

Three servers each (Redis alone: one), data on tmpfs, SETs of 16-byte keys and 100-byte values, one
client process with so many requests outstanding. Every system is started, measured and stopped in
each turn; the table has medians of the turns, CPU of all processes.

    redis        redis-benchmark, one request a connection; promises nothing beyond one process
    redis-wait   SET and WAIT 1, two replicas (peer_redis.c); asynchronous replication all the same
    zookeeper    zoo_aset() of its C client, one session (peer_zookeeper.c)
    etcd         gRPC Put, a connection to each member (peer_etcd.c)

What a system needs and is not here is left out, and said."""

import argparse
import contextlib
import csv as csv_format
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from harness import BUILD  # noqa: E402
from report import CpuMeter, Results, finish  # noqa: E402
from run import VALUE, cluster_of, data_in, flood, floor, tmpfs  # noqa: E402

START_SECONDS = 60


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def wait_for(condition, what):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {START_SECONDS} s in vain for {what}")
        time.sleep(0.1)


def ask(port, text):
    """What a server answers to a line."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            s.sendall(text.encode())
            return s.recv(65536).decode(errors="replace")
    except OSError:
        return ""


class Servers:
    """Processes of another system, and their directory, while it is measured."""

    needs = ()

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="vr-peer-")
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def missing(cls):
        return [name for name in cls.needs if shutil.which(name) is None and
                not os.path.exists(name)]

    def path(self, *names):
        return os.path.join(self.directory, *map(str, names))

    def spawn(self, *command, **options):
        with open(self.path(f"log-{len(self.processes)}"), "wb") as log:
            self.processes.append(subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, **options))

    def client(self, clients, seconds, *command):
        """Runs a client; its JSON with CPU added."""
        meter = CpuMeter(process.pid for process in self.processes)
        out = subprocess.run([str(word) for word in command], check=True, capture_output=True,
                             text=True).stdout
        servers, client = meter.read()
        measured = self.parse(out, seconds)
        measured["cpu_us_per_op"] = (servers + client) * 1e6 / max(measured["ops"], 1)
        measured["replicas_cpu_us_per_op"] = servers * 1e6 / max(measured["ops"], 1)
        return measured

    def parse(self, out, _seconds):
        return json.loads(out)

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Servers):
    needs = ("redis-server", "redis-benchmark")
    count = 1

    def start(self):
        self.ports = free_ports(self.count)
        for i, port in enumerate(self.ports):
            replica = ["--replicaof", "127.0.0.1", self.ports[0]] if i > 0 else []
            os.mkdir(self.path(i))
            self.spawn("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                       "--dir", self.path(i), "--repl-diskless-sync-delay", 0, *replica)
        wait_for(lambda: f"connected_slaves:{self.count - 1}" in ask(
            self.ports[0], "INFO replication\r\n"), "redis and its replicas")
        for port in self.ports[1:]:
            wait_for(lambda port=port: "master_link_status:up" in ask(
                port, "INFO replication\r\n"), "a replica of redis")

    def measure(self, clients, seconds):
        ops = getattr(self, "rate", 20000) * seconds
        measured = self.client(clients, seconds, "redis-benchmark", "-p", self.ports[0], "-t", "set",
                               "-c", clients, "-n", int(max(ops, 1000)), "-d", VALUE, "-r", 1000,
                               "--csv")
        if not hasattr(self, "rate"):
            # It takes a number of requests, not a time: the first, short run says how many.
            self.rate = measured["ops_per_second"]
            return self.measure(clients, seconds)
        del self.rate
        return measured

    def parse(self, out, seconds):
        row = list(csv_format.DictReader(io.StringIO(out)))[0]
        rate = float(row["rps"])
        return {"ops": max(getattr(self, "rate", 20000) * seconds, 1000), "ops_per_second": rate,
                "p50_us": float(row["p50_latency_ms"]) * 1000,
                "p99_us": float(row["p99_latency_ms"]) * 1000}


class RedisWait(Redis):
    needs = ("redis-server", BUILD / "peer_redis")
    count = 3

    def measure(self, clients, seconds):
        return self.client(clients, seconds, BUILD / "peer_redis", "-w", "-c", clients, "-v", VALUE,
                           "-s", seconds, f"127.0.0.1:{self.ports[0]}")

    def parse(self, out, seconds):
        return json.loads(out)


class ZooKeeper(Servers):
    needs = ("java", "/usr/share/java/zookeeper.jar", BUILD / "peer_zookeeper")

    def start(self):
        ports = free_ports(9)
        self.ports = ports[:3]
        members = "".join(f"server.{i + 1}=127.0.0.1:{ports[3 + i]}:{ports[6 + i]}\n"
                          for i in range(3))
        for i, port in enumerate(self.ports):
            os.mkdir(self.path(i))
            pathlib.Path(self.path(i, "myid")).write_text(f"{i + 1}\n")
            pathlib.Path(self.path(i, "zoo.cfg")).write_text(
                f"tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={self.path(i)}\n"
                f"clientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
                f"4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n{members}")
            self.spawn("java", "-Xmx1g", "-cp", "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar",
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.path(i, "zoo.cfg"))
        for port in self.ports:
            wait_for(lambda port=port: "Mode:" in ask(port, "srvr"), "zookeeper")

    def measure(self, clients, seconds):
        servers = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return self.client(clients, seconds, BUILD / "peer_zookeeper", "-c", clients, "-v", VALUE,
                           "-s", seconds, servers)


class Etcd(Servers):
    needs = ("etcd", BUILD / "peer_etcd")

    def start(self):
        ports = free_ports(6)
        self.ports = ports[:3]
        members = ",".join(f"m{i}=http://127.0.0.1:{ports[3 + i]}" for i in range(3))
        for i, port in enumerate(self.ports):
            self.spawn("etcd", "--name", f"m{i}", "--data-dir", self.path(i),
                       "--listen-client-urls", f"http://127.0.0.1:{port}",
                       "--advertise-client-urls", f"http://127.0.0.1:{port}",
                       "--listen-peer-urls", f"http://127.0.0.1:{ports[3 + i]}",
                       "--initial-advertise-peer-urls", f"http://127.0.0.1:{ports[3 + i]}",
                       "--initial-cluster", members, "--initial-cluster-state", "new",
                       "--log-level", "error")
        for port in self.ports:
            wait_for(lambda port=port: '"health":"true"' in ask(
                port, "GET /health HTTP/1.0\r\n\r\n"), "etcd")

    def measure(self, clients, seconds):
        servers = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return self.client(clients, seconds, BUILD / "peer_etcd", "-c", clients, "-v", VALUE, "-s",
                           seconds, servers)


PEERS = {"redis": Redis, "redis-wait": RedisWait, "zookeeper": ZooKeeper, "etcd": Etcd}


def turn(system, results, options):
    def add(clients, measured):
        results.add({"series": "peers", "system": system,
                     "replicas": getattr(PEERS.get(system), "count", 3), "operation": "SET",
                     "durability": "async" if system == "viewstamp" else None,
                     "value_size": VALUE, "clients": clients}, measured)
    counts = [int(word) for word in options.clients.split(",")]
    if system == "floor":
        for clients in counts:
            add(clients, floor(clients, options.seconds))
    elif system == "viewstamp":
        with cluster_of(3, "async") as cluster:
            for clients in counts:
                add(clients, flood(cluster, clients, options.seconds, VALUE))
    else:
        with contextlib.closing(PEERS[system]()) as servers:
            servers.measure(counts[-1], options.warmup)
            for clients in counts:
                add(clients, servers.measure(clients, options.seconds))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", default="1,16,64,256,1024")
    parser.add_argument("--systems", default=",".join(["viewstamp", "floor", *PEERS]))
    parser.add_argument("--out", default=str(BUILD / "bench-peers"))
    parser.add_argument("--warmup", type=float, default=3,
                        help="seconds of load on another system before each turn: Java compiles")
    parser.add_argument("--quick", action="store_true", help="one turn of one second each")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.seconds, options.warmup = 1, min(options.seconds, 1), 0.5
    systems = []
    for system in options.systems.split(","):
        if system not in ("viewstamp", "floor", *PEERS):
            parser.error(f"no such system: {system}")
        missing = PEERS[system].missing() if system in PEERS else []
        if missing:
            print(f"without {system}: {', '.join(map(str, missing))} is missing (make deps-bench)",
                  file=sys.stderr)
        else:
            systems.append(system)
    results = Results()
    with data_in(tmpfs()):
        for _ in range(options.turns):
            for system in systems:
                turn(system, results, options)
    finish(results, options.out,
           f"medians of {options.turns} turns of {options.seconds:g} s, SET of {VALUE} bytes",
           [("peers", "clients", "requests outstanding")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
