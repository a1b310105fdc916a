#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# make bench: weir against its hand-written peers, then a worker that hangs.
# Usage: run.sh [OBJTREE [OPTION...]]
# Options go to echo_bench (see echo_bench --help). Results: OBJTREE/bench.
set -eu

obj=${1:-${O:-build}}
[ $# -eq 0 ] || shift
tools=$obj/tools
out=$obj/bench

for prog in weir bench/peer_uring bench/peer_epoll bench/echo_bench; do
	[ -x "$tools/$prog" ] || {
		echo "bench: $tools/$prog is missing: run make first" \
			"(the peers need CONFIG_URING=y)" >&2
		exit 1
	}
done
if [ "$(nproc)" -lt 2 ]; then
	echo "bench: needs two processors, one each for server and client" >&2
	exit 1
fi
mkdir -p "$out"
uname -srm > "$out/machine.txt"
sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | sort | uniq -c >> "$out/machine.txt"
"$tools/bench/echo_bench" --weir "$tools/weir" --peers "$tools/bench" --out "$out" "$@"

# The limit: p99 of new connections under p2c while one worker of four hangs.
echo
echo "A worker of four hangs 400 ms of every second, 800 new connections a second"
for seed in 1 2 3; do
	"$tools/weir" demo hung --duration 8s --seed "$seed" > "$out/hung-$seed.txt"
	awk -v seed="$seed" '
		$1 == "POLICY" { for (i = 1; i <= NF; i++) at[$i] = i }
		$1 == "hash" { hash = $at["P99_MS"] }
		$1 == "p2c" { p2c = $at["P99_MS"] }
		END {
			if (p2c == "")
				printf "seed %s  p99 %s ms by hash; p2c needs BPF: see weir doctor\n",
					seed, hash
			else
				printf "seed %s  p99 %s ms by hash, %s ms by p2c  limit 10 ms  %s\n",
					seed, hash, p2c, p2c + 0 <= 10 ? "met" : "missed"
		}' "$out/hung-$seed.txt"
done | tee "$out/hung.txt"
