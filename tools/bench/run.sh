#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# make bench: single operations, weir against its hand-written peers, then a worker
# that hangs.
# Usage: run.sh [OBJTREE [--strict] [OPTION...]]
# With --strict a limit that is missed is a failure: status 1, after everything
# was measured. Other options go to echo_bench (see echo_bench --help).
# Results: OBJTREE/bench.
set -eu

obj=${1:-${O:-build}}
[ $# -eq 0 ] || shift
tools=$obj/tools
out=$obj/bench
strict=n bad=0 steering=n
for arg; do
	[ "$arg" != --strict ] || strict=y
done

for prog in weir bench/peer_uring bench/peer_epoll bench/echo_bench bench/ops_bench \
	bench/fiber_bench bench/recv_bench; do
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
rm -f "$out"/hung*.txt
uname -srm > "$out/machine.txt"
sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | sort | uniq -c >> "$out/machine.txt"

# What steering and telemetry cost, where they are to be had.
rung=$("$tools/weir" doctor -j | sed -n 's/.*"rung":"\([a-z]*\)".*/\1/p')
if [ "$(id -u)" != 0 ]; then
	echo "weir-bpf is left out: it takes root"
elif [ -z "$rung" ] || [ "$rung" = none ]; then
	echo "weir-bpf is left out: BPF is not to be had, $("$tools/weir" doctor | grep '^steering:')"
else
	echo "weir-bpf runs at the rung $rung: see weir doctor"
	set -- --bpf "$@"
	steering=y
fi

# What fails here must not keep the later parts from being measured.
ops_strict=
[ $strict = n ] || ops_strict=--strict
"$tools/bench/ops_bench" $ops_strict > "$out/ops.txt" || bad=1
cat "$out/ops.txt"
echo
# shellcheck disable=SC2086 # no argument when it is empty
"${0%/*}/insns.sh" $ops_strict "$obj" > "$out/insns.txt" || bad=1
cat "$out/insns.txt"
echo
"$tools/bench/fiber_bench" $ops_strict > "$out/fibers.txt" || bad=1
cat "$out/fibers.txt"
echo
"$tools/bench/recv_bench" > "$out/recv.txt" || bad=1
cat "$out/recv.txt"
echo
if [ $steering = y ]; then
	"$tools/bench/steer_bench" $ops_strict --json "$out/steer.json" > "$out/steer.txt" || bad=1
	cat "$out/steer.txt"
	echo
fi
"$tools/bench/echo_bench" --weir "$tools/weir" --peers "$tools/bench" --out "$out" "$@" || bad=1

# modes <listeners|acceptor> [OPTION]: connections per second, and the processor time of a request
modes() {
	mode=$1
	shift
	for load in '--new-conn -c 64' '-c 64'; do
		: > "$out/mode.txt"
		"$tools/weir" serve echo --no-bpf --workers 2 --port 0 --json-exit "$@" \
			>> "$out/mode.txt" 2> "$out/mode.err" &
		pid=$!
		port=
		while [ -z "$port" ] && kill -0 $pid 2>/dev/null; do
			port=$(sed -n 's/^listening on .*:\([0-9]*\): .*/\1/p' "$out/mode.txt")
		done
		# shellcheck disable=SC2086 # the load is options
		"$tools/weir" bench echo --port "$port" -d 3s $load -j > "$out/mode-load.json" || bad=1
		kill -TERM $pid
		wait $pid || bad=1
		sed -n 's/.*"requests": *\([0-9]*\).*"cpu_ns": *\([0-9]*\).*/\1 \2/p' "$out/mode.txt" |
			awk -v mode="$mode" -v load="$load" '$1 {
				printf "%-10s %-16s %7.0f requests/s  %6.2f us of processor each\n",
					mode, load, $1 / 3, $2 / $1 / 1000 }'
	done
}

echo "Who accepts, 2 workers: a listener for each, or one acceptor (requests of 64 bytes)"
{ modes listeners && modes acceptor --acceptor; } | tee "$out/modes.txt"

# hung <workers> <seed> <limit of p99, ms>: one line of the demo's table; 1 if there is none, or the demo
# failed, or the limit is missed and that counts
hung() {
	file=$out/hung-$1-$2.txt failed=0
	"$tools/weir" demo hung --duration 8s --workers "$1" --seed "$2" > "$file" || failed=1
	[ $failed = 0 ] || echo "bench: weir demo hung --workers $1 --seed $2 failed, see $file" >&2
	awk -v what="$1 workers, seed $2" -v limit="$3" -v strict=$strict '
		$1 == "POLICY" { for (i = 1; i <= NF; i++) at[$i] = i }
		$1 == "hash" { hash = $at["P99_MS"] }
		$1 == "p2c" { p2c = $at["P99_MS"] }
		END {
			if (hash == "") {
				printf "%s  the demo printed no figures\n", what
				exit 1
			}
			if (p2c == "") {
				printf "%s  p99 %s ms by hash; p2c needs BPF: see weir doctor\n", what, hash
				exit 0
			}
			met = p2c + 0 <= limit
			printf "%s  p99 %s ms by hash, %s ms by p2c  limit %d ms  %s\n", what, hash,
				p2c, limit, met ? "met" : "missed"
			exit !met && strict == "y"
		}' "$file" >> "$out/hung.txt" || failed=1
	tail -n 1 "$out/hung.txt"
	return $failed
}

# p99 of new connections while one worker hangs. p2c looks at all of four
# workers; of eight it draws two.
echo
echo "A worker hangs 400 ms of every second, 800 new connections a second"
for seed in 1 2 3; do
	hung 4 $seed 10 || bad=1
done
hung 8 1 10 || bad=1
exit $bad
