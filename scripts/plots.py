#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""plots.py - measure the closed loop and draw it: make plots

usage: plots.py OBJTREE [NAME...]

Runs the tools of OBJTREE as root, leaves raw data (NAME.dat) and pictures (NAME.svg)
in OBJTREE/plots. Without names it makes all. For a quiet machine; takes gnuplot.
"""
import json
import os
import re
import subprocess
import sys
import time

INSTANCE = "plots-%d" % os.getpid()
STEP = 0.1
LICENCE = "LGPL-2.1-or-later OR BSD-2-Clause"


def tool(*args):
    return [os.path.join(tree, "tools", args[0])] + [str(a) for a in args[1:]]


def run_json(*args):
    return json.loads(subprocess.run(tool(*args), check=True, capture_output=True).stdout)


def write(name, heads, rows):
    with open(os.path.join(out, name + ".dat"), "w") as f:
        f.write("# %s\n" % " ".join(heads))
        for row in rows:
            f.write(" ".join(str(v) for v in row) + "\n")


def ms(latency, name):
    return latency[name] / 1e6


def hang():
    """What a client waits while one of four workers hangs, by who helps."""
    hung = run_json("weir", "demo", "hung", "-d", "10s", "-j")["hung"]["policies"]
    rescue = run_json("weir", "demo", "rescue", "-d", "10s", "-j")["rescue"]["runs"]
    runs = [("hash", hung[0]), ("p2c", hung[1]), ("p2c+rescue", rescue[2]),
            ("none-hangs", rescue[0])]
    write("hang", ["run", "p50_ms", "p99_ms", "p999_ms", "max_ms"],
          [(name, *(ms(run["latency_ns"], q) for q in ("p50_ns", "p99_ns", "p99_9_ns", "max_ns")))
           for name, run in runs])


class Service:
    """An echo service with a load of new connections."""

    def __init__(self, workers, *options):
        self.log = open(os.path.join(out, "service.log"), "w+")
        self.server = subprocess.Popen(tool("weir", "serve", "echo", "--workers", workers,
                                            "--port", 0, "--instance", INSTANCE, *options),
                                       stdout=self.log, stderr=subprocess.STDOUT)
        self.port = None
        while not self.port and self.server.poll() is None:
            text = open(self.log.name).read()
            found = re.search(r"^listening on \S+:(\d+): ", text, re.M)
            self.port = found and found[1]
            time.sleep(0.01)
        if not self.port:
            sys.exit("plots: the service does not start: " + open(self.log.name).read())

    def load(self, seconds, clients):
        return subprocess.Popen(tool("weir", "bench", "echo", "--new-conn", "-c", clients, "-d",
                                     "%ds" % seconds, "--port", self.port),
                                stdout=subprocess.DEVNULL)

    def close(self):
        self.server.terminate()
        self.server.wait()


def drain():
    """Who gets the new connections while worker 0 is drained and comes back."""
    service = Service(4)
    subprocess.run(tool("weir", "steer", "set", INSTANCE, "ramp_ns", 2000000000), check=True,
                   stdout=subprocess.DEVNULL)
    load = service.load(10, 16)
    todo = [(2, "drain"), (4, "resume")]
    began, rows, last = time.time(), [], None
    while time.time() - began < 9:
        now = time.time() - began
        if todo and now >= todo[0][0]:
            subprocess.run(tool("weir", "steer", todo.pop(0)[1], INSTANCE, 0), check=True,
                           stdout=subprocess.DEVNULL)
        picked = [w["picked"] for w in run_json("weir", "show", "workers", "-i", INSTANCE, "-j")]
        if last:
            sum_ = sum(picked) - sum(last)
            rows.append((round(now, 3), *(round(100 * (a - b) / max(sum_, 1), 2)
                                          for a, b in zip(picked, last))))
        last = picked
        time.sleep(STEP)
    load.terminate()
    load.wait()
    service.close()
    write("drain", ["s", "w0_percent", "w1_percent", "w2_percent", "w3_percent"], rows)


def shed():
    """The share that is refused, and what a completion waits, under half too many clients."""
    demo = subprocess.Popen(tool("weir", "demo", "shed", "-d", "24s"), stdout=subprocess.DEVNULL)
    name, rows, began = "demo-%d" % demo.pid, [], time.time()
    while demo.poll() is None:
        try:
            cfg = run_json("weir", "show", "cfg", "-i", name, "-j")[0]
            workers = run_json("weir", "show", "workers", "-i", name, "-j")
        except subprocess.CalledProcessError:
            continue        # between its two runs there is no instance
        wait = sum(w["wait_us"] for w in workers) / len(workers) / 1000
        rows.append((round(time.time() - began, 3), cfg["shed_permille"] / 10, round(wait, 2),
                     cfg["shed_max_permille"]))
        time.sleep(STEP / 2)
    write("shed", ["s", "shed_percent", "wait_ms", "max_permille"], rows)


def cost():
    """What one choice takes, by policy and by how often the program runs."""
    path = os.path.join(out, "cost.json")
    subprocess.run(tool("bench/steer_bench", "--only", "pick", "--rounds", "11", "--seconds",
                        "0.3", "--json", path), check=True, stdout=subprocess.DEVNULL)
    rows = {}
    for arm in json.load(open(path))["pick"]:
        rows.setdefault(arm["policy"], {})[arm["rate"], arm["sleeps"]] = arm["median_ns"]
    paces = [(8000, False), (8000, True), (800, False), (800, True)]
    write("cost", ["policy", "ns_8000", "ns_8000_asleep", "ns_800", "ns_800_asleep"],
          [(name.replace(", ", "+").replace(" ", "-"), *(round(by[p]) for p in paces)) for name, by in rows.items()])


def draw(plot):
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plots")
    path = os.path.join(out, plot)
    subprocess.run(["gnuplot", "-e", "name='%s'; dir='%s'" % (path, here),
                    os.path.join(here, plot + ".gp")], check=True)
    with open(path + ".svg") as f:
        head, rest = f.read().split("\n", 1)
    with open(path + ".svg", "w") as f:
        f.write("%s\n<!-- SPDX-License-Identifier: %s -->\n%s" % (head, LICENCE, rest))


PLOTS = {f.__name__: f for f in (hang, drain, shed, cost)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or any(n not in PLOTS for n in sys.argv[2:]):
        sys.exit("usage: plots.py OBJTREE [%s]..." % "|".join(PLOTS))
    tree = sys.argv[1]
    out = os.path.join(tree, "plots")
    os.makedirs(out, exist_ok=True)
    for plot in sys.argv[2:] or PLOTS:
        print("  PLOT    %s" % plot, flush=True)
        PLOTS[plot]()
        draw(plot)
