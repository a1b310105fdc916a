// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * lat.c - how long io_uring operations take
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "uring.skel.h"

#include "bpf/instance.h"

struct weir_bpf_lat {
	struct uring_bpf *uring;
	struct weir_lat *percpu;
	int cpus;
};

static bool tracepoint_there(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) > 0;
}

/* The tracepoint of submissions has one of two names. */
static int lat_choose(struct uring_bpf *uring, const struct reason *reason)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool req, sqe;

	if (!btf)
		return reason_set(reason, -errno, "the kernel has no BTF");
	req = tracepoint_there(btf, "btf_trace_io_uring_submit_req");
	sqe = tracepoint_there(btf, "btf_trace_io_uring_submit_sqe");
	btf__free(btf);
	if (!req && !sqe)
		return reason_set(reason, -EOPNOTSUPP,
				  "the kernel has no tracepoint of io_uring's submissions");
	bpf_program__set_autoload(uring->progs.weir_lat_req, req);
	bpf_program__set_autoload(uring->progs.weir_lat_sqe, !req);
	return 0;
}

static int lat_start(struct weir_bpf_lat *lat, uint32_t pid, const struct reason *reason)
{
	struct uring_bpf *uring = lat->uring;
	struct stat st;
	int err;

	if (stat("/proc/self/ns/pid", &st))
		return reason_set(reason, -errno, "/proc/self/ns/pid: %s", strerror(errno));
	uring->rodata->pid_only = pid;
	uring->rodata->ns_dev = st.st_dev;
	uring->rodata->ns_ino = st.st_ino;
	err = lat_choose(uring, reason);
	if (err)
		return err;
	err = uring_bpf__load(uring);
	if (!err)
		err = uring_bpf__attach(uring);
	if (err == -EPERM)
		return reason_set(reason, err, "CAP_BPF and CAP_PERFMON are needed");
	return err ? reason_set(reason, err, "cannot load or attach: %s", strerror(-err)) : 0;
}

int weir_bpf_lat_open(struct weir_bpf_lat **latp, uint32_t pid, char *text, size_t bytes)
{
	const struct reason reason = { text, bytes };
	struct weir_bpf_lat *lat = calloc(1, sizeof(*lat));
	int err;

	if (!lat)
		return -ENOMEM;
	lat->cpus = libbpf_num_possible_cpus();
	if (lat->cpus < 0) {
		err = lat->cpus;
		goto free_lat;
	}
	lat->percpu = calloc((size_t)lat->cpus, sizeof(*lat->percpu));
	if (!lat->percpu) {
		err = -ENOMEM;
		goto free_lat;
	}
	capture_begin();
	lat->uring = uring_bpf__open();
	err = lat->uring ? lat_start(lat, pid, &reason) : -errno;
	capture_end();
	if (err)
		goto free_lat;
	*latp = lat;
	return 0;

free_lat:
	weir_bpf_lat_close(lat);
	return err;
}

void weir_bpf_lat_close(struct weir_bpf_lat *lat)
{
	if (!lat)
		return;
	uring_bpf__destroy(lat->uring);
	free(lat->percpu);
	free(lat);
}

int weir_bpf_lat_read(struct weir_bpf_lat *lat, unsigned int op, struct weir_lat *out)
{
	uint32_t key = op;
	int cpu, i, err;

	if (op >= WEIR_LAT_OPS)
		return -ENOENT;
	err = bpf_map_lookup_elem(bpf_map__fd(lat->uring->maps.weir_lat), &key, lat->percpu);
	if (err)
		return err;
	memset(out, 0, sizeof(*out));
	for (cpu = 0; cpu < lat->cpus; cpu++) {
		const struct weir_lat *one = &lat->percpu[cpu];

		out->count += one->count;
		out->total_ns += one->total_ns;
		if (one->max_ns > out->max_ns)
			out->max_ns = one->max_ns;
		for (i = 0; i < WEIR_HIST_BUCKETS; i++)
			out->buckets[i] += one->buckets[i];
	}
	return 0;
}
