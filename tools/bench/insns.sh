#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# User-space instructions per operation, by kind: all that runs from weir_submit()
# to the end of the callback, with the turns of the loop, 16 in flight.
# Usage: insns.sh [OBJTREE]. Takes valgrind.
set -eu

obj=${1:-${O:-build}}
bench=$obj/tools/bench/ops_bench
count=1024 limit=150

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

# count_one <kind> <backend>: instructions per operation, or "-" and the reason on stderr
count_one() {
	timeout 60 valgrind --tool=callgrind --callgrind-out-file="$tmp/out" \
		--toggle-collect=counted "$bench" --kind "$1" --backend "$2" \
		--count $count > "$tmp/log" 2>&1 || {
		echo "insns: $1 on $2 failed: $(grep ops_bench: "$tmp/log" | head -n 1)" >&2
		echo -
		return
	}
	awk -v n=$count '/Collected/ { printf "%.0f\n", $NF / n; exit }' "$tmp/log"
}

printf '%-12s %8s %8s\n' KIND URING EPOLL
for kind in $("$bench" --list); do
	printf '%-12s %8s %8s\n' "$kind" "$(count_one "$kind" uring)" "$(count_one "$kind" epoll)"
done
echo "limit: $limit for what receives and sends"
