// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* lat.c - weir lat: how long io_uring operations take, of any process */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <weir/bpf.h>

#include "common.h"

struct lat {
	uint64_t pid;
	uint64_t duration;
	bool json, pretty;
};

#define AT(field)	offsetof(struct lat, field)
#define PIECE_NS	(100 * NS_PER_MS)

static const struct opt lat_opts[] = {
	{ "pid", 'P', OPT_COUNT, .offset = AT(pid), .value = "PID", .min = 1, .max = INT32_MAX,
	  .help = "of that process; default: of all" },
	{ "duration", 'd', OPT_TIME, .offset = AT(duration), .value = "SECONDS",
	  .min = 10 * NS_PER_MS, .max = 3600 * NS_PER_SEC,
	  .help = "how long to measure; default 1s; an interrupt ends it earlier" },
	{ "json", 'j', OPT_FLAG, .offset = AT(json), .help = "as JSON, with the buckets" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "as indented JSON" },
	OPT_END
};

/* enum io_uring_op of <linux/io_uring.h>: numbers never change, new ones come. */
static const char *const op_names[] = {
	"nop", "readv", "writev", "fsync", "read_fixed", "write_fixed", "poll_add",
	"poll_remove", "sync_file_range", "sendmsg", "recvmsg", "timeout", "timeout_remove",
	"accept", "async_cancel", "link_timeout", "connect", "fallocate", "openat", "close",
	"files_update", "statx", "read", "write", "fadvise", "madvise", "send", "recv",
	"openat2", "epoll_ctl", "splice", "provide_buffers", "remove_buffers", "tee",
	"shutdown", "renameat", "unlinkat", "mkdirat", "symlinkat", "linkat", "msg_ring",
	"fsetxattr", "setxattr", "fgetxattr", "getxattr", "socket", "uring_cmd", "send_zc",
	"sendmsg_zc", "read_multishot", "waitid", "futex_wait", "futex_wake", "futex_waitv",
	"fixed_fd_install", "ftruncate", "bind", "listen", "recv_zc", "epoll_wait",
	"readv_fixed", "writev_fixed", "pipe",
};

static void op_name(unsigned int op, char text[static 16])
{
	if (op < ARRAY_SIZE(op_names))
		snprintf(text, 16, "%s", op_names[op]);
	else
		snprintf(text, 16, "op_%u", op);
}

/* The upper end of the bucket that holds the share, but not above the longest. */
static uint64_t percentile(const struct weir_lat *lat, double share)
{
	uint64_t seen = 0, want = (uint64_t)((double)lat->count * share + 0.999999);
	unsigned int i;

	for (i = 0; i < WEIR_HIST_BUCKETS - 1; i++) {
		seen += lat->buckets[i];
		if (seen >= want)
			break;
	}
	return i == WEIR_HIST_BUCKETS - 1 || 1ULL << i > lat->max_ns ? lat->max_ns : 1ULL << i;
}

static void op_json(struct json *j, const char *name, const struct weir_lat *lat)
{
	unsigned int i;

	json_object(j, NULL);
	json_string(j, "op", name);
	json_u64(j, "count", lat->count);
	json_u64(j, "mean_ns", lat->total_ns / lat->count);
	json_u64(j, "p50_ns", percentile(lat, 0.5));
	json_u64(j, "p99_ns", percentile(lat, 0.99));
	json_u64(j, "max_ns", lat->max_ns);
	json_array(j, "log2_ns");
	for (i = 0; i < WEIR_HIST_BUCKETS; i++)
		json_u64(j, NULL, lat->buckets[i]);
	json_end_array(j);
	json_end_object(j);
}

static void op_row(struct table *table, const char *name, const struct weir_lat *lat)
{
	table_cell(table, "%s", name);
	table_cell(table, "%llu", lat->count);
	table_cell(table, "%.1f", (double)lat->total_ns / (double)lat->count / 1e3);
	table_cell(table, "%.1f", (double)percentile(lat, 0.5) / 1e3);
	table_cell(table, "%.1f", (double)percentile(lat, 0.99) / 1e3);
	table_cell(table, "%.1f", (double)lat->max_ns / 1e3);
}

/* One of @j and @table. */
static int print(struct weir_bpf_lat *lat, struct json *j, struct table *table)
{
	struct weir_lat one;
	unsigned int op;
	char name[16];
	int err;

	for (op = 0; !(err = weir_bpf_lat_read(lat, op, &one)); op++) {
		if (!one.count)
			continue;
		op_name(op, name);
		if (j)
			op_json(j, name, &one);
		else
			op_row(table, name, &one);
	}
	return err == -ENOENT ? 0 : err;
}

static int print_json(struct weir_bpf_lat *lat, bool pretty)
{
	struct json j;
	int err;

	json_init(&j, stdout, pretty);
	json_array(&j, NULL);
	err = print(lat, &j, NULL);
	json_end_array(&j);
	return json_fini(&j) && !err ? -EIO : err;
}

static int print_table(struct weir_bpf_lat *lat)
{
	static const char *const heads[] = {
		"<OP", "COUNT", "MEAN_US", "P50_US", "P99_US", "MAX_US", NULL
	};
	struct table *table = table_open(heads);
	int err = print(lat, NULL, table);

	table_close(table, err ? NULL : stdout);
	return err;
}

/* In pieces: an interrupt that comes just before a sleep does not end it. */
static void await_end(uint64_t duration_ns)
{
	uint64_t end_ns = now_ns() + duration_ns, now = now_ns();

	while (!interrupted && now < end_ns) {
		sleep_ns(end_ns - now < PIECE_NS ? end_ns - now : PIECE_NS);
		now = now_ns();
	}
}

static int lat_run(const struct command *cmd, int argc, char **argv)
{
	struct lat opts = { .duration = NS_PER_SEC };
	struct weir_bpf_lat *lat;
	char why[WEIR_BPF_WHY_BYTES] = "";
	int err, n;

	n = opts_parse(cmd, argc, argv, &opts);
	if (n < 0)
		return opts_exit(n);
	if (n)
		return usage_error(cmd, "%s: takes no operand", argv[0]);
	/* It would measure nothing, and look as if nothing was done. */
	if (opts.pid && kill((pid_t)opts.pid, 0) && errno == ESRCH)
		return fail("process %u: there is none", (unsigned int)opts.pid);
	catch_signals();
	err = weir_bpf_lat_open(&lat, (uint32_t)opts.pid, why, sizeof(why));
	if (err)
		return fail("cannot measure: %s", why[0] ? why : weir_strerror(err));
	await_end(opts.duration);
	err = opts.json || opts.pretty ? print_json(lat, opts.pretty) : print_table(lat);
	weir_bpf_lat_close(lat);
	return err ? fail("cannot read what was measured: %s", weir_strerror(err)) : WEIR_EXIT_OK;
}

const struct command cmd_lat = {
	.name = "lat",
	.operands = "",
	.summary = "how long io_uring operations take, of any process",
	.about =
"From the submission of each request to its completion, by kernel tracepoints, of\n"
"processes that know nothing of weir, too. A multishot request takes from its start to\n"
"its end. Percentiles are the upper ends of powers of two. Needs CAP_BPF and\n"
"CAP_PERFMON; what it costs the measured processes: an echo server some 2 % processor time.",
	.examples =
"  weir lat\n"
"  weir lat --pid $(pidof weir) --duration 5s\n"
"  weir lat -j | python3 -m json.tool",
	.opts = lat_opts,
	.run = lat_run,
};
