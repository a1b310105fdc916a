// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* steer_cmd.c - weir steer: change what a running service does with new connections */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/bpf.h>

#include "common.h"
#include "show.h"
#include "steer.h"
#include "steer_cmd.h"
#include "steer_vip.h"

struct steer_fields {
	bool json, pretty;
};

#define AT(field)	offsetof(struct steer_fields, field)

static const struct opt steer_opts[] = {
	{ "json", 'j', OPT_FLAG, .offset = AT(json), .help = "say what holds now, as JSON" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "as indented JSON" },
	OPT_END
};

int steer_usage(const struct steer_call *call, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return usage_error(&cmd_steer, "%s: %s", call->verb->name, text);
}

int steer_failed(const struct steer_call *call, int err)
{
	switch (err) {
	case -ENOENT:
		return fail("instance %s: there is none of that name; run: weir show instances",
			    call->instance);
	case -EACCES:
	case -EPERM:
		return fail("instance %s: the mode of its pins keeps this user from it",
			    call->instance);
	case -EPROTO:
		return fail("instance %s: made by another version of weir", call->instance);
	case -ENODEV:
		return fail("no bpffs is mounted; run: mount -t bpf none /sys/fs/bpf");
	case -ETIMEDOUT:
		return fail("instance %s: another process holds the lock of its configuration; "
			    "who may read it (weir serve --group) can", call->instance);
	case -EOPNOTSUPP:
		return fail("this weir was built without BPF: there are no instances to steer");
	default:
		return fail("instance %s: %s", call->instance, weir_strerror(err));
	}
}

/* members of the configuration */

static const struct weir_cfg_member *member_find(const char *name)
{
	const struct weir_cfg_member *members;
	unsigned int count, i;

	members = weir_cfg_members(&count);
	for (i = 0; i < count; i++)
		if (!strcmp(members[i].name, name))
			return &members[i];
	return NULL;
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && !strcmp(name + len - end_len, end);
}

static int policy_parse(const char *text, uint64_t *value)
{
	unsigned int i;

	for (i = WEIR_POLICY_HASH; i <= WEIR_POLICY_WEIGHTED; i++) {
		if (strcmp(text, show_policy(i)))
			continue;
		*value = i;
		return 0;
	}
	return -EINVAL;
}

/* A bare number has the unit of the member's name; times may have another. */
static int value_parse(const char *name, const char *text, uint64_t *value)
{
	bool ns = ends_with(name, "_ns"), us = ends_with(name, "_us");

	if (!strcmp(name, "policy"))
		return policy_parse(text, value);
	if (!(ns || us) || !text[strspn(text, "0123456789")])
		return parse_number(text, ends_with(name, "_bytes") ? 1024 : 1000, value);
	if (parse_time(text, value))
		return -EINVAL;
	if (us && *value % NS_PER_US)
		return -EINVAL;
	*value /= us ? NS_PER_US : 1;
	return 0;
}

static const char *value_kind(const char *name)
{
	if (!strcmp(name, "policy"))
		return "hash, cpu, least, p2c or weighted";
	if (ends_with(name, "_ns"))
		return "a number of nanoseconds, or a time such as 20ms";
	if (ends_with(name, "_us"))
		return "a number of microseconds, or a time such as 20ms";
	return "a number such as 100 or 4k";
}

static void member_text(const struct weir_cfg_member *member, uint64_t value, bool bare)
{
	if (!bare)
		printf("%-20s", member->name);
	if (!strcmp(member->name, "policy"))
		printf("%s\n", show_policy((unsigned int)value));
	else
		printf("%llu\n", (unsigned long long)value);
}

/* Print one member, or all of them without one. */
static int members_print(const struct steer_call *call, const struct weir_cfg *cfg,
			 const struct weir_cfg_member *only)
{
	const struct weir_cfg_member *members;
	unsigned int count, i;
	struct json j;

	members = weir_cfg_members(&count);
	if (only) {
		members = only;
		count = 1;
	}
	if (!call->json && !call->pretty) {
		for (i = 0; i < count; i++)
			member_text(&members[i], weir_cfg_get(cfg, &members[i]), only);
		return fflush(stdout) ? -EIO : 0;
	}
	json_init(&j, stdout, call->pretty);
	json_object(&j, NULL);
	json_string(&j, "instance", call->instance);
	for (i = 0; i < count; i++)
		show_member_json(&j, cfg, &members[i]);
	json_end_object(&j);
	return json_fini(&j);
}

