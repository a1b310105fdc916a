/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * wire.h - everything that the BPF half and the C half share, and nothing else
 *
 * Included by C, C++ and BPF C. Members are of fixed width, ordered 8-4-2-1,
 * padding is named and zero, units end the names (_ns _us _bytes _permille), and
 * every size is asserted. A member that is an enum is printed by name by
 * bpftool. A change of any size or meaning raises WEIR_ABI_MAJOR; a new use for
 * named padding raises WEIR_ABI_MINOR.
 *
 * All times are CLOCK_MONOTONIC nanoseconds, which is also what BPF's
 * bpf_ktime_get_ns() reads.
 */
#ifndef WEIR_WIRE_H
#define WEIR_WIRE_H

#include <linux/types.h>

#ifdef __cplusplus
#define WEIR_ASSERT_SIZE(type, bytes) \
	static_assert(sizeof(type) == (bytes), "size of " #type)
#else
#define WEIR_ASSERT_SIZE(type, bytes) \
	_Static_assert(sizeof(type) == (bytes), "size of " #type)
#endif

#define WEIR_CACHELINE_BYTES	64
#define WEIR_CACHE_ALIGNED	__attribute__((aligned(WEIR_CACHELINE_BYTES)))

#define WEIR_ABI_MAGIC		0x7765697262706631ULL	/* "weirbpf1" */
#define WEIR_ABI_MAJOR		2
#define WEIR_ABI_MINOR		2

#define WEIR_WORKERS_MAX	256	/* rows that a steering program scans */
#define WEIR_WORKER_NONE	0xffffffffU
#define WEIR_RECENT_MAX		256	/* events kept in weir_recent */
#define WEIR_NAME_BYTES		32	/* instance name with its NUL */
#define WEIR_BUILD_ID_BYTES	32
#define WEIR_HIST_BUCKETS	32

/* What a worker says about itself in its row. */
enum weir_worker_state {
	WEIR_INIT = 0,		/* row not yet used */
	WEIR_RUN = 1,		/* executing; loop_ns tells since when */
	WEIR_PARKED = 2,	/* about to block or blocked in the kernel */
	WEIR_DRAIN = 3,		/* finishes what it has, takes nothing new */
	WEIR_DEAD = 4,		/* its thread or process is gone */
};

/* What a worker says about its own delay: see weir_cfg.slow_on_us. */
enum weir_worker_speed {
	WEIR_OK = 0,
	WEIR_SLOW = 1,
};

/*
 * One worker's line in the load table (map weir_worker). Written by that worker
 * alone, with plain stores; read by the steering program on every SYN.
 *
 * The contract: store state = WEIR_PARKED before blocking; after it, store
 * loop_ns and then state = WEIR_RUN. A worker in WEIR_RUN whose loop_ns is older
 * than weir_cfg.stale_ns is hung.
 */
struct weir_worker_row {
	__u64 loop_ns;		/* when the current turn of the loop began */
	__u64 accepted;		/* connections accepted since the instance began */
	__u64 cookie;		/* socket cookie of the worker's listener */
	__u32 inflight;		/* requests or operations in progress */
	__u32 cq_ready;		/* completions waiting when the turn began */
	__u32 conns;		/* open connections */
	__u32 qdelay_us;	/* minimum completion-to-handler delay, last window */
	enum weir_worker_state state;
	__u32 epoch;		/* raised each time the worker restarts */
	__u32 pid;		/* thread id */
	enum weir_worker_speed speed;
	__u32 wait_us;		/* mean completion-to-handler delay, last window */
	__u32 pad;
} WEIR_CACHE_ALIGNED;

WEIR_ASSERT_SIZE(struct weir_worker_row, 64);

/*
 * Kernel's count of one worker's connections (map weir_pending). What waits in
 * the accept queue is established - row.accepted - unaccepted, at least 0. The
 * last term is written by user space once a second at most, from the length of
 * the idle listener's queue: connections that were counted and left the queue
 * without an accept, or the reverse, must not make an idle worker look hung.
 */
struct weir_pending {
	__u64 established;	/* +1 at PASSIVE_ESTABLISHED, moved on migration */
	__u64 since_ns;		/* since when it waits without progress */
	__u64 accepted_seen;	/* row.accepted at the last look */
	__s64 unaccepted;
	__u64 out_ns;		/* when it was last looked at and could not be used; 0: warm */
	__u64 rescued_ns;	/* when its queue was moved away last */
	__u64 trial_ns;		/* parked since before that: hung for so long after it */
	__u64 pad;
} WEIR_CACHE_ALIGNED;

WEIR_ASSERT_SIZE(struct weir_pending, 64);

/* What the operator wants of a worker. */
enum weir_admin_state {
	WEIR_ADMIN_ON = 0,
	WEIR_ADMIN_DRAIN = 1,	/* nothing new goes there while another serves */
};

#define WEIR_WEIGHT_DEFAULT	100
#define WEIR_WEIGHT_MAX		10000

/* The operator's line of one worker (map weir_admin, mmapable). */
struct weir_admin {
	enum weir_admin_state state;
	__u32 weight;		/* 1 to WEIR_WEIGHT_MAX; for WEIR_POLICY_WEIGHTED */
};

WEIR_ASSERT_SIZE(struct weir_admin, 8);

/* How a new connection finds its worker. */
enum weir_policy {
	WEIR_POLICY_HASH = 0,		/* of the four-tuple, blind to load */
	WEIR_POLICY_CPU = 1,		/* of the receiving CPU */
	WEIR_POLICY_LEAST = 2,		/* least loaded of all */
	WEIR_POLICY_P2C = 3,		/* less loaded of two at random */
	WEIR_POLICY_WEIGHTED = 4,	/* by the operator's weights */
};

/* Bits of weir_cfg.flags. */
#define WEIR_CFG_PENDING	(1U << 0)	/* somebody keeps weir_pending */

/* Configuration of the kernel half (map weir_cfg, one entry, mmapable). */
struct weir_cfg {
	__u64 stale_ns;		/* older than this is hung */
	__u64 rescue_ns;	/* age at which an accept queue is moved away */
	__u64 flow_age_ns;	/* age at which the sweep looks at a flow */
	__u64 rtx_window_ns;	/* retransmits are counted over this time */
	__u64 rtx_quiet_ns;	/* without one for this long: burst over */
	__u64 ramp_ns;		/* a worker that comes back gets its full share after this */
	enum weir_policy policy;
	__u32 workers;		/* rows in use */
	__u32 scan_max;		/* p2c scans all rows up to this many workers */
	__u32 flags;		/* WEIR_CFG_* */
	__u32 shed_permille;	/* share of SYNs refused */
	__u32 observers;	/* not 0: somebody reads weir_observe */
	__u32 flow_period_us;	/* a flow is refreshed at most this often */
	__u32 rtt_on_permille;	/* srtt over this share of the least: inflated */
	__u32 rtt_off_permille;	/* under this share: no longer */
	__u32 rtt_floor_us;	/* inflation below this is not one */
	__u32 rtx_burst;	/* segments within rtx_window_ns: a burst */
	__u32 sendq_high_bytes;	/* send queue pressure on */
	__u32 sendq_low_bytes;	/* and off */
	__u32 recvq_high_bytes;	/* receive queue pressure on */
	__u32 recvq_low_bytes;	/* and off */
	__u32 window_us;	/* of the controller and of a worker's minimum */
	__u32 slow_on_us;	/* least delay of a window above this: slow */
	__u32 slow_off_us;	/* below this for two windows: no longer */
	__u32 shed_wait_us;	/* all slow and the mean wait above this: shed */
	__u32 shed_step_permille;	/* added to shed_permille each window */
	__u32 shed_fall_permille;	/* what is left of it each window without cause */
	__u32 shed_max_permille;
	__u32 prefix_rate;	/* connections a second from one prefix; 0: no limit */
	__u32 prefix_burst;	/* how many at once */
	__u32 prefix_bits4;	/* length of a prefix, IPv4 */
	__u32 prefix_bits6;	/* and IPv6 */
	__u32 quic_offset;	/* of the worker's number in a QUIC short header */
	__u32 quic_bytes;	/* its length, 1 to 4; 0: by flow alone */
	__u32 pace_bytes;	/* kernel paces a pressed connection to this a second; 0: no */
	__u32 clamp_bytes;	/* and clamps the window it offers to this; 0: no */
	__u64 shed_until_ns;	/* shed_permille counts until then; 0: for ever */
};

WEIR_ASSERT_SIZE(struct weir_cfg, 176);

/* Defaults of struct weir_cfg, the constants of the law. */
#define WEIR_STALE_NS		20000000ULL	/* 20 ms */
#define WEIR_RESCUE_NS		25000000ULL	/* 25 ms */
#define WEIR_FLOW_AGE_NS	60000000000ULL	/* 60 s */
#define WEIR_FLOW_PERIOD_US	1000		/* 1 ms */
#define WEIR_SCAN_MAX		4
#define WEIR_RTT_ON_PERMILLE	4000
#define WEIR_RTT_OFF_PERMILLE	2000
#define WEIR_RTT_FLOOR_US	50000	/* above what delayed ACKs add, 40 ms */
#define WEIR_RTX_BURST		4
#define WEIR_RTX_WINDOW_NS	200000000ULL	/* 200 ms */
#define WEIR_RTX_QUIET_NS	1000000000ULL	/* 1 s */
#define WEIR_SENDQ_HIGH_BYTES	(1U << 20)
#define WEIR_SENDQ_LOW_BYTES	(1U << 18)
#define WEIR_RECVQ_HIGH_BYTES	(1U << 20)
#define WEIR_RECVQ_LOW_BYTES	(1U << 18)
#define WEIR_RAMP_NS		200000000ULL	/* 200 ms */
#define WEIR_WINDOW_US		100000
#define WEIR_SLOW_ON_US		5000
#define WEIR_SLOW_OFF_US	2500
#define WEIR_SHED_WAIT_US	20000
#define WEIR_SHED_STEP_PERMILLE	50
#define WEIR_SHED_FALL_PERMILLE	500
#define WEIR_SHED_MAX_PERMILLE	950
#define WEIR_PREFIX_BITS4	24
#define WEIR_PREFIX_BITS6	56

/* How much of the kernel half an instance got. */
enum weir_rung {
	WEIR_RUNG_NONE = 0,	/* no BPF: the kernel's own hash */
	WEIR_RUNG_STEER = 1,	/* steering; no flows; pending counts once a second */
	WEIR_RUNG_FLOW = 2,	/* and flows from sockops, without queue lengths */
	WEIR_RUNG_FULL = 3,	/* and queue lengths and the state tracepoint */
};

/* Who made the maps (map weir_meta, one entry). */
struct weir_meta {
	__u64 magic;		/* WEIR_ABI_MAGIC, stored last */
	__u64 netns_cookie;	/* network namespace of the listeners */
	__u64 owner_start;	/* start time of the owner, clock ticks since boot */
	__u64 opened_ns;
	__u32 abi_major;
	__u32 abi_minor;
	__u32 owner_pid;
	__u32 instance;		/* as in weir_own */
	__u32 workers_max;
	__u32 row_bytes;	/* sizes as the maker knew them */
	__u32 cfg_bytes;
	__u32 flow_bytes;
	__u32 event_bytes;
	enum weir_rung rung;
	char name[WEIR_NAME_BYTES];
	char build_id[WEIR_BUILD_ID_BYTES];
	__u16 port4;		/* where its sockets are, host order; 0: none, or not yet */
	__u16 port6;
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_meta, 144);

/* Storage on a listener, inherited by its children (map weir_own). */
struct weir_own {
	__u32 instance;
	__u32 worker;
	__u32 epoch;
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_own, 16);

/* Storage on a listener, not inherited (map weir_group): which program is to choose. */
struct weir_group {
	__u32 worker;
	__u32 prog;		/* the kernel's number for ours */
};

WEIR_ASSERT_SIZE(struct weir_group, 8);

/* Counters of one worker on one CPU (map weir_listener). */
struct weir_listener_row {
	__u64 picked;		/* selections; syncookies pick twice */
	__u64 skip_stale;	/* looked at and passed over: hung */
	__u64 skip_state;	/* looked at and passed over: not serving, or drained */
	__u64 select_err;	/* chosen, but its socket could not be used */
	__u64 fallback;		/* picked although unusable: none was better */
	__u64 migrated;		/* connections moved here from another listener */
	__u64 pad[2];
};

WEIR_ASSERT_SIZE(struct weir_listener_row, 64);

/* Counters of admission on one CPU (map weir_gate, one entry). */
struct weir_gate {
	__u64 asked;		/* SYNs, and first datagrams of a flow */
	__u64 shed;		/* refused because all workers are slow */
	__u64 shed_prefix;	/* refused because their prefix had its share */
	__u64 prefix_failed;	/* no bucket to be had: let in */
	__u64 dgram_kept;	/* datagrams that went to the worker of their flow */
	__u64 dgram_moved;	/* flows given to another worker: theirs was gone */
	__u64 dgram_failed;	/* flow table refused: chosen by hash */
	__u64 dgram_named;	/* went where their connection id says */
};

WEIR_ASSERT_SIZE(struct weir_gate, 64);

/* Key of map weir_prefix, LRU: a source network, the host's bits zero. */
struct weir_prefix {
	__u32 ip[4];		/* network order; IPv4 in [0] */
	__u32 bits;		/* 0 to 32, or 128 plus 0 to 128 for IPv6 */
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_prefix, 24);

/* Its token bucket. */
struct weir_bucket {
	__u64 filled_ns;	/* when it was filled last */
	__u64 tokens_milli;	/* thousandths of a connection */
	__u64 refused;
};

WEIR_ASSERT_SIZE(struct weir_bucket, 24);

/* Key of map weir_dgram, LRU: who sends datagrams to which port. */
struct weir_dgram_key {
	__u32 ip[4];		/* of the sender */
	__u32 own_ip[4];	/* of ours */
	__u16 port;		/* host order */
	__u16 own_port;
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_dgram_key, 40);

/* Its worker. */
struct weir_dgram_flow {
	__u64 seen_ns;
	__u64 datagrams;
	__u32 worker;
	__u32 epoch;		/* of the worker */
};

WEIR_ASSERT_SIZE(struct weir_dgram_flow, 24);

/* How an XDP program is attached. */
enum weir_xdp_mode {
	WEIR_XDP_NATIVE = 1,	/* in the driver */
	WEIR_XDP_GENERIC = 2,	/* by the kernel, for any interface */
};

/* And by whom. */
enum weir_xdp_by {
	WEIR_XDP_BY_LINK = 1,		/* alone on the interface, by a link of ours */
	WEIR_XDP_BY_DISPATCHER = 2,	/* beside others, by libxdp's dispatcher */
};

/* Configuration of the XDP program (map weir_xdp_cfg, one entry, mmapable). */
struct weir_xdp_cfg {
	__u32 ifindex;
	enum weir_xdp_mode mode;
	enum weir_xdp_by by;
	__u32 queue_first;	/* worker w has queue queue_first + w */
	__u32 syn_rate;		/* SYNs a second from one prefix; 0: no limit */
	__u32 syn_burst;	/* how many at once */
	__u32 dgram_rate;	/* datagrams, likewise */
	__u32 dgram_burst;
	char ifname[16];
};

WEIR_ASSERT_SIZE(struct weir_xdp_cfg, 48);

enum weir_family {
	WEIR_FAMILY_NONE = 0,
	WEIR_FAMILY_INET = 2,
	WEIR_FAMILY_INET6 = 10,
};

/* What a frame for this host has as its destination (map weir_xdp_mac, one entry). */
struct weir_xdp_mac {
	__u8 mac[6];
	__u8 pad[2];
};

WEIR_ASSERT_SIZE(struct weir_xdp_mac, 8);

/* Key of map weir_xdp_addr: an address of this host's. */
struct weir_xdp_addr {
	__u32 ip[4];		/* network order; IPv4 in [0] */
	enum weir_family family;
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_xdp_addr, 24);

/* Key of map weir_xdp_port: what is the service's. Address 0 is any of this host's. */
struct weir_xdp_port {
	__u32 ip[4];		/* network order; IPv4 in [0] */
	__u16 port;		/* host order */
	__u8 proto;		/* 6: SYNs are budgeted; 17: datagrams are taken */
	__u8 family;		/* enum weir_family */
	__u32 pad;
};

WEIR_ASSERT_SIZE(struct weir_xdp_port, 24);

/* One worker as the XDP program sees it (map weir_xdp_row). */
struct weir_xdp_row {
	__u64 frames;		/* given to its socket */
	__u64 skipped;		/* left to the kernel: not serving, or hung */
	__u64 no_socket;	/* left to the kernel: no socket on this queue */
	__u64 loop_seen_ns;	/* of its row, when a frame came */
	__u64 since_ns;		/* since when it is unchanged */
	__u64 probed;		/* got frames though it looked hung */
	__u64 pad[2];
} WEIR_CACHE_ALIGNED;

WEIR_ASSERT_SIZE(struct weir_xdp_row, 64);

/* Counters of the XDP program on one CPU (map weir_xdp_stats, one entry). */
struct weir_xdp_stats {
	__u64 frames;		/* seen */
	__u64 taken;		/* given to a worker's socket */
	__u64 passed;		/* left to the kernel, whatever for */
	__u64 malformed;	/* of those: lengths that cannot be */
	__u64 fragments;
	__u64 tagged;		/* with a VLAN tag */
	__u64 no_worker;	/* datagrams of ours that no worker could be given */
	__u64 syns;		/* for the service */
	__u64 syns_refused;	/* dropped: their prefix had its share */
	__u64 dgrams;
	__u64 dgrams_refused;
	__u64 prefix_failed;	/* no bucket to be had: let in */
};

WEIR_ASSERT_SIZE(struct weir_xdp_stats, 96);

/*
 * Delays of one worker (map weir_hist, mmapable, written by that worker alone).
 * Bucket 0 counts what is below 1 us, bucket i what is in [2^(i-1), 2^i) us.
 */
struct weir_hist {
	__u64 queue[WEIR_HIST_BUCKETS];		/* completion to handler */
	__u64 accept[WEIR_HIST_BUCKETS];	/* established to accepted */
};

WEIR_ASSERT_SIZE(struct weir_hist, 512);

/* Same values as the kernel's TCP states, with names for bpftool. */
enum weir_tcp_state {
	WEIR_TCP_NONE = 0,
	WEIR_TCP_ESTABLISHED = 1,
	WEIR_TCP_SYN_SENT = 2,
	WEIR_TCP_SYN_RECV = 3,
	WEIR_TCP_FIN_WAIT1 = 4,
	WEIR_TCP_FIN_WAIT2 = 5,
	WEIR_TCP_TIME_WAIT = 6,
	WEIR_TCP_CLOSE = 7,
	WEIR_TCP_CLOSE_WAIT = 8,
	WEIR_TCP_LAST_ACK = 9,
	WEIR_TCP_LISTEN = 10,
	WEIR_TCP_CLOSING = 11,
	WEIR_TCP_NEW_SYN_RECV = 12,
};

/* To initialise an array with: their names by their values. */
#define WEIR_TCP_STATE_NAMES { \
	[WEIR_TCP_NONE] = "NONE", \
	[WEIR_TCP_ESTABLISHED] = "ESTABLISHED", \
	[WEIR_TCP_SYN_SENT] = "SYN_SENT", \
	[WEIR_TCP_SYN_RECV] = "SYN_RECV", \
	[WEIR_TCP_FIN_WAIT1] = "FIN_WAIT1", \
	[WEIR_TCP_FIN_WAIT2] = "FIN_WAIT2", \
	[WEIR_TCP_TIME_WAIT] = "TIME_WAIT", \
	[WEIR_TCP_CLOSE] = "CLOSE", \
	[WEIR_TCP_CLOSE_WAIT] = "CLOSE_WAIT", \
	[WEIR_TCP_LAST_ACK] = "LAST_ACK", \
	[WEIR_TCP_LISTEN] = "LISTEN", \
	[WEIR_TCP_CLOSING] = "CLOSING", \
	[WEIR_TCP_NEW_SYN_RECV] = "NEW_SYN_RECV", \
}

/* Bits of weir_flow.edges: what is on now. */
#define WEIR_FLOW_RTT		(1U << 0)
#define WEIR_FLOW_RETRANS	(1U << 1)
#define WEIR_FLOW_RTO		(1U << 2)
#define WEIR_FLOW_SENDQ		(1U << 3)
#define WEIR_FLOW_HELD		(1U << 4)	/* pace_bytes or clamp_bytes holds it */

/*
 * One connection (map weir_flow, key: the socket cookie as __u64). Filled by
 * sockops; refreshed at most every weir_cfg.flow_period_us.
 */
struct weir_flow {
	__u64 opened_ns;
	__u64 updated_ns;
	__u64 bytes_acked;	/* sent by us and acknowledged */
	__u64 bytes_received;
	__u64 rtx_mark_ns;	/* when the current retransmit window began */
	__u64 rtx_last_ns;	/* last retransmit */
	__u32 worker;
	enum weir_tcp_state state;
	enum weir_family family;
	__u32 edges;		/* WEIR_FLOW_* */
	__u32 srtt_us;
	__u32 rtt_min_us;
	__u32 cwnd;		/* segments */
	__u32 mss_bytes;
	__u32 retrans;		/* segments sent again, ever */
	__u32 rto;		/* timeouts, ever */
	__u32 inflight;		/* segments sent, not acknowledged */
	__u32 lost;		/* segments thought lost */
	__u32 sendq_bytes;	/* written, not acknowledged; 0 without CAP_PERFMON */
	__u32 recvq_bytes;	/* received, not read; 0 without CAP_PERFMON */
	__u32 rtx_mark;		/* value of retrans when the window began */
	__u32 local_ip[4];	/* network order; IPv4 in [0] */
	__u32 remote_ip[4];
	__u16 local_port;	/* host order */
	__u16 remote_port;
};

WEIR_ASSERT_SIZE(struct weir_flow, 144);

/* What a signal is about. */
enum weir_event_kind {
	WEIR_EV_NONE = 0,
	WEIR_EV_RTT = 1,		/* smoothed RTT inflated; value, limit: us */
	WEIR_EV_RETRANS = 2,		/* retransmit burst; value, limit: segments */
	WEIR_EV_RTO = 3,		/* retransmission timeout; value: in a row */
	WEIR_EV_SENDQ = 4,		/* send queue; value, limit: bytes */
	WEIR_EV_RECVQ = 5,		/* receive queue; value, limit: bytes */
	WEIR_EV_ZERO_WINDOW = 6,	/* peer's window closed; value: bytes waiting */
	WEIR_EV_WORKER_SLOW = 7,	/* value, limit: least queue delay, us */
	WEIR_EV_WORKER_STALE = 8,	/* value, limit: age, ns */
	WEIR_EV_CQ_OVERFLOW = 9,	/* value: completions */
	WEIR_EV_FOREIGN = 10,		/* not our program chooses; value, limit: its id, ours */
};

enum weir_edge {
	WEIR_EDGE_OFF = 0,
	WEIR_EDGE_ON = 1,
};

/* One edge, in one form whether the kernel or the worker's loop raised it. */
struct weir_event {
	__u64 ns;
	__u64 cookie;		/* of the connection; 0: about the worker */
	__u64 value;		/* what was measured */
	__u64 limit;		/* what it crossed */
	enum weir_event_kind kind;
	enum weir_edge edge;
	__u32 worker;
	__u32 seq;		/* place in weir_recent's order; 0: raised by this worker */
};

WEIR_ASSERT_SIZE(struct weir_event, 48);

/* Overflows of one worker's completion queue (map weir_overflow, mmapable). */
struct weir_overflow {
	__u64 count;		/* completions without a place since the edge came on */
	__u64 last_ns;
	__u64 on;		/* the edge is */
	__u64 pad;
};

WEIR_ASSERT_SIZE(struct weir_overflow, 32);

#define WEIR_LAT_OPS	128	/* io_uring opcodes */

/*
 * One io_uring opcode on one CPU (map weir_lat of `weir lat`, which belongs to no
 * instance). Bucket 0 counts what took 0 ns, bucket i what took [2^(i-1), 2^i) ns,
 * the last one all above.
 */
struct weir_lat {
	__u64 count;
	__u64 total_ns;
	__u64 max_ns;
	__u64 pad;
	__u64 buckets[WEIR_HIST_BUCKETS];
};

WEIR_ASSERT_SIZE(struct weir_lat, 288);

/* Counters of the telemetry on one CPU (map weir_stats, one entry). */
struct weir_stats {
	__u64 flow_opened;
	__u64 flow_failed;	/* weir_flow full: connection without a row */
	__u64 flow_closed;	/* ended by the kernel half */
	__u64 callbacks;	/* sockops callbacks on our connections */
	__u64 events;		/* edges raised */
	__u64 event_dropped;	/* worker's ring full or absent */
	__u64 observe_dropped;	/* observers' ring full */
	__u64 pad;
};

WEIR_ASSERT_SIZE(struct weir_stats, 64);

/* Transport protocols, as IP numbers them. */
enum weir_proto {
	WEIR_PROTO_NONE = 0,
	WEIR_PROTO_TCP = 6,
	WEIR_PROTO_UDP = 17,
};

/*
 * Key of map weir_vip, an LPM trie: a network whose addresses the service answers
 * on, whether or not a socket is bound to them.
 */
struct weir_vip_key {
	__u32 bits;		/* 32, of the family, and the length of the prefix */
	enum weir_family family;
	__u32 ip[4];		/* network order; IPv4 in [0]; the host's bits zero */
};

WEIR_ASSERT_SIZE(struct weir_vip_key, 24);

#define WEIR_VIP_RANGES	16	/* that meet at one address */

struct weir_vip_range {
	enum weir_proto proto;
	__u16 first;		/* host order */
	__u16 last;
};

WEIR_ASSERT_SIZE(struct weir_vip_range, 8);

/*
 * The ports there. The trie answers with the longest prefix alone, so each entry
 * repeats what the wider networks around it say.
 */
struct weir_vip {
	__u32 count;
	__u32 own;		/* the first of them; what follows is of wider networks */
	struct weir_vip_range range[WEIR_VIP_RANGES];
};

WEIR_ASSERT_SIZE(struct weir_vip, 136);

/* Counters of sk_lookup on one CPU (map weir_vip_stats, one entry). */
struct weir_vip_stats {
	__u64 assigned;		/* given to the service */
	__u64 taken;		/* another program had given it to somebody before */
	__u64 absent;		/* the service has no socket of that family, or port */
	__u64 failed;		/* the kernel refused its socket */
};

WEIR_ASSERT_SIZE(struct weir_vip_stats, 32);

/* Places in map weir_rep: the sockets that stand for the groups. */
enum weir_rep {
	WEIR_REP_TCP4 = 0,
	WEIR_REP_TCP6 = 1,
	WEIR_REP_UDP4 = 2,
	WEIR_REP_UDP6 = 3,
	WEIR_REP_MAX = 4,
};

#endif /* WEIR_WIRE_H */
