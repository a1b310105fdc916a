#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# rescue.sh - how long clients wait with a worker that hangs, and without
#
# usage: rescue.sh <object tree> [<rounds> [<time of a round>]]
#
# Rounds of `weir demo rescue`, each with seeds of its own; prints the median over
# the rounds of p99 and of the slowest client, and judges: p99 with a hang within
# 1.2 times of that without, no reset, no client that was not served. The slowest
# one is judged by nobody: it may be one that had been accepted before the hang.
# For a quiet machine; status 1 when a limit is broken, 4 when there is no rescue.
set -eu

objtree=${1:?usage: $0 <object tree> [<rounds> [<time of a round>]]}
rounds=${2:-20}
time=${3:-20s}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for round in $(seq "$rounds"); do
	"$objtree/tools/weir" demo rescue --seed "$round" -d "$time" -j > "$tmp/$round"
done
exec python3 - "$tmp" "$rounds" <<'END'
import json, statistics, sys

rounds = [json.load(open("%s/%d" % (sys.argv[1], i + 1))) for i in range(int(sys.argv[2]))]
if any(r["rescue"]["off"] for r in rounds):
    print("rescue: off (%s)" % rounds[0]["rescue"]["off"])
    sys.exit(4)
runs = [r["rescue"]["runs"] for r in rounds]
medians = []
for i, run in enumerate(runs[0]):
    p99, worst = ([r[i]["latency_ns"][name] / 1e6 for r in runs] for name in ("p99_ns", "max_ns"))
    medians.append(statistics.median(p99))
    print("%-30s p99 %7.2f ms (%.2f to %.2f), slowest %7.2f ms, moved %d, errors %d" % (
        run["name"], medians[i], min(p99), max(p99), statistics.median(worst),
        sum(r[i]["rescued"] for r in runs), sum(r[i]["errors"] for r in runs)))
ratio = medians[2] / medians[0]
bad = ratio > 1.2 or any(run["errors"] or run["resets"] for r in runs for run in r)
print("p99 with a hang and rescue / without a hang: %.2f (limit 1.2)" % ratio)
print("not within the limits" if bad else "within the limits")
sys.exit(bad)
END