static int get_print(const struct steer_call *call, const struct weir_cfg_member *only)
{
	struct weir_bpf_view *view;
	struct weir_cfg cfg;
	int err;

	err = weir_bpf_view_open(&view, call->instance);
	if (err)
		return steer_failed(call, err);
	err = weir_bpf_view_cfg(view, &cfg);
	if (!err)
		err = members_print(call, &cfg, only);
	weir_bpf_view_close(view);
	return err ? steer_failed(call, err) : WEIR_EXIT_OK;
}

static int get_run(const struct steer_call *call)
{
	const struct weir_cfg_member *only = NULL;

	if (call->count) {
		only = member_find(call->args[0]);
		if (!only)
			return steer_usage(call, "%s: no such member; run: weir steer get %s",
					   call->args[0], call->instance);
	}
	return get_print(call, only);
}

static int set_refused(const struct steer_call *call, int err, const char *member)
{
	const struct weir_cfg_member *of = member ? member_find(member) : NULL;

	if (err == -EPERM && of)
		return fail("%s: says what is attached; it cannot be set", member);
	if (err == -ERANGE && of)
		return fail("%s: out of range (%llu to %llu), or against another member; "
			    "nothing was changed", member, (unsigned long long)of->least,
			    (unsigned long long)of->most);
	return steer_failed(call, err);
}

static int changes_store(const struct steer_call *call, const struct weir_bpf_change *changes,
			 unsigned int count)
{
	struct weir_bpf_control *control;
	const char *refused = NULL;
	int err;

	err = weir_bpf_control_open(&control, call->instance);
	if (err)
		return steer_failed(call, err);
	err = weir_bpf_control_set(control, changes, count, &refused);
	weir_bpf_control_close(control);
	if (err)
		return set_refused(call, err, refused);
	if (call->json || call->pretty)
		return get_print(call, count == 1 ? member_find(changes[0].member) : NULL);
	return WEIR_EXIT_OK;
}

static int set_run(const struct steer_call *call)
{
	struct weir_bpf_change changes[WEIR_BPF_CHANGES_MAX];
	unsigned int count = 0, i;
	int at;

	if (call->count % 2)
		return steer_usage(call, "%s: needs a value", call->args[call->count - 1]);
	for (at = 0; at < call->count; at += 2, count++) {
		changes[count].member = call->args[at];
		if (!member_find(call->args[at]))
			return steer_usage(call, "%s: no such member; run: weir steer get %s",
					   call->args[at], call->instance);
		for (i = 0; i < count; i++)
			if (!strcmp(changes[i].member, call->args[at]))
				return steer_usage(call, "%s: more than once", call->args[at]);
		if (value_parse(call->args[at], call->args[at + 1], &changes[count].value))
			return steer_usage(call, "%s: '%s' is not %s", call->args[at],
					   call->args[at + 1], value_kind(call->args[at]));
	}
	return changes_store(call, changes, count);
}

static int policy_run(const struct steer_call *call)
{
	struct weir_bpf_change change = { .member = "policy" };

	if (policy_parse(call->args[0], &change.value))
		return steer_usage(call, "'%s' is not %s", call->args[0], value_kind("policy"));
	return changes_store(call, &change, 1);
}

/* workers */

static int worker_print(const struct steer_call *call, unsigned int worker)
{
	struct weir_bpf_worker w;
	struct weir_bpf_view *view;
	struct json j;
	int err;

	err = weir_bpf_view_open(&view, call->instance);
	if (err)
		return err;
	err = weir_bpf_view_worker(view, worker, &w);
	weir_bpf_view_close(view);
	if (err)
		return err;
	json_init(&j, stdout, call->pretty);
	json_object(&j, NULL);
	json_string(&j, "instance", call->instance);
	json_u64(&j, "worker", worker);
	json_string(&j, "admin", show_admin(w.admin.state));
	json_u64(&j, "weight", w.admin.weight);
	json_end_object(&j);
	return json_fini(&j);
}

