// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show.c - weir show: what running services do, read from their pins */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "show.h"
#include "steer.h"

struct show {
	const char *instance;
	uint64_t watch, interval;
	bool follow, json, pretty;
	/* from here on: not options */
	const struct show_noun *noun;	/* NULL: instances */
	char name[WEIR_NAME_BYTES];
};

#define NOUNS		"workers, flows, events, gate, group, vips, xdp, cfg, cost or instances"
#define AT(field)	offsetof(struct show, field)

static const struct opt show_opts[] = {
	{ "instance", 'i', OPT_TEXT, .offset = AT(instance), .value = "NAME",
	  .help = "which one; default: the only one that runs" },
	{ "watch", 'w', OPT_TIME, .offset = AT(watch), .value = "SECONDS", .optional = true,
	  .bare = NS_PER_SEC, .min = 50 * NS_PER_MS, .max = 3600 * NS_PER_SEC,
	  .help = "again and again; default each second" },
	{ "follow", 'f', OPT_FLAG, .offset = AT(follow),
	  .help = "events: as they are raised, until interrupted" },
	{ "interval", 0, OPT_TIME, .offset = AT(interval), .value = "TIME", .min = NS_PER_MS,
	  .max = 3600 * NS_PER_SEC, .help = "how long cost measures; default 1s" },
	{ "json", 'j', OPT_FLAG, .offset = AT(json),
	  .help = "as JSON; with --watch and --follow one document to a line" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "as indented JSON" },
	OPT_END
};

static const struct show_noun *const nouns[] = {
	&show_workers, &show_flows, &show_events, &show_gate, &show_group, &show_vips, &show_xdp,
	&show_cfg, &show_cost,
};

static int read_failed(const char *instance, int err)
{
	switch (err) {
	case -ENOENT:
		return fail("instance %s: there is none of that name; run: weir show instances",
			    instance);
	case -EPROTO:
		return fail("instance %s: made by another version of weir", instance);
	case -ENODEV:
		return fail("no bpffs is mounted; run: mount -t bpf none /sys/fs/bpf");
	case -EPERM:
		return fail("instance %s: to measure run times takes CAP_SYS_ADMIN", instance);
	case -EACCES:
		return fail("instance %s: the mode of its pins keeps this user from it", instance);
	case -ENODATA:
		return fail("instance %s: whose program chooses is not known: it was opened "
			    "without CAP_PERFMON", instance);
	case -EOPNOTSUPP:
		return fail("this weir was built without BPF: there are no instances to show");
	default:
		return fail("instance %s: %s; run: weir doctor --for show", instance,
			    weir_strerror(err));
	}
}

/* instances */

struct walk {
	struct json *json;
	struct table *table;
	unsigned int alive;
	char name[WEIR_NAME_BYTES];	/* the last one alive */
};

static int each_instance(void *ctx, const struct weir_bpf_instance *instance)
{
	const struct weir_meta *meta = &instance->meta;
	double age = (double)(now_ns() - meta->opened_ns) / 1e9;
	struct walk *walk = ctx;

	if (instance->alive) {
		walk->alive++;
		memcpy(walk->name, instance->name, sizeof(walk->name));
	}
	if (walk->json) {
		json_object(walk->json, NULL);
		json_string(walk->json, "name", instance->name);
		json_bool(walk->json, "alive", instance->alive);
		json_u64(walk->json, "pid", meta->owner_pid);
		json_u64(walk->json, "workers_max", meta->workers_max);
		json_string(walk->json, "rung", show_rung(meta->rung));
		json_u64(walk->json, "opened_ns", meta->opened_ns);
		json_u64(walk->json, "abi_major", meta->abi_major);
		json_u64(walk->json, "abi_minor", meta->abi_minor);
		json_u64(walk->json, "instance", meta->instance);
		json_u64(walk->json, "netns_cookie", meta->netns_cookie);
		json_string(walk->json, "build_id", meta->build_id);
		json_end_object(walk->json);
	}
	if (walk->table) {
		table_cell(walk->table, "%s", instance->name);
		table_cell(walk->table, "%s", instance->alive ? "alive" : "stale");
		table_cell(walk->table, "%u", meta->owner_pid);
		table_cell(walk->table, "%u", meta->workers_max);
		table_cell(walk->table, "%s", show_rung(meta->rung));
		table_cell(walk->table, "%.0f", age);
	}
	return 0;
}

static int instances_table(FILE *out)
{
	static const char *const heads[] = {
		"<NAME", "<STATE", "PID", "WORKERS", "<RUNG", "AGE_S", NULL
	};
	struct walk walk = { .table = table_open(heads) };
	int err = weir_bpf_list(each_instance, &walk);

	table_close(walk.table, err ? NULL : out);
	return err;
}

/* one look */

