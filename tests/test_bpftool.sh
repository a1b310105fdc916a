#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_bpftool.sh - the interface of Documentation/bpftool.rst: names, types, sizes,
# and that bpftool and weir show say the same

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir
instance=bpftool-$$
workers=3

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
json "$tmp/doctor" 'd["rung"] == "full"' 2> /dev/null ||
	skip_all "BPF is refused here, in part or whole, or not built in: see weir doctor"
for bpftool in "$(command -v bpftool)" /usr/sbin/bpftool; do
	[ -x "$bpftool" ] && break
done
[ -x "$bpftool" ] || skip_all "needs bpftool"
command -v unshare > /dev/null || skip_all "needs unshare for a network namespace"
if [ -z "${WEIR_NETNS-}" ]; then
	rm -rf "$tmp"
	# shellcheck disable=SC2016 # expanded by the inner shell
	WEIR_NETNS=1 exec unshare -n sh -c 'ip link set lo up && exec "$0"' "$0"
fi
: > "$tmp/log"

echo "TAP version 13"
echo "1..17"

mkfifo "$tmp/fifo"
"$weir" serve echo --port 0 --instance "$instance" --workers $workers \
	--vip '10.99.0.0/24:8000-8009,[fd99::/64]:80' > "$tmp/fifo" 2> "$tmp/err" &
server=$!
exec 3< "$tmp/fifo"
line=''
IFS= read -r line <&3
port=$(expr "$line" : 'listening on 127\.0\.0\.1:\([0-9]*\): ')
dir=/sys/fs/bpf/weir/$instance
[ -n "$port" ] || cat "$tmp/err" >> "$tmp/log"
[ -n "$port" ] && [ -d "$dir" ]
is "a service runs"

# Five clients that stay, each with 1000 bytes behind it; four of IPv4 answered twice.
mkfifo "$tmp/peer"
python3 -c '
import socket, sys, time
s = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for i in range(5)]
for c in s:
    c.sendall(b"x" * 1000)
    n = 0
    while n < 1000:
        n += len(c.recv(1000))
print("ready", flush=True)
time.sleep(100)
' "$port" > "$tmp/peer" &
helper=$!
exec 4< "$tmp/peer"
IFS= read -r said <&4
[ "$said" = ready ]
is "five clients are connected"

# compare <python>: t() is what bpftool says, dump() a map, w() what weir show says
compare() {
	TMP=$tmp WEIR=$weir INSTANCE=$instance DIR=$dir BPFTOOL=$bpftool WORKERS=$workers \
		python3 - "$srctree" >> "$tmp/log" 2>&1 <<-END
	import glob, json, os, re, subprocess, sys
	env = os.environ
	def t(*words):
	    return json.loads(subprocess.run([env["BPFTOOL"], "-j", *words], check=True,
	                                     stdout=subprocess.PIPE).stdout)
	def pin(name):
	    return env["DIR"] + "/" + name
	def dump(name):
	    rows = t("map", "dump", "pinned", pin(name))
	    return [r.get("formatted", r) for r in rows]
	def w(noun, *more):
	    return json.loads(subprocess.run([env["WEIR"], "show", noun, "-i", env["INSTANCE"], "-j",
	                                      *more], check=True, stdout=subprocess.PIPE).stdout)
	workers = int(env["WORKERS"])
	$1
	END
}

compare '
# name: type, key bytes, value bytes, entries
want = {
    "weir_meta": ("array", 4, 144, 1), "weir_cfg": ("array", 4, 176, 1),
    "weir_worker": ("array", 4, 64, workers), "weir_pending": ("array", 4, 64, workers),
    "weir_admin": ("array", 4, 8, workers), "weir_hist": ("array", 4, 512, workers),
    "weir_listener": ("percpu_array", 4, 64, workers), "weir_gate": ("percpu_array", 4, 64, 1),
    "weir_tick": ("percpu_array", 4, 16, 1),
    "weir_stats": ("percpu_array", 4, 64, 1), "weir_recent": ("array", 4, 48, 256),
    "weir_seq": ("array", 4, 8, 1),
    "weir_socks": ("reuseport_sockarray", 4, 8, workers),
    "weir_socks6": ("reuseport_sockarray", 4, 8, workers),
    "weir_prefix": ("lru_hash", 24, 24, 16384), "weir_hold": ("sk_storage", 4, 32, 0),
    "weir_flow": ("hash", 8, 144, 65536), "weir_events": ("array_of_maps", 4, 4, workers),
    "weir_own": ("sk_storage", 4, 16, 0), "weir_group": ("sk_storage", 4, 8, 0), "weir_observe": ("ringbuf", 0, 0, 65536),
    "weir_overflow": ("array", 4, 32, workers), "weir_vip": ("lpm_trie", 24, 136, 1024),
    "weir_rep": ("sockmap", 4, 8, 4), "weir_vip_stats": ("percpu_array", 4, 32, 1),
}
for name, is_ in want.items():
    m = t("map", "show", "pinned", pin(name))
    got = (m["type"], m["bytes_key"], m["bytes_value"], m["max_entries"])
    assert m["name"] == name and got == is_, (name, m)