/* One change of one worker: its weight, or with none its state. */
static int worker_change(const struct steer_call *call, enum weir_admin_state state,
			 const uint64_t *weight)
{
	struct weir_bpf_control *control;
	uint64_t worker;
	int err;

	if (parse_number(call->args[0], 1000, &worker))
		return steer_usage(call, "'%s' is not the number of a worker", call->args[0]);
	if (worker >= WEIR_WORKERS_MAX)
		return steer_usage(call, "worker %s: there are never more than %d", call->args[0],
				   WEIR_WORKERS_MAX);
	err = weir_bpf_control_open(&control, call->instance);
	if (err)
		return steer_failed(call, err);
	if (weight)
		err = weir_bpf_control_weight(control, (unsigned int)worker, (uint32_t)*weight);
	else
		err = weir_bpf_control_admin(control, (unsigned int)worker, state);
	weir_bpf_control_close(control);
	if (err == -ENOENT)
		return fail("instance %s: there is no worker %s; run: weir show workers -i %s",
			    call->instance, call->args[0], call->instance);
	if (!err && (call->json || call->pretty))
		err = worker_print(call, (unsigned int)worker);
	return err ? steer_failed(call, err) : WEIR_EXIT_OK;
}

static int weight_run(const struct steer_call *call)
{
	uint64_t weight;

	if (parse_number(call->args[1], 1000, &weight) || !weight || weight > WEIR_WEIGHT_MAX)
		return steer_usage(call, "'%s' is not a weight, 1 to %d", call->args[1],
				   WEIR_WEIGHT_MAX);
	return worker_change(call, WEIR_ADMIN_ON, &weight);
}

static int drain_run(const struct steer_call *call)
{
	return worker_change(call, WEIR_ADMIN_DRAIN, NULL);
}

static int resume_run(const struct steer_call *call)
{
	return worker_change(call, WEIR_ADMIN_ON, NULL);
}

/* budgets of XDP */

static int xdp_print(const struct steer_call *call)
{
	struct weir_bpf_view *view;
	struct weir_xdp_stats stats;
	struct weir_xdp_cfg cfg;
	struct json j;
	int err;

	err = weir_bpf_view_open(&view, call->instance);
	if (err)
		return err;
	err = weir_bpf_view_xdp(view, &cfg, &stats);
	weir_bpf_view_close(view);
	if (err)
		return err;
	json_init(&j, stdout, call->pretty);
	json_object(&j, NULL);
	json_string(&j, "instance", call->instance);
	json_u64(&j, "syn_rate", cfg.syn_rate);
	json_u64(&j, "syn_burst", cfg.syn_burst);
	json_u64(&j, "dgram_rate", cfg.dgram_rate);
	json_u64(&j, "dgram_burst", cfg.dgram_burst);
	json_end_object(&j);
	return json_fini(&j);
}

static int xdp_change(const struct steer_call *call, bool syns, uint32_t rate, uint32_t burst)
{
	struct weir_bpf_control *control;
	int err;

	err = weir_bpf_control_open(&control, call->instance);
	if (err)
		return steer_failed(call, err);
	err = weir_bpf_control_xdp(control, syns ? WEIR_XDP_SYNS : WEIR_XDP_DGRAMS, rate,
				   burst);
	weir_bpf_control_close(control);
	if (err == -EOPNOTSUPP)
		return fail("instance %s: it was started without weir serve --xdp",
			    call->instance);
	if (!err && (call->json || call->pretty))
		err = xdp_print(call);
	return err ? steer_failed(call, err) : WEIR_EXIT_OK;
}

