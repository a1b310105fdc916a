/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_STEER_H
#define WEIR_TOOLS_STEER_H

/*
 * Steering for a service: BPF where the machine allows it, else the kernel's
 * own SO_REUSEPORT hash, and why.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <weir/bpf.h>
#include <weir/steering.h>

#define STEER_POLICIES	"hash|cpu|least|p2c|weighted"	/* as enum weir_policy */

struct steer_opts {
	const char *instance;
	unsigned int policy;	/* enum weir_policy */
	unsigned int workers;
	const gid_t *group;	/* may read the pins; NULL: nobody but the owner */
	bool no_bpf;		/* do not even try */
	bool no_flows;		/* steering alone */
	bool policy_said;	/* also to an instance that is gone on with */
	bool adopt;		/* go on with what is pinned */
	bool heir;		/* listeners are a predecessor's */
	const int *lock;	/* of a predecessor, or NULL */
	bool udp;		/* datagrams */
	uint32_t vips_max;	/* 0: no sk_lookup */
	bool quiet;		/* no warnings in the log: the caller reports */
};

struct steer {
	struct weir_steering *steering;	/* a service that is opened takes it over */
	struct weir_bpf *bpf;		/* NULL without BPF */
	const char *policy;		/* in force */
	unsigned int rung;		/* enum weir_rung */
	bool user_space;		/* one worker accepts for all */
	char reason[WEIR_BPF_WHY_BYTES]; /* why not more; empty on the top rung */
	char dir[WEIR_BPF_PATH_BYTES];	/* of the pins, or empty */
	char xdp[WEIR_BPF_WHY_BYTES + 64]; /* how frames are taken, or empty */
};

/*
 * steer_open() - get the best steering there is
 *
 * What this machine refuses costs a rung and is told in @steer->reason. What
 * the user must decide (a bad name, a name in use) is an error.
 *
 * Return: 0, -EINVAL for a bad instance name, -EADDRINUSE or -EEXIST when it is
 * taken, -ENOMEM; @steer->reason then names the thing.
 */
int steer_open(struct steer *steer, const struct steer_opts *opts);

/* steer_close() - for one that no service took over. */
void steer_close(struct steer *steer);

/* steer_rung_name() - what an enum weir_rung means to a user. */
const char *steer_rung_name(unsigned int rung);

/* steer_name_ok() - is this an instance name? */
bool steer_name_ok(const char *name);

#endif /* WEIR_TOOLS_STEER_H */
