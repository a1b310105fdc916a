// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * nobpf.c - libweir-bpf's half of the tool's calls in a build without it
 *
 * With CONFIG_BPF=n there is no instance to open and none to look at. This
 * says so in one place, so that the commands need no conditions of their own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weir/bpf.h>
#include <weir/vip.h>
#include <weir/xdp.h>

#define WHY	"built without BPF (CONFIG_BPF=n)"

int weir_bpf_open(struct weir_bpf **bpfp, const struct weir_bpf_opts *opts)
{
	if (opts && opts->reason)
		snprintf(opts->reason, opts->reason_bytes, "%s", WHY);
	return -EOPNOTSUPP;
}

void weir_bpf_close(struct weir_bpf *bpf)
{
}

struct weir_steering *weir_bpf_steering(struct weir_bpf *bpf)
{
	return NULL;
}

struct weir_cfg *weir_bpf_cfg(struct weir_bpf *bpf)
{
	return NULL;
}

int weir_bpf_status(struct weir_bpf *bpf, struct weir_bpf_status *status)
{
	return -EOPNOTSUPP;
}

int weir_bpf_list(int (*fn)(void *ctx, const struct weir_bpf_instance *instance), void *ctx)
{
	return -EOPNOTSUPP;
}

int weir_bpf_clean_stale(const char *name)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_open(struct weir_bpf_view **viewp, const char *name)
{
	return -EOPNOTSUPP;
}

void weir_bpf_view_close(struct weir_bpf_view *view)
{
}

const struct weir_meta *weir_bpf_view_meta(const struct weir_bpf_view *view)
{
	return NULL;
}

int weir_bpf_view_worker(struct weir_bpf_view *view, unsigned int worker,
			 struct weir_bpf_worker *out)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_flows(struct weir_bpf_view *view,
			int (*fn)(void *ctx, uint64_t cookie, const struct weir_flow *flow),
			void *ctx)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_events(struct weir_bpf_view *view, struct weir_event *out, unsigned int max)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_cfg(struct weir_bpf_view *view, struct weir_cfg *cfg)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_gate(struct weir_bpf_view *view, struct weir_gate *gate)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_groups(struct weir_bpf_view *view,
			 int (*fn)(void *ctx, const struct weir_bpf_group *group), void *ctx)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_xdp(struct weir_bpf_view *view, struct weir_xdp_cfg *cfg,
		      struct weir_xdp_stats *stats)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_xdp_row(struct weir_bpf_view *view, unsigned int worker,
			  struct weir_xdp_row *row)
{
	return -EOPNOTSUPP;
}

int weir_bpf_view_progs(struct weir_bpf_view *view,
			int (*fn)(void *ctx, const struct weir_bpf_prog *prog), void *ctx)
{
	return -EOPNOTSUPP;
}

int weir_bpf_cost_open(void)
{
	return -EOPNOTSUPP;
}

int weir_bpf_control_open(struct weir_bpf_control **controlp, const char *name)
{
	return -EOPNOTSUPP;
}

void weir_bpf_control_close(struct weir_bpf_control *control)
{
}

int weir_bpf_control_admin(struct weir_bpf_control *control, unsigned int worker,
			   enum weir_admin_state state)
{
	return -EOPNOTSUPP;
}

int weir_bpf_control_xdp(struct weir_bpf_control *control, enum weir_xdp_budget what,
			 uint32_t rate, uint32_t burst)
{
	return -EOPNOTSUPP;
}

int weir_bpf_control_weight(struct weir_bpf_control *control, unsigned int worker, uint32_t weight)
{
	return -EOPNOTSUPP;
}

int weir_bpf_control_set(struct weir_bpf_control *control, const struct weir_bpf_change *changes,
			 unsigned int count, const char **refused)
{
	return -EOPNOTSUPP;
}

int weir_bpf_probes(int (*fn)(void *ctx, const struct weir_bpf_probe *probe), void *ctx)
{
	struct weir_bpf_probe probe = {
		.id = "bpf.build",
		.gives = "steering, flows and signals from the kernel",
		.why = WHY,
	};

	return fn(ctx, &probe);
}

int weir_bpf_observe_open(struct weir_bpf_observer **observerp, const char *name)
{
	return -EOPNOTSUPP;
}

void weir_bpf_observe_close(struct weir_bpf_observer *observer)
{
}

int weir_bpf_observe_fd(const struct weir_bpf_observer *observer)
{
	return -EOPNOTSUPP;
}

unsigned int weir_bpf_observe_take(struct weir_bpf_observer *observer, struct weir_event *out,
				   unsigned int max)
{
	return 0;
}

uint64_t weir_bpf_observe_lost(const struct weir_bpf_observer *observer)
{
	return 0;
}

int weir_bpf_lat_open(struct weir_bpf_lat **latp, uint32_t pid, char *reason, size_t bytes)
{
	if (reason)
		snprintf(reason, bytes, "%s", WHY);
	return -EOPNOTSUPP;
}

int weir_bpf_lat_read(struct weir_bpf_lat *lat, unsigned int op, struct weir_lat *out)
{
	return -EOPNOTSUPP;
}

void weir_bpf_lat_close(struct weir_bpf_lat *lat)
{
}

int weir_bpf_vip_parse(struct weir_bpf_vip *vip, const char *text)
{
	return -EOPNOTSUPP;
}

void weir_bpf_vip_format(const struct weir_bpf_vip *vip, char text[WEIR_BPF_VIP_TEXT])
{
	text[0] = '\0';
}

int weir_bpf_vip_add(const char *name, const struct weir_bpf_vip *vip, char *reason,
		     size_t reason_bytes)
{
	return -EOPNOTSUPP;
}

int weir_bpf_vip_add_all(const char *name, const struct weir_bpf_vip *vips, unsigned int count,
			 unsigned int *at, char *reason, size_t reason_bytes)
{
	return -EOPNOTSUPP;
}

int weir_bpf_vip_del_all(const char *name, const struct weir_bpf_vip *vips, unsigned int count,
			 unsigned int *at)
{
	return -EOPNOTSUPP;
}

int weir_bpf_vip_list(const char *name, int (*fn)(void *ctx, const struct weir_bpf_vip *vip),
		      void *ctx)
{
	return -EOPNOTSUPP;
}

int weir_bpf_vip_stats(const char *name, struct weir_vip_stats *stats)
{
	return -EOPNOTSUPP;
}

int weir_xdp_open(struct weir_xdp **xdpp, struct weir_bpf *bpf, const struct weir_xdp_opts *opts)
{
	if (opts && opts->reason)
		snprintf(opts->reason, opts->reason_bytes, "%s", WHY);
	return -EOPNOTSUPP;
}

int weir_xdp_status(const struct weir_xdp *xdp, struct weir_xdp_status *status)
{
	return -EOPNOTSUPP;
}

int weir_xdp_carrier_open(struct weir_dgram_carrier **carrierp, struct weir_xdp *xdp)
{
	return -EOPNOTSUPP;
}

void weir_xdp_carrier_close(struct weir_dgram_carrier *carrier)
{
}

void weir_xdp_carrier_stats(const struct weir_dgram_carrier *carrier,
			    struct weir_xdp_carrier_stats *stats, size_t sz)
{
	memset(stats, 0, sz);
}
