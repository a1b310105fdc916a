// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show_tables.c - connections and events, as tables and as JSON */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common.h"
#include "show.h"

#define ADDR_TEXT	(INET6_ADDRSTRLEN + 10)

uint64_t show_age_ns(uint64_t then)
{
	uint64_t now = now_ns();

	return then && then < now ? now - then : 0;
}

/* flows */

static void format_addr(const struct weir_flow *flow, const __u32 ip[4], unsigned int port,
			char *text)
{
	int family = flow->family == WEIR_FAMILY_INET6 ? AF_INET6 : AF_INET;
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, ip, host, sizeof(host));
	snprintf(text, ADDR_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

static const struct {
	uint32_t bit;
	const char *name;
} edge_bits[] = {
	{ WEIR_FLOW_RTT, "rtt" },
	{ WEIR_FLOW_RETRANS, "retrans" },
	{ WEIR_FLOW_RTO, "rto" },
	{ WEIR_FLOW_SENDQ, "sendq" },
	{ WEIR_FLOW_HELD, "held" },
};

static void format_edges(uint32_t edges, char *text, size_t size)
{
	size_t i, len = 0;

	snprintf(text, size, "-");
	for (i = 0; i < ARRAY_SIZE(edge_bits); i++)
		if (edges & edge_bits[i].bit)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? "," : "",
						edge_bits[i].name);
}

static int flow_row(void *ctx, uint64_t cookie, const struct weir_flow *f)
{
	char local[ADDR_TEXT], remote[ADDR_TEXT], edges[40];
	struct table *table = ctx;

	format_addr(f, f->local_ip, f->local_port, local);
	format_addr(f, f->remote_ip, f->remote_port, remote);
	format_edges(f->edges, edges, sizeof(edges));
	table_cell(table, "%llu", (unsigned long long)cookie);
	table_cell(table, "%u", f->worker);
	table_cell(table, "%s", show_tcp_state(f->state));
	table_cell(table, "%s", local);
	table_cell(table, "%s", remote);
	table_cell(table, "%u", f->srtt_us);
	table_cell(table, "%u", f->cwnd);
	table_cell(table, "%llu", f->bytes_received);
	table_cell(table, "%llu", f->bytes_acked);
	table_cell(table, "%u", f->retrans);
	table_cell(table, "%u", f->inflight);
	table_cell(table, "%u", f->sendq_bytes);
	table_cell(table, "%s", edges);
	return 0;
}

static int flows_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"COOKIE", "WORKER", "<STATE", "<LOCAL", "<REMOTE", "SRTT_US", "CWND", "RECEIVED",
		"ACKED", "RETRANS", "INFLIGHT", "SENDQ", "<EDGES", NULL
	};
	struct table *table = table_open(heads);
	int err = weir_bpf_view_flows(view, flow_row, table);

	table_close(table, out);
	return err;
}

static int flow_json(void *ctx, uint64_t cookie, const struct weir_flow *f)
{
	char local[ADDR_TEXT], remote[ADDR_TEXT];
	struct json *j = ctx;
	size_t i;

	format_addr(f, f->local_ip, f->local_port, local);
	format_addr(f, f->remote_ip, f->remote_port, remote);
	json_object(j, NULL);
	json_u64(j, "cookie", cookie);
	json_u64(j, "worker", f->worker);
	json_string(j, "state", show_tcp_state(f->state));
	json_string(j, "local", local);
	json_string(j, "remote", remote);
	json_u64(j, "age_ns", show_age_ns(f->opened_ns));
	json_u64(j, "updated_ns", f->updated_ns);
	json_u64(j, "srtt_us", f->srtt_us);
	json_u64(j, "rtt_min_us", f->rtt_min_us);
	json_u64(j, "cwnd", f->cwnd);
	json_u64(j, "mss_bytes", f->mss_bytes);
	json_u64(j, "bytes_received", f->bytes_received);
	json_u64(j, "bytes_acked", f->bytes_acked);
	json_u64(j, "retrans", f->retrans);
	json_u64(j, "rto", f->rto);
	json_u64(j, "inflight", f->inflight);
	json_u64(j, "lost", f->lost);
	json_u64(j, "sendq_bytes", f->sendq_bytes);
	json_u64(j, "recvq_bytes", f->recvq_bytes);
	json_array(j, "edges");
	for (i = 0; i < ARRAY_SIZE(edge_bits); i++)
		if (f->edges & edge_bits[i].bit)
			json_string(j, NULL, edge_bits[i].name);
	json_end_array(j);
	json_end_object(j);
	return 0;
}

static int flows_json(struct weir_bpf_view *view, struct json *j)
{
	return weir_bpf_view_flows(view, flow_json, j);
}

const struct show_noun show_flows = {
	.name = "flows", .table = flows_table, .json = flows_json,
};

/* events */

static int events_read(struct weir_bpf_view *view, struct weir_event **events)
{
	int count;

	*events = calloc(WEIR_RECENT_MAX, sizeof(**events));
	if (!*events)
		return -ENOMEM;
	count = weir_bpf_view_events(view, *events, WEIR_RECENT_MAX);
	if (count < 0)
		free(*events);
	return count;
}

static int events_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"AGE_S", "WORKER", "<KIND", "<EDGE", "VALUE", "LIMIT", "COOKIE", NULL
	};
	struct weir_event *events;
	struct table *table;
	int count, i;

	count = events_read(view, &events);
	if (count < 0)
		return count;
	table = table_open(heads);
	for (i = 0; i < count; i++) {
		table_cell(table, "%.3f", (double)show_age_ns(events[i].ns) / 1e9);
		table_cell(table, "%u", events[i].worker);
		table_cell(table, "%s", show_kind(events[i].kind));
		table_cell(table, "%s", show_edge(events[i].edge));
		table_cell(table, "%llu", events[i].value);
		table_cell(table, "%llu", events[i].limit);
		table_cell(table, "%llu", events[i].cookie);
	}
	table_close(table, out);
	free(events);
	return 0;
}

void show_event_json(struct json *j, const struct weir_event *event)
{
	json_object(j, NULL);
	json_u64(j, "ns", event->ns);
	json_u64(j, "seq", event->seq);
	json_u64(j, "worker", event->worker);
	json_string(j, "kind", show_kind(event->kind));
	json_string(j, "edge", show_edge(event->edge));
	json_u64(j, "value", event->value);
	json_u64(j, "limit", event->limit);
	json_u64(j, "cookie", event->cookie);
	json_end_object(j);
}

static int events_json(struct weir_bpf_view *view, struct json *j)
{
	struct weir_event *events;
	int count, i;

	count = events_read(view, &events);
	if (count < 0)
		return count;
	for (i = 0; i < count; i++)
		show_event_json(j, &events[i]);
	free(events);
	return 0;
}

const struct show_noun show_events = {
	.name = "events", .table = events_table, .json = events_json,
};