'
is "maps have their names, types and sizes, and no row too many"

compare '
quote = 2 * chr(96)
doc = open(sys.argv[1] + "/Documentation/bpftool.rst").read()
for path in glob.glob(pin("*")):
    name = os.path.basename(path)
    assert name in ("flows", "group") or name.startswith("weir_") and len(name) <= 15, name
    assert quote + name + quote in doc, name + " is not documented"
'
is "every pin has a name of its kind and is documented"

compare '
for name in ("weir_steer", "weir_sockops_q", "weir_tp_state", "weir_iter_flows", "weir_iter_group",
             "weir_overflown", "weir_lookup", "weir_raise"):
    p = t("prog", "show", "pinned", pin(name))
    meta = p["metadata"]
    assert p["name"] == name and p["gpl_compatible"], p
    assert re.fullmatch("[0-9]+[.][0-9]+[.][0-9]+", meta["version"]), meta
    assert re.fullmatch("[0-9a-f]{16}", meta["build_id"]), meta
meta = dump("weir_meta")[0]["value"]
assert t("prog", "show", "pinned", pin("weir_steer"))["tag"] == meta["build_id"], meta
'
is "programs name their version and build; weir_meta has the tag of the one that steers"

compare '
links = {"weir_link_ops": "cgroup", "weir_link_state": "raw_tracepoint", "flows": "iter", "group": "iter"}
for name, kind in links.items():
    link = t("link", "show", "pinned", pin(name))
    assert link["type"] == kind, link
prog = {p: t("prog", "show", "pinned", pin(p))["id"]
        for p in ("weir_sockops_q", "weir_tp_state", "weir_iter_flows")}
assert t("link", "show", "pinned", pin("weir_link_ops"))["prog_id"] == prog["weir_sockops_q"]
assert t("link", "show", "pinned", pin("weir_link_state"))["prog_id"] == prog["weir_tp_state"]
assert t("link", "show", "pinned", pin("flows"))["prog_id"] == prog["weir_iter_flows"]
'
is "links are there, of the kinds that the kernel has"

compare '
strip = lambda text, prefix: text[len(prefix):]
rows = [r["value"] for r in dump("weir_worker")]
admin = [r["value"] for r in dump("weir_admin")]
hist = [r["value"] for r in dump("weir_hist")]
picks = [sum(v["value"]["picked"] for v in r["values"]) for r in dump("weir_listener")]
mine = w("workers")
assert len(rows) == len(mine) == workers
assert sum(m["accepted"] for m in mine) == 5
for r, a, h, p, m in zip(rows, admin, hist, picks, mine):
    assert strip(r["state"], "WEIR_") == m["state"] == "PARKED", (r, m)
    assert strip(r["speed"], "WEIR_") == m["speed"], (r, m)
    assert strip(a["state"], "WEIR_ADMIN_") == m["admin"] and a["weight"] == m["weight"], (a, m)
    assert all(r[k] == m[k] for k in ("accepted", "conns", "epoch", "cookie", "inflight")), (r, m)
    assert r["pid"] == m["tid"] and p == m["picked"], (r, m)
    assert sum(h["queue"]) <= m["queue_delay"]["count"], (h, m)
'
is "rows of workers are the same from both, enums by name"

compare '
cfg = dump("weir_cfg")[0]["value"]
mine = w("cfg")[0]
assert cfg["policy"] == "WEIR_POLICY_" + mine["policy"].upper(), (cfg, mine)
assert set(cfg) - {"pad"} == set(mine), set(cfg) ^ set(mine)
assert all(cfg[k] == v for k, v in mine.items() if k != "policy"), (cfg, mine)
'
is "the configuration is the same from both, member by member"

compare '
gate = dump("weir_gate")[0]["values"]
mine = w("gate")[0]
assert mine == {k: sum(v["value"][k] for v in gate) for k in mine}, (gate, mine)
assert mine["asked"] == 5, mine
'
is "the counters of admission are the same from both, summed"

compare '
flows = {r["key"]: r["value"] for r in dump("weir_flow")}
mine = {f["cookie"]: f for f in w("flows")}
assert set(flows) == set(mine) and len(mine) == 5, (flows, mine)
for cookie, f in flows.items():
    m = mine[cookie]
    assert f["state"] == "WEIR_TCP_" + m["state"], (f, m)
    assert all(f[k] == m[k] for k in ("worker", "bytes_received", "srtt_us", "cwnd")), (f, m)
    assert m["remote"].endswith(":%d" % f["remote_port"]), (f, m)
