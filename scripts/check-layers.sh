#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# check-layers.sh - every #include "room/..." must point to a lower room
#
# Public headers, <weir/...>, may be included from anywhere. lib/optable.c, the
# roof, may see every room. A room that is not listed here is an error.
set -eu
cd "${srctree:-$(dirname "$0")/..}"

# room: what it may include beside itself
rules='base:
flow:base
io:base
buf:base io
file:base io buf
net:base io buf file flow
stream:base io buf file net flow
fiber:base io
serve:base io buf file net flow stream
resolve:base
bpf:base io'

# A skeleton is made from bpf/ and belongs to the loader alone.
grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' lib include |
awk -F: -v rules="$rules" '
function complain(what) {
	printf "%s:%s: %s\n", $1, $2, what
	bad = 1
}
BEGIN {
	n = split(rules, line, "\n")
	for (i = 1; i <= n; i++) {
		split(line[i], kv, ":")
		known[kv[1]] = 1
		m = split(kv[2], dep, " ")
		for (j = 1; j <= m; j++)
			ok[kv[1], dep[j]] = 1
	}
}
{
	quoted = $3 ~ /include[ \t]*"/
	to = $3
	gsub(/^[^<"]*[<"]|[>"].*$/, "", to)
	nfrom = split($1, from, "/")
	nto = split(to, part, "/")
	checked++
	if (from[1] == "include") {
		if (quoted)
			complain("a public header includes <weir/...> and system headers only: \"" to "\"")
		else if (part[1] in known && nto > 1)
			complain("a public header may not see room " part[1])
		next
	}
	if (nfrom < 3)
		next			# lib/optable.c: the roof
	room = from[2]
	if (!(room in known)) {
		if (!(room in told))
			complain("room " room " is not in scripts/check-layers.sh")
		told[room] = 1
		next
	}
	if (to ~ /\.skel\.h$/) {
		if (room != "bpf")
			complain("only lib/bpf includes a skeleton: " to)
		next
	}
	if (!quoted && !(part[1] in known))
		next			# a system or public header
	if (nto < 2)
		complain("write the room in the path: \"" to "\"")
	else if (part[1] == "generated")
		next
	else if (part[1] != room && !((room, part[1]) in ok))
		complain("room " room " may not include " to)
}
END {
	if (!bad)
		printf "  LAYERS  %d includes, all point down\n", checked
	exit bad
}'
