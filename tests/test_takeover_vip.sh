#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_takeover_vip.sh - networks that a service answers on survive a takeover

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
name=takeover-vip-$$

lookup_netns "$@"

# start <arguments>...: sets started when it listens
start() {
	first_line "$tmp/serve" "$weir" serve echo --instance "$name" "$@"
}

# hold: sets helper when it holds a listener
hold() {
	mkfifo "$tmp/held"
	"$weir" hold "$name" > "$tmp/held" 2>> "$tmp/log" &
	helper=$!
	exec 4< "$tmp/held"
	while IFS= read -r line <&4; do
		echo "$line" >> "$tmp/log"
		case $line in *" 1 listener"*) return 0 ;; esac
	done
	return 1
}

# next <arguments>...: takes over, and the one before ends well
next() {
	start --takeover "$@" && succeeded
}

vips() {
	"$weir" steer vip "$name" list 2>> "$tmp/log" | sort | tr '\n' ' '
}

echo "TAP version 13"
echo "1..5"

start --port 7000 --workers 2 --vip 127.9.0.0/16:443 && server=$started &&
	"$weir" steer set "$name" shed_max_permille 0 2>> "$tmp/log" &&
	"$weir" steer weight "$name" 1 42 2>> "$tmp/log"
is "a service answers on a network"

timeout 60 "$weir" bench echo -a 127.9.1.2 --port 443 -d 6s -c 60 -n -R 500 --timeout 20s -j > "$tmp/load" \
	2>> "$tmp/log" &
load=$!
next && [ "$(vips)" = "127.9.0.0/16:443 " ]
is "its successor does, too, without being told"
next --workers 4 --vip 127.8.0.0/16:80 && [ "$(vips)" = "127.8.0.0/16:80 127.9.0.0/16:443 " ] &&
	"$weir" show workers -i "$name" -j > "$tmp/workers" 2>> "$tmp/log" &&
	json "$tmp/workers" '(d["workers"] if isinstance(d, dict) else d)[1]["weight"] == 42' &&
	timeout 20 "$weir" bench echo -a 127.8.3.3 --port 80 --requests 10 -n > "$tmp/out" 2>> "$tmp/log"
is "one with more workers and another network answers on both, and weights stay"
next --workers 1 && [ "$(vips)" = "127.8.0.0/16:80 127.9.0.0/16:443 " ] && wait $load &&
	json "$tmp/load" 'sum(d["errors"].values()) == 0 and d["requests"] > 1000'
is "one with fewer, too, and no request failed"

hold && kill -KILL "$server"
wait "$server" 2>> "$tmp/log"
start --vip 127.7.0.0/16 && server=$started && vips >> "$tmp/log" &&
	vips | grep -qF "127.7.0.0/16:7000 " &&
	timeout 20 "$weir" bench echo -a 127.7.3.3 --port 7000 --requests 10 -n > "$tmp/out" 2>> "$tmp/log"
is "on listeners that were kept a network without a port is of theirs"
exit $bad