'
is "flows are the same from both"

compare '
lines = open(pin("flows")).read().splitlines()
heads = lines[0].split()
assert heads[:3] == ["COOKIE", "WORKER", "STATE"], heads
rows = {int(l.split()[0]): dict(zip(heads, l.split())) for l in lines[1:]}
mine = {f["cookie"]: f for f in w("flows")}
assert set(rows) == set(mine) and len(mine) == 5, (rows, mine)
for cookie, r in rows.items():
    m = mine[cookie]
    assert r["LOCAL"] == m["local"] and r["REMOTE"] == m["remote"], (r, m)
    assert r["STATE"] == m["state"] == "ESTABLISHED" and int(r["WORKER"]) == m["worker"], (r, m)
    assert int(r["RECEIVED"]) == m["bytes_received"] and int(r["CWND"]) == m["cwnd"], (r, m)
'
is "cat flows prints the same table, with a heading"

compare '
lines = open(pin("group")).read().splitlines()
assert lines[0].split() == ["WORKER", "FAMILY", "PROGRAM", "OURS"], lines
rows = sorted(l.split() for l in lines[1:])
mine = sorted([str(g["worker"]), g["family"], str(g["prog"]), str(g["own"])] for g in w("group"))
steer = t("prog", "show", "pinned", pin("weir_steer"))["id"]
assert rows == mine and len(mine) == workers, (rows, mine)
assert all(g["prog"] == g["own"] == steer and g["chooser"] == "ours" for g in w("group")), mine
'
is "cat group says whose program chooses, as bpftool names it"

compare '
import ipaddress
def network(key):
    v6 = key["family"] == "WEIR_FAMILY_INET6"
    ip = b"".join(w.to_bytes(4, sys.byteorder) for w in key["ip"])
    return "%s/%d" % (ipaddress.ip_address(ip if v6 else ip[:4]), key["bits"] - 32)
rows = sorted((network(r["key"]), v["proto"], v["first"], v["last"])
              for r in dump("weir_vip") for v in r["value"]["range"][:r["value"]["own"]])
mine = w("vips")[0]
assert rows == [("10.99.0.0/24", "WEIR_PROTO_TCP", 8000, 8009),
                ("fd99::/64", "WEIR_PROTO_TCP", 80, 80)], rows
assert rows == sorted((v["network"], "WEIR_PROTO_" + v["proto"].upper(), v["first"], v["last"])
                      for v in mine["vips"]), (rows, mine)
stats = dump("weir_vip_stats")[0]["values"]
for k in ("assigned", "taken", "absent", "failed"):
    assert mine[k] == sum(v["value"][k] for v in stats), (mine, stats)
assert w("xdp") == [], w("xdp")
'
is "networks are the same from both"

compare '
cost = {c["name"]: c for c in w("cost", "--interval", "50ms")}
for name, c in cost.items():
    p = t("prog", "show", "pinned", pin(name))
    assert p["id"] == c["id"] and p["tag"] == c["tag"], (p, c)
    assert p.get("run_cnt", 0) >= c["run_cnt"] >= c["runs"], (p, c)
assert {"weir_steer", "weir_sockops_q", "weir_tp_state"} <= set(cost), cost
assert cost["weir_steer"]["type"] == "sk_reuseport", cost
'
is "cost has the programs that bpftool shows"

kill -KILL "$helper"
wait "$helper" 2> /dev/null
mkfifo "$tmp/udp"
"$weir" serve udp-echo --port 0 --instance "$instance-u" > "$tmp/udp" 2>> "$tmp/log" &
helper=$!
exec 5< "$tmp/udp"
IFS= read -r line <&5
INSTANCE_U=$dir-u compare '
doc = open(sys.argv[1] + "/Documentation/bpftool.rst").read()
quote = 2 * chr(96)
names = os.listdir(env["INSTANCE_U"])
assert "weir_dgram" in names and "weir_datagram" in names, names
for name in names:
    assert quote + name + quote in doc, name + " is not documented"
m = t("map", "show", "pinned", env["INSTANCE_U"] + "/weir_dgram")
assert (m["type"], m["bytes_key"], m["bytes_value"]) == ("lru_hash", 40, 24), m
'
rc=$?
kill -TERM "$helper" && wait "$helper" && [ $rc = 0 ]
is "a service of datagrams has its own pins, documented as well"
helper=''

