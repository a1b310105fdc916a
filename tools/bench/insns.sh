#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# User-space instructions per operation, by kind, 16 in flight: those of the library,
# from the filling in of an operation to its callback, with the turns of the loop; and
# all of them, with the callback of this benchmark, which submits the next one.
# Then those of a switch of fibers. With --strict a limit that is missed is a failure.
# Usage: insns.sh [--strict] [OBJTREE]. Takes valgrind.
set -eu

strict=n missed=
[ "${1-}" != --strict ] || { strict=y; shift; }
obj=${1:-${O:-build}}
bench=$obj/tools/bench/ops_bench
fibers=$obj/tools/bench/fiber_bench
count=1024 limit=150 switch_limit=60

command -v valgrind > /dev/null || {
	echo "insns: left out: there is no valgrind here"
	exit 0
}
[ -x "$bench" ] || {
	echo "insns: $bench is missing: run make first (it needs CONFIG_URING=y)" >&2
	exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# count_one <kind> <backend>: instructions per operation of the library and of all, or
# "- -" and the reason on stderr
count_one() {
	timeout 60 valgrind --tool=callgrind --callgrind-out-file="$tmp/out" \
		--toggle-collect=counted "$bench" --kind "$1" --backend "$2" \
		--count $count > "$tmp/log" 2>&1 || {
		echo "insns: $1 on $2 failed: $(grep ops_bench: "$tmp/log" | head -n 1)" >&2
		echo - -
		return
	}
	callgrind_annotate --auto=no --threshold=100 "$tmp/out" | awk -v n=$count '
		/PROGRAM TOTALS/ { gsub(",", ""); all = $1 }
		{ sub(/ \[.*\]$/, "") }	# the object: this benchmark in any case
		/:/ && /tools\/bench\// { gsub(",", ""); ours += $1 }
		END { printf "%.0f %.0f\n", (all - ours) / n, all / n }'
}

# count_fiber <kind>: instructions of one, the difference of two runs
count_fiber() {
	for n in 10000 20000; do
		timeout 60 valgrind --tool=callgrind --callgrind-out-file="$tmp/out" \
			--toggle-collect=counted "$fibers" --only "$1" --count $n \
			> "$tmp/log" 2>&1 || echo "insns: $1 of fibers failed" >&2
		# It prints how many there were: a round trip is two switches.
		awk '!/==/ && NF == 1 { runs = $1 } /Collected/ { print $NF, runs }' "$tmp/log"
	done | awk '{ n[NR] = $1; runs[NR] = $2 }
		END { if (NR == 2 && runs[2] > runs[1])
			printf "%.0f\n", (n[2] - n[1]) / (runs[2] - runs[1])
		      else
			print "-" }'
}

# within <what> <count> <limit>: note it if not
within() {
	[ "$2" != - ] && [ "$2" -le "$3" ] || missed="$missed $1"
}

printf '%-12s %8s %8s %8s %8s\n' KIND URING EPOLL 'U. ALL' 'E. ALL'
for kind in $("$bench" --list); do
	uring=$(count_one "$kind" uring) epoll=$(count_one "$kind" epoll)
	printf '%-12s %8s %8s %8s %8s\n' "$kind" "${uring% *}" "${epoll% *}" \
		"${uring#* }" "${epoll#* }"
	case $kind in
	recv* | send*) within "$kind" "${uring% *}" $limit ;;
	esac
done
echo "limit: $limit on uring for what receives and sends"
echo
for kind in switch yield; do
	insns=$(count_fiber $kind)
	printf '%-12s %8s\n' "$kind" "$insns"
	[ $kind != switch ] || within switch "$insns" $switch_limit
done
echo "limit: $switch_limit for a switch of fibers"
[ -z "$missed" ] || echo "missed by:$missed"
[ -z "$missed" ] || [ $strict = n ]
