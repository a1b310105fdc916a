// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* steer_vip.c - networks and ports that a service answers on: weir steer vip, serve --vip */
#include <errno.h>
#include <string.h>
#include <weir/vip.h>

#include "common.h"
#include "steer_vip.h"

/* The next one of a list by commas; false at its end, or when it is too long. */
static bool next_vip(const char **list, char text[static WEIR_BPF_VIP_TEXT])
{
	size_t len = strcspn(*list, ",");

	if (!**list || len >= WEIR_BPF_VIP_TEXT)
		return false;
	memcpy(text, *list, len);
	text[len] = '\0';
	*list += len + (*list + len)[0] / ',';
	return true;
}

/* One of a service on @port: without ports it means that. */
static int read_vip(struct weir_bpf_vip *vip, const char *text, uint16_t port)
{
	int err = weir_bpf_vip_parse(vip, text);

	if (err || vip->first)
		return err;
	vip->first = port;
	vip->last = port;
	return 0;
}

/* The first bad one of @list, or NULL. */
static const char *bad_vip(const char *list, uint16_t port, bool udp)
{
	static char text[WEIR_BPF_VIP_TEXT];
	struct weir_bpf_vip vip;

	if (!*list || list[strlen(list) - 1] == ',')
		return list;
	while (next_vip(&list, text)) {
		if (read_vip(&vip, text, port) || !vip.first)
			return text;
		if (udp && (vip.first != port || vip.last != port))
			return text;
	}
	return *list ? list : NULL;
}

int vips_check(const struct command *cmd, const char *list, uint16_t port, bool udp)
{
	const char *bad;

	if (!strcmp(list, "-"))
		return 0;
	if (udp && !port)
		return usage_error(cmd, "--vip: datagrams are answered from one port alone: --port "
				   "has to say which");
	bad = bad_vip(list, port, udp);
	if (bad && udp)
		return usage_error(cmd, "--vip: '%s' is not a network such as 10.0.0.0/24, or not "
				   "on port %u: datagrams are answered from there alone", bad,
				   port);
	return bad ? usage_error(cmd, "--vip: '%s' is not a network and ports such as "
				 "10.0.0.0/24:80-89", bad) : 0;
}

int vips_add(const char *instance, const char *list, uint16_t port)
{
	char text[WEIR_BPF_VIP_TEXT], why[256] = "";
	struct weir_bpf_vip vip;
	int err;

	if (!strcmp(list, "-"))
		return 0;
	while (next_vip(&list, text)) {
		err = read_vip(&vip, text, port);
		if (!err)
			err = weir_bpf_vip_add(instance, &vip, why, sizeof(why));
		if (err && err != -EEXIST)
			return fail("--vip %s: %s", text, why[0] ? why : weir_strerror(err));
	}
	return 0;
}

/* weir steer vip */

static int print_one(void *ctx, const struct weir_bpf_vip *vip)
{
	char text[WEIR_BPF_VIP_TEXT];

	weir_bpf_vip_format(vip, text);
	if (ctx)
		json_string(ctx, NULL, text);
	else
		printf("%s\n", text);
	return 0;
}

static int no_lookup(const struct steer_call *call)
{
	return fail("instance %s: it was started without weir serve --vip", call->instance);
}

static int list_print(const struct steer_call *call)
{
	struct weir_vip_stats stats;
	struct json j;
	int err;

	err = weir_bpf_vip_stats(call->instance, &stats);
	if (err == -EOPNOTSUPP)
		return no_lookup(call);
	if (!err && !call->json && !call->pretty)
		err = weir_bpf_vip_list(call->instance, print_one, NULL);
	if (err)
		return steer_failed(call, err);
	if (!call->json && !call->pretty)
		return WEIR_EXIT_OK;
	json_init(&j, stdout, call->pretty);
	json_object(&j, NULL);
	json_string(&j, "instance", call->instance);
	json_array(&j, "vips");
	err = weir_bpf_vip_list(call->instance, print_one, &j);
	json_end_array(&j);
	json_u64(&j, "assigned", stats.assigned);
	json_u64(&j, "taken", stats.taken);
	json_u64(&j, "absent", stats.absent);
	json_u64(&j, "failed", stats.failed);
	json_end_object(&j);
	if (!err)
		err = json_fini(&j);
	return err ? steer_failed(call, err) : WEIR_EXIT_OK;
}

static int change_failed(const struct steer_call *call, int err, const char *text, bool add,
			 const char *why)
{
	if (err == -EOPNOTSUPP)
		return no_lookup(call);
	if (!add && err == -ENOENT)
		return fail("instance %s: it does not answer on %s as such; run: weir steer vip %s "
			    "list", call->instance, text, call->instance);
	if (why[0] && err != -ENOENT && err != -EACCES && err != -EPERM)
		return fail("%s: %s", text, why);
	return steer_failed(call, err);
}

/* All of them, or none. */
static int change(const struct steer_call *call, char **texts, unsigned int count, bool add)
{
	static struct weir_bpf_vip vips[VIPS_MAX];
	unsigned int at = 0, i;
	char why[256] = "";
	int err;

	for (i = 0; i < count; i++)
		if (weir_bpf_vip_parse(&vips[i], texts[i]))
			return steer_usage(call, "'%s' is not a network, with or without "
					   "ports, such as 10.0.0.0/24:80-89", texts[i]);
	if (add)
		err = weir_bpf_vip_add_all(call->instance, vips, count, &at, why, sizeof(why));
	else
		err = weir_bpf_vip_del_all(call->instance, vips, count, &at);
	return err ? change_failed(call, err, texts[at], add, why) : WEIR_EXIT_OK;
}

int vip_run(const struct steer_call *call)
{
	bool add = !strcmp(call->args[0], "add");
	int status;

	if (!strcmp(call->args[0], "list") && call->count == 1)
		return list_print(call);
	if ((!add && strcmp(call->args[0], "del")) || call->count == 1)
		return steer_usage(call, "wants %s", call->verb->operands);
	status = change(call, call->args + 1, (unsigned int)call->count - 1, add);
	if (status != WEIR_EXIT_OK)
		return status;
	return call->json || call->pretty ? list_print(call) : WEIR_EXIT_OK;
}
