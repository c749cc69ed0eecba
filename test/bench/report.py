# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: who used how much CPU, medians of turns, one table, plots."""

import csv
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

FIELDS = ("series", "system", "replicas", "durability", "operation", "reads", "value_size",
          "clients", "turns", "ops_per_second", "ops_lowest", "ops_highest", "cpu_us_per_op",
          "replicas_cpu_us_per_op", "p50_us", "p99_us")
NUMBERS = ("ops_per_second", "cpu_us_per_op", "replicas_cpu_us_per_op", "p50_us", "p99_us")


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def cpu_seconds(pid):
    """Of a process, with all its threads; 0 if it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """CPU of servers, by their pids, and of the children that were waited for meanwhile."""

    def __init__(self, pids):
        self.pids = list(pids)
        self.servers_before = sum(map(cpu_seconds, self.pids))
        self.children_before = self._children()

    @staticmethod
    def _children():
        times = os.times()
        return times.children_user + times.children_system

    def read(self):
        """Seconds of the servers, and of the clients."""
        return (sum(map(cpu_seconds, self.pids)) - self.servers_before,
                self._children() - self.children_before)


class Results:
    """One row for each thing that was measured, of several turns."""

    def __init__(self):
        self.cells = {}

    def add(self, row, measured):
        """`row` says what was measured; `measured` has the NUMBERS, None where not known."""
        self.cells.setdefault(tuple(row.items()), []).append(measured)

    def rows(self):
        for key, turns in self.cells.items():
            row = dict(key)
            for name in NUMBERS:
                known = [turn[name] for turn in turns if turn.get(name) is not None]
                row[name] = statistics.median(known) if known else None
            rates = [turn["ops_per_second"] for turn in turns]
            row.update(turns=len(turns), ops_lowest=min(rates), ops_highest=max(rates))
            yield row

    def write_csv(self, path):
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, extrasaction="ignore")
            writer.writeheader()
            for row in self.rows():
                writer.writerow({name: f"{value:.2f}" if isinstance(value, float) else value
                                 for name, value in row.items()})

    def write_text(self, file):
        """A table for people, and for documents."""
        columns = ("series", "system", "replicas", "durability", "operation", "value_size", "clients",
                   "ops/s", "lowest .. highest", "CPU us/op", "of it servers", "p50 us", "p99 us")
        print("| " + " | ".join(columns) + " |", file=file)
        print("|" + " --- |" * 5 + " ---: |" * (len(columns) - 5), file=file)
        for row in self.rows():
            operation = " ".join(filter(None, (row.get("operation"), row.get("reads"))))
            cells = [row.get("series"), row.get("system"), row.get("replicas"),
                     row.get("durability"), operation, row.get("value_size"), row.get("clients"),
                     f"{row['ops_per_second']:,.0f}",
                     f"{row['ops_lowest']:,.0f} .. {row['ops_highest']:,.0f}"]
            cells += [f"{row[name]:.1f}" if row[name] is not None else "" for name in NUMBERS[1:]]
            print("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |",
                  file=file)


def gnuplot(path, script):
    """Draws a PNG; says so and goes on where there is no gnuplot."""
    if shutil.which("gnuplot") is None:
        print(f"no gnuplot (make deps-bench): {path} is not drawn", file=sys.stderr)
        return
    quoted = str(path).replace("'", "''")
    text = f"set terminal pngcairo size 1200,800\nset output '{quoted}'\nset grid\n" + script
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


def quote(text):
    return "'" + str(text).replace("'", "''") + "'"


def plot_lines(path, title, panels, log_x=True):
    """`panels`: (y label, {line name: [(x, y), ...]}) from top to bottom; x label of all."""
    script, blocks = "", 0
    names = []
    for _, lines in panels["panels"]:
        for points in lines.values():
            script += f"$d{blocks} << END\n"
            script += "".join(f"{x} {y}\n" for x, y in sorted(points) if y is not None) + "END\n"
            names.append(f"$d{blocks}")
            blocks += 1
    if log_x:
        script += "set logscale x 2\n"
    script += (f"set key outside right\nset lmargin 12\nset xlabel {quote(panels['x'])}\n"
               f"set multiplot layout {len(panels['panels'])},1 title {quote(title)}\n"
               "set yrange [0:*]\n")
    block = 0
    for label, lines in panels["panels"]:
        drawn = []
        for name in lines:
            drawn.append(f"{names[block]} using 1:2 with linespoints pointtype 7 title "
                         f"{quote(name)} noenhanced")
            block += 1
        script += f"set ylabel {quote(label)}\nplot {', '.join(drawn)}\n"
    gnuplot(path, script + "unset multiplot\n")


def plot_series(directory, results, series, x, x_label):
    """Throughput above, CPU per operation below, over `x`; a line for each other distinction."""
    rows = [row for row in results.rows() if row.get("series") == series]
    if not rows:
        return
    throughput, cpu = {}, {}
    for row in rows:
        name = " ".join(str(row[field]) for field in
                        ("system", "replicas", "durability", "operation", "reads", "value_size",
                         "clients") if field != x and row.get(field) is not None and
                        len({other.get(field) for other in rows}) > 1) or series
        throughput.setdefault(name, []).append((row[x], row["ops_per_second"]))
        cpu.setdefault(name, []).append((row[x], row["cpu_us_per_op"]))
    plot_lines(pathlib.Path(directory, f"{series}.png"), f"{series}: {machine()}".replace("'", ""), {
        "x": x_label,
        "panels": [("operations a second", throughput), ("CPU us per operation", cpu)]})


def finish(results, directory, title, plots):
    """Files of all results, and the table to stdout. `plots`: (series, x, label of x)."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    results.write_csv(directory / "results.csv")
    heading = f"{title}\nmachine: {machine()}; {time.strftime('%Y-%m-%d')}\n"
    with open(directory / "results.txt", "w") as file:
        print(heading, file=file)
        results.write_text(file)
    print(heading)
    results.write_text(sys.stdout)
    for series, x, label in plots:
        plot_series(directory, results, series, x, label)
    print(f"\nin {directory}: results.txt, results.csv, and plots", file=sys.stderr)