static int xdp_run(const struct steer_call *call)
{
	bool syns = !strcmp(call->args[0], "syns");
	uint64_t rate, burst;

	if (!syns && strcmp(call->args[0], "dgrams"))
		return steer_usage(call, "'%s' is not syns or dgrams", call->args[0]);
	if (parse_number(call->args[1], 1000, &rate) || rate > UINT32_MAX)
		return steer_usage(call, "'%s' is not a number a second", call->args[1]);
	burst = rate;
	if (call->count > 2 && (parse_number(call->args[2], 1000, &burst) || !burst ||
				burst > UINT32_MAX))
		return steer_usage(call, "'%s' is not how many at once", call->args[2]);
	return xdp_change(call, syns, (uint32_t)rate, (uint32_t)burst);
}

/* the command */

static const struct steer_verb verbs[] = {
	{ "policy", "INSTANCE hash|cpu|least|p2c|weighted", 1, 1, policy_run },
	{ "weight", "INSTANCE WORKER N", 2, 2, weight_run },
	{ "drain", "INSTANCE WORKER", 1, 1, drain_run },
	{ "resume", "INSTANCE WORKER", 1, 1, resume_run },
	{ "get", "INSTANCE [MEMBER]", 0, 1, get_run },
	{ "set", "INSTANCE MEMBER VALUE...", 2, 2 * WEIR_BPF_CHANGES_MAX, set_run },
	{ "vip", "INSTANCE list, or add or del and NET[:PORTS]...", 1, VIPS_MAX, vip_run },
	{ "xdp", "INSTANCE syns|dgrams RATE [BURST]", 2, 3, xdp_run },
};

static int steer_run(const struct command *cmd, int argc, char **argv)
{
	struct steer_fields fields = { 0 };
	struct steer_call call = { 0 };
	size_t i;
	int n;

	n = opts_parse(cmd, argc, argv, &fields);
	if (n < 0)
		return opts_exit(n);
	for (i = 0; n && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[0], verbs[i].name))
			call.verb = &verbs[i];
	if (!call.verb)
		return usage_error(cmd, "%s %s, weight, drain, resume, get, set, vip or xdp",
				   n ? argv[0] : "what to do:",
				   n ? "is not policy" : "policy");
	call.args = argv + 2;
	call.count = n - 2;
	if (call.count < call.verb->least || call.count > call.verb->most)
		return steer_usage(&call, "wants %s", call.verb->operands);
	call.instance = argv[1];
	call.json = fields.json;
	call.pretty = fields.pretty;
	if (!steer_name_ok(call.instance))
		return steer_usage(&call, "'%s' is not 1 to %d of A-Z a-z 0-9 _ -", call.instance,
				   WEIR_NAME_BYTES - 1);
	return call.verb->run(&call);
}

const struct command cmd_steer = {
	.name = "steer",
	.operands = "policy|weight|drain|resume|get|set|vip|xdp INSTANCE ...",
	.summary = "change what a running service does with new connections",
	.about =
"  policy INSTANCE hash|cpu|least|p2c|weighted\n"
"  weight INSTANCE WORKER N      its share under the policy weighted, 1 to 10000\n"
"  drain INSTANCE WORKER         nothing new goes there while another serves\n"
"  resume INSTANCE WORKER        it does again\n"
"  get INSTANCE [MEMBER]         the configuration, or one member of it\n"
"  set INSTANCE MEMBER VALUE...  change members, all or none\n"
"  vip INSTANCE list             networks and ports that it answers on\n"
"  vip INSTANCE add NET[:PORTS]  it does there, too: 10.0.0.0/24:80-89, [fd00::/64]:443;\n"
"                                without ports: on its own\n"
"  vip INSTANCE del NET[:PORTS]  it no longer does; of several, all or none\n"
"  xdp INSTANCE syns|dgrams RATE [BURST]\n"
"                                so many a second from each source network; 0: no limit\n"
"\n"
"A change holds from the next connection on; nothing is attached anew. A number\n"
"has the unit that ends the member's name; a time may be given as 20ms. Needs the\n"
"right to write to the instance's pins, and no capability.",
	.examples =
"  weir steer policy weir least\n"
"  weir steer drain weir 2\n"
"  weir steer set weir stale_ns 40ms rescue_ns 50ms -j\n"
"  weir steer vip weir add 10.0.0.0/24:80-89",
	.opts = steer_opts,
	.run = steer_run,
};