# One end of a pair has the program, the other sends it a frame; both are of this namespace.
name="what an XDP program has is pinned, documented and the same from both"
# shellcheck disable=SC2317 # called through await
link_up() {
	ip link show "$1" | grep -q 'state UP'
}
if [ "$(config CONFIG_XDP)" != y ]; then
	skip "$name" "built without libxdp (CONFIG_XDP=n)"
elif ! { ip link add s0 numrxqueues 2 numtxqueues 2 type veth peer name c0 \
	numrxqueues 2 numtxqueues 2 && ip link set s0 up && ip link set c0 up &&
	ip addr add 10.98.0.2/24 dev s0; } 2>> "$tmp/log"; then
	skip "$name" "needs ip link and veth"
else
	# Until the kernel has seen that its peer is up, an interface drops what it is to send.
	await link_up s0
	await link_up c0
	mkfifo "$tmp/xdp"
	"$weir" serve udp-echo --addr 10.98.0.2 --port 0 --instance "$instance-x" --workers 2 \
		--xdp s0:generic > "$tmp/xdp" 2>> "$tmp/log" &
	helper=$!
	exec 6< "$tmp/xdp"
	IFS= read -r line <&6
	INSTANCE_X=$instance-x compare '
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("c0", 0))
s.send(b"\xff" * 6 + b"\2" * 6 + b"\x88\xb5" + bytes(46))
env["DIR"] = env["DIR"] + "-x"
want = {"weir_xdp_cfg": ("array", 4, 48, 1), "weir_xdp_row": ("array", 4, 64, 2),
        "weir_xdp_stats": ("percpu_array", 4, 96, 1), "weir_xdp_port": ("hash", 24, 4, 64),
        "weir_xdp_syn": ("lru_hash", 24, 24, 16384), "weir_xsks": ("xskmap", 4, 4, 2),
        "weir_xdp_dgram": ("lru_hash", 24, 24, 16384), "weir_xdp_mac": ("array", 4, 8, 1),
        "weir_xdp_addr": ("hash", 24, 4, 4096)}
for name, is_ in want.items():
    m = t("map", "show", "pinned", pin(name))
    assert (m["type"], m["bytes_key"], m["bytes_value"], m["max_entries"]) == is_, (name, m)
doc = open(sys.argv[1] + "/Documentation/bpftool.rst").read()
for name in os.listdir(env["DIR"]):
    assert 2 * chr(96) + name + 2 * chr(96) in doc, name + " is not documented"
p = t("prog", "show", "pinned", pin("weir_xdp"))
assert p["type"] == "xdp" and p["name"] == "weir_xdp" and "build_id" in p["metadata"], p
cfg, rows = dump("weir_xdp_cfg")[0]["value"], dump("weir_xdp_row")
stats = dump("weir_xdp_stats")[0]["values"]
def xdp():
    return json.loads(subprocess.run([env["WEIR"], "show", "xdp", "-i", env["INSTANCE_X"], "-j"],
                                     check=True, stdout=subprocess.PIPE).stdout)[0]
end = time.time() + 20
while not xdp()["passed"] and time.time() < end:
    time.sleep(0.1)
mine = xdp()
assert mine["ifname"] == "s0" and mine["ifindex"] == cfg["ifindex"] == socket.if_nametoindex("s0")
assert "WEIR_XDP_" + mine["mode"].upper() == cfg["mode"] == "WEIR_XDP_GENERIC", (mine, cfg)
assert "WEIR_XDP_BY_" + mine["by"].upper() == cfg["by"], (mine, cfg)
for k in ("queue_first", "syn_rate", "syn_burst", "dgram_rate", "dgram_burst"):
    assert mine[k] == cfg[k], (k, mine, cfg)
names = set(stats[0]["value"])
assert names <= set(mine) and mine["frames"] >= 1 and mine["passed"] >= 1, (mine, stats)
for k in names:
    assert mine[k] <= sum(v["value"][k] for v in dump("weir_xdp_stats")[0]["values"]), k
assert len(rows) == len(mine["workers"]) == 2
for r, m in zip(rows, mine["workers"]):
    assert all(r["value"][k] == m[k] for k in set(m) - {"worker"}), (r, m)
text = subprocess.run([env["WEIR"], "show", "xdp", "-i", env["INSTANCE_X"]], check=True,
                      stdout=subprocess.PIPE).stdout.decode().split()
assert {"s0", "generic", mine["by"], "FRAMES", "syns_refused"} <= set(text), text
'
	rc=$?
	kill -TERM "$helper" && wait "$helper" && [ $rc = 0 ]
	is "$name"
	helper=''
fi

kill -TERM $server && cat <&3 > /dev/null && wait $server
rc=$?
server=''
[ $rc = 0 ] && [ ! -e "$dir" ]
is "the service ends and takes its pins along"
exit $bad
