// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show_net.c - where an instance meets the network: its listeners' groups, networks, XDP */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <weir/vip.h>

#include "common.h"
#include "show.h"

/* group */

static const char *family_name(uint32_t family)
{
	return family == WEIR_FAMILY_INET6 ? "inet6" : "inet";
}

static const char *chooser(const struct weir_bpf_group *group)
{
	return group->prog == group->own ? "ours" : "foreign";
}

static int group_row(void *ctx, const struct weir_bpf_group *group)
{
	table_cell(ctx, "%u", group->worker);
	table_cell(ctx, "%s", family_name(group->family));
	table_cell(ctx, "%s", chooser(group));
	table_cell(ctx, "%u", group->prog);
	table_cell(ctx, "%u", group->own);
	return 0;
}

static int group_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"WORKER", "<FAMILY", "<CHOOSER", "PROGRAM", "OURS", NULL
	};
	struct table *table = table_open(heads);
	int err = weir_bpf_view_groups(view, group_row, table);

	table_close(table, err ? NULL : out);
	return err;
}

static int group_object(void *ctx, const struct weir_bpf_group *group)
{
	json_object(ctx, NULL);
	json_u64(ctx, "worker", group->worker);
	json_string(ctx, "family", family_name(group->family));
	json_string(ctx, "chooser", chooser(group));
	json_u64(ctx, "prog", group->prog);
	json_u64(ctx, "own", group->own);
	json_end_object(ctx);
	return 0;
}

static int group_json(struct weir_bpf_view *view, struct json *j)
{
	return weir_bpf_view_groups(view, group_object, j);
}

const struct show_noun show_group = { .name = "group", .table = group_table, .json = group_json };

/* vips */

static const struct counter vip_counters[] = {
	COUNTER(struct weir_vip_stats, assigned),
	COUNTER(struct weir_vip_stats, taken),
	COUNTER(struct weir_vip_stats, absent),
	COUNTER(struct weir_vip_stats, failed),
};

COUNTERS_ALL(vip_counters, struct weir_vip_stats);

static void network_text(const struct weir_bpf_vip *vip, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(vip->family == WEIR_FAMILY_INET6 ? AF_INET6 : AF_INET, vip->ip, host,
		  sizeof(host));
	snprintf(text, size, "%s/%u", host, vip->bits);
}

static int vip_row(void *ctx, const struct weir_bpf_vip *vip)
{
	char text[INET6_ADDRSTRLEN + 4];

	network_text(vip, text, sizeof(text));
	table_cell(ctx, "%s", text);
	table_cell(ctx, "%s", vip->proto == WEIR_PROTO_UDP ? "udp" : "tcp");
	table_cell(ctx, "%u", vip->first);
	table_cell(ctx, "%u", vip->last);
	return 0;
}

/* Of an instance without sk_lookup there is nothing to print. */
static int vips_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = { "<NETWORK", "<PROTO", "FIRST", "LAST", NULL };
	const char *name = weir_bpf_view_meta(view)->name;
	struct weir_vip_stats stats;
	int err = weir_bpf_vip_stats(name, &stats);
	struct table *table;

	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	table = table_open(heads);
	err = weir_bpf_vip_list(name, vip_row, table);
	table_close(table, err ? NULL : out);
	if (!err) {
		fputc('\n', out);
		counters_table(out, vip_counters, ARRAY_SIZE(vip_counters), &stats);
	}
	return err;
}

static int vip_object(void *ctx, const struct weir_bpf_vip *vip)
{
	char text[INET6_ADDRSTRLEN + 4];

	network_text(vip, text, sizeof(text));
	json_object(ctx, NULL);
	json_string(ctx, "network", text);
	json_string(ctx, "proto", vip->proto == WEIR_PROTO_UDP ? "udp" : "tcp");
	json_u64(ctx, "first", vip->first);
	json_u64(ctx, "last", vip->last);
	json_end_object(ctx);
	return 0;
}

static int vips_json(struct weir_bpf_view *view, struct json *j)
{
	const char *name = weir_bpf_view_meta(view)->name;
	struct weir_vip_stats stats;
	int err = weir_bpf_vip_stats(name, &stats);

	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	json_object(j, NULL);
	json_array(j, "vips");
	err = weir_bpf_vip_list(name, vip_object, j);
	json_end_array(j);
	counters_json(j, vip_counters, ARRAY_SIZE(vip_counters), &stats);
	json_end_object(j);
	return err;
}

const struct show_noun show_vips = { .name = "vips", .table = vips_table, .json = vips_json };

/* xdp */

