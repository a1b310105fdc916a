#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# make bench: weir against its hand-written peers. Usage: run.sh [OBJTREE [OPTION...]]
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
exec "$tools/bench/echo_bench" --weir "$tools/weir" --peers "$tools/bench" --out "$out" "$@"