int show_table(const struct show_noun *noun, const char *instance, FILE *out)
{
	struct weir_bpf_view *view;
	int err = weir_bpf_view_open(&view, instance);

	if (err)
		return err;
	err = noun->table(view, out);
	weir_bpf_view_close(view);
	return err;
}

static int show_json(const struct show *show)
{
	struct weir_bpf_view *view = NULL;
	struct walk walk = { 0 };
	struct json j;
	int err = 0;

	if (show->noun)
		err = weir_bpf_view_open(&view, show->name);
	if (err)
		return err;
	json_init(&j, stdout, show->pretty);
	json_array(&j, NULL);
	walk.json = &j;
	err = show->noun ? show->noun->json(view, &j) : weir_bpf_list(each_instance, &walk);
	json_end_array(&j);
	if (json_fini(&j) && !err)
		err = -EIO;
	weir_bpf_view_close(view);
	return err;
}

static int show_once(const struct show *show)
{
	if (show->json || show->pretty)
		return show_json(show);
	return show->noun ? show_table(show->noun, show->name, stdout) : instances_table(stdout);
}

static int watch(const struct show *show)
{
	bool terminal = isatty(STDOUT_FILENO) && !show->json && !show->pretty;
	int err;

	catch_signals();
	do {
		if (terminal)
			fputs("\033[H\033[J", stdout);
		err = show_once(show);
		if (fflush(stdout) && !err)
			err = -EIO;
	} while (!err && !interrupted && sleep_ns(show->watch));
	return err;
}

/* Without --instance: the only one alive. */
static int pick(const struct command *cmd, struct show *show)
{
	struct walk walk = { 0 };
	int err;

	if (show->instance) {
		if (!steer_name_ok(show->instance))
			return usage_error(cmd,
					   "--instance: '%s' is not 1 to %d of A-Z a-z 0-9 _ -",
					   show->instance, WEIR_NAME_BYTES - 1);
		strcpy(show->name, show->instance);
		return 0;
	}
	err = weir_bpf_list(each_instance, &walk);
	if (err)
		return read_failed("?", err);
	if (!walk.alive)
		return fail("no instance runs here, or none that this user may read; "
			    "start one: weir serve echo");
	if (walk.alive > 1)
		return fail("%u instances run; name one with --instance (see weir show instances)",
			    walk.alive);
	memcpy(show->name, walk.name, sizeof(show->name));
	return 0;
}

/* What is to be shown, and whether the options are for that. */
static int show_check(const struct command *cmd, int operands, char **argv, struct show *show)
{
	size_t i;

	if (!operands)
		return usage_error(cmd, "what to show: " NOUNS);
	if (operands > 1)
		return usage_error(cmd, "%s: one thing at a time", argv[1]);
	for (i = 0; i < ARRAY_SIZE(nouns); i++)
		if (!strcmp(argv[0], nouns[i]->name))
			show->noun = nouns[i];
	if (!show->noun && strcmp(argv[0], "instances"))
		return usage_error(cmd, "%s: is not " NOUNS, argv[0]);
	if (!show->noun && show->instance)
		return usage_error(cmd, "--instance: instances are all of them");
	if (show->interval && show->noun != &show_cost)
		return usage_error(cmd, "--interval: for cost");
	if (show->follow && (show->noun != &show_events || show->watch || show->pretty))
		return usage_error(cmd, "--follow: for events, without --watch and --pretty");
	return 0;
}

static int show_run(const struct command *cmd, int argc, char **argv)
{
	struct show show = { 0 };
	int n, err;

	n = opts_parse(cmd, argc, argv, &show);
	if (n < 0)
		return opts_exit(n);
	err = show_check(cmd, n, argv, &show);
	if (err)
		return err;
	if (show.interval)
		show_cost_over(show.interval);
	err = show.noun ? pick(cmd, &show) : 0;
	if (err)
		return err;
	if (show.follow)
		err = show_follow(show.name, show.json);
	else
		err = show.watch ? watch(&show) : show_once(&show);
	return err ? read_failed(show.name[0] ? show.name : "?", err) : WEIR_EXIT_OK;
}

const struct command cmd_show = {
	.name = "show",
	.operands = "workers|flows|events|gate|group|vips|xdp|cfg|cost|instances",
	.summary = "look at running services",
	.about =
"Reads the maps pinned under /sys/fs/bpf/weir; needs the right to read them and\n"
"nothing else, but for cost: that takes CAP_SYS_ADMIN. TURN_MS is the age of the\n"
"worker's current turn: it grows while a worker is RUN and hangs, and while it is\n"
"PARKED and idle. Delays are upper edges of buckets that double.",
	.examples =
"  weir show instances\n"
"  weir show workers --watch 0.5\n"
"  weir show events --follow\n"
"  weir show cost --interval 10s\n"
"  weir show flows --instance weir -j | python3 -m json.tool",
	.opts = show_opts,
	.run = show_run,
};