static const struct counter xdp_counters[] = {
	COUNTER(struct weir_xdp_stats, frames),
	COUNTER(struct weir_xdp_stats, taken),
	COUNTER(struct weir_xdp_stats, passed),
	COUNTER(struct weir_xdp_stats, malformed),
	COUNTER(struct weir_xdp_stats, fragments),
	COUNTER(struct weir_xdp_stats, tagged),
	COUNTER(struct weir_xdp_stats, no_worker),
	COUNTER(struct weir_xdp_stats, syns),
	COUNTER(struct weir_xdp_stats, syns_refused),
	COUNTER(struct weir_xdp_stats, dgrams),
	COUNTER(struct weir_xdp_stats, dgrams_refused),
	COUNTER(struct weir_xdp_stats, prefix_failed),
};

COUNTERS_ALL(xdp_counters, struct weir_xdp_stats);

static const char *mode_name(unsigned int mode)
{
	return mode == WEIR_XDP_NATIVE ? "native" : "generic";
}

static const char *by_name(unsigned int by)
{
	return by == WEIR_XDP_BY_DISPATCHER ? "dispatcher" : "link";
}

static void xdp_cfg_print(FILE *out, const struct weir_xdp_cfg *cfg)
{
	static const char *const heads[] = {
		"<INTERFACE", "INDEX", "<MODE", "<BY", "QUEUE", "SYN_RATE", "SYN_BURST",
		"DGRAM_RATE", "DGRAM_BURST", NULL
	};
	struct table *table = table_open(heads);

	table_cell(table, "%.*s", (int)sizeof(cfg->ifname), cfg->ifname);
	table_cell(table, "%u", cfg->ifindex);
	table_cell(table, "%s", mode_name(cfg->mode));
	table_cell(table, "%s", by_name(cfg->by));
	table_cell(table, "%u", cfg->queue_first);
	table_cell(table, "%u", cfg->syn_rate);
	table_cell(table, "%u", cfg->syn_burst);
	table_cell(table, "%u", cfg->dgram_rate);
	table_cell(table, "%u", cfg->dgram_burst);
	table_close(table, out);
}

static int xdp_rows_print(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"WORKER", "FRAMES", "SKIPPED", "NO_SOCKET", "PROBED", NULL
	};
	struct table *table = table_open(heads);
	struct weir_xdp_row row;
	unsigned int i;
	int err;

	for (i = 0; !(err = weir_bpf_view_xdp_row(view, i, &row)); i++) {
		table_cell(table, "%u", i);
		table_cell(table, "%llu", row.frames);
		table_cell(table, "%llu", row.skipped);
		table_cell(table, "%llu", row.no_socket);
		table_cell(table, "%llu", row.probed);
	}
	table_close(table, out);
	return err == -ENOENT ? 0 : err;
}

/* Without a program there is nothing to print, which is no error. */
static int xdp_table(struct weir_bpf_view *view, FILE *out)
{
	struct weir_xdp_stats stats;
	struct weir_xdp_cfg cfg;
	int err = weir_bpf_view_xdp(view, &cfg, &stats);

	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	xdp_cfg_print(out, &cfg);
	fputc('\n', out);
	err = xdp_rows_print(view, out);
	fputc('\n', out);
	counters_table(out, xdp_counters, ARRAY_SIZE(xdp_counters), &stats);
	return err;
}

static int xdp_rows_json(struct weir_bpf_view *view, struct json *j)
{
	struct weir_xdp_row row;
	unsigned int i;
	int err;

	json_array(j, "workers");
	for (i = 0; !(err = weir_bpf_view_xdp_row(view, i, &row)); i++) {
		json_object(j, NULL);
		json_u64(j, "worker", i);
		json_u64(j, "frames", row.frames);
		json_u64(j, "skipped", row.skipped);
		json_u64(j, "no_socket", row.no_socket);
		json_u64(j, "probed", row.probed);
		json_end_object(j);
	}
	json_end_array(j);
	return err == -ENOENT ? 0 : err;
}

static int xdp_json(struct weir_bpf_view *view, struct json *j)
{
	char ifname[sizeof(((struct weir_xdp_cfg *)0)->ifname) + 1];
	struct weir_xdp_stats stats;
	struct weir_xdp_cfg cfg;
	int err = weir_bpf_view_xdp(view, &cfg, &stats);

	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	snprintf(ifname, sizeof(ifname), "%.*s", (int)sizeof(cfg.ifname), cfg.ifname);
	json_object(j, NULL);
	json_string(j, "ifname", ifname);
	json_u64(j, "ifindex", cfg.ifindex);
	json_string(j, "mode", mode_name(cfg.mode));
	json_string(j, "by", by_name(cfg.by));
	json_u64(j, "queue_first", cfg.queue_first);
	json_u64(j, "syn_rate", cfg.syn_rate);
	json_u64(j, "syn_burst", cfg.syn_burst);
	json_u64(j, "dgram_rate", cfg.dgram_rate);
	json_u64(j, "dgram_burst", cfg.dgram_burst);
	counters_json(j, xdp_counters, ARRAY_SIZE(xdp_counters), &stats);
	err = xdp_rows_json(view, j);
	json_end_object(j);
	return err;
}

const struct show_noun show_xdp = { .name = "xdp", .table = xdp_table, .json = xdp_json };
