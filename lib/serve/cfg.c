// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cfg.c - the constants of the law: their defaults, and what is no value for one
 */
#include <stddef.h>

#include "serve/service.h"

void weir_cfg_init(struct weir_cfg *cfg)
{
	*cfg = (struct weir_cfg){
		.stale_ns = WEIR_STALE_NS,
		.rescue_ns = WEIR_RESCUE_NS,
		.flow_age_ns = WEIR_FLOW_AGE_NS,
		.rtx_window_ns = WEIR_RTX_WINDOW_NS,
		.rtx_quiet_ns = WEIR_RTX_QUIET_NS,
		.ramp_ns = WEIR_RAMP_NS,
		.policy = WEIR_POLICY_HASH,
		.workers = 1,
		.scan_max = WEIR_SCAN_MAX,
		.flow_period_us = WEIR_FLOW_PERIOD_US,
		.rtt_on_permille = WEIR_RTT_ON_PERMILLE,
		.rtt_off_permille = WEIR_RTT_OFF_PERMILLE,
		.rtt_floor_us = WEIR_RTT_FLOOR_US,
		.rtx_burst = WEIR_RTX_BURST,
		.sendq_high_bytes = WEIR_SENDQ_HIGH_BYTES,
		.sendq_low_bytes = WEIR_SENDQ_LOW_BYTES,
		.recvq_high_bytes = WEIR_RECVQ_HIGH_BYTES,
		.recvq_low_bytes = WEIR_RECVQ_LOW_BYTES,
		.window_us = WEIR_WINDOW_US,
		.slow_on_us = WEIR_SLOW_ON_US,
		.slow_off_us = WEIR_SLOW_OFF_US,
		.shed_wait_us = WEIR_SHED_WAIT_US,
		.shed_step_permille = WEIR_SHED_STEP_PERMILLE,
		.shed_fall_permille = WEIR_SHED_FALL_PERMILLE,
		.shed_max_permille = WEIR_SHED_MAX_PERMILLE,
		.prefix_bits4 = WEIR_PREFIX_BITS4,
		.prefix_bits6 = WEIR_PREFIX_BITS6,
	};
}

#define MEMBER(member, least, most) \
	{ #member, offsetof(struct weir_cfg, member), sizeof(((struct weir_cfg *)0)->member), \
	  least, most }
/* A time: long enough to mean something, short enough to be added to a clock. */
#define TIME(member)	MEMBER(member, 1, 1ULL << 60)
#define ANY(member)	MEMBER(member, 0, UINT32_MAX)

/* In the order of the struct. */
static const struct weir_cfg_member members[] = {
	TIME(stale_ns),
	TIME(rescue_ns),
	TIME(flow_age_ns),
	TIME(rtx_window_ns),
	TIME(rtx_quiet_ns),
	MEMBER(ramp_ns, 0, 1ULL << 60),
	MEMBER(policy, WEIR_POLICY_HASH, WEIR_POLICY_WEIGHTED),
	MEMBER(workers, 1, WEIR_WORKERS_MAX),
	ANY(scan_max),
	MEMBER(flags, 0, WEIR_CFG_PENDING),
	MEMBER(shed_permille, 0, 1000),
	ANY(observers),
	ANY(flow_period_us),
	ANY(rtt_on_permille),
	ANY(rtt_off_permille),
	ANY(rtt_floor_us),
	ANY(rtx_burst),
	ANY(sendq_high_bytes),
	ANY(sendq_low_bytes),
	ANY(recvq_high_bytes),
	ANY(recvq_low_bytes),
	MEMBER(window_us, 1000, 10000000),
	MEMBER(slow_on_us, 1, UINT32_MAX),
	ANY(slow_off_us),
	ANY(shed_wait_us),
	MEMBER(shed_step_permille, 1, 1000),
	MEMBER(shed_fall_permille, 0, 999),
	MEMBER(shed_max_permille, 0, 1000),
	ANY(prefix_rate),
	ANY(prefix_burst),
	MEMBER(prefix_bits4, 0, 32),
	MEMBER(prefix_bits6, 0, 128),
	MEMBER(quic_offset, 0, 1200),
	MEMBER(quic_bytes, 0, 4),
	ANY(pace_bytes),
	ANY(clamp_bytes),
	MEMBER(shed_until_ns, 0, UINT64_MAX),
};

const struct weir_cfg_member *weir_cfg_members(unsigned int *count)
{
	*count = ARRAY_SIZE(members);
	return members;
}

uint64_t weir_cfg_get(const struct weir_cfg *cfg, const struct weir_cfg_member *member)
{
	const void *at = (const char *)cfg + member->offset;

	if (member->bytes == sizeof(uint64_t))
		return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
}

const char *weir_cfg_check(const struct weir_cfg *cfg, unsigned int rows)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(members); i++) {
		value = weir_cfg_get(cfg, &members[i]);
		if (value < members[i].least || value > members[i].most)
			return members[i].name;
	}
	if (cfg->workers > rows)
		return "workers";
	if (cfg->rescue_ns < cfg->stale_ns)
		return "rescue_ns";
	if (cfg->rtt_off_permille > cfg->rtt_on_permille)
		return "rtt_off_permille";
	if (cfg->sendq_low_bytes > cfg->sendq_high_bytes)
		return "sendq_low_bytes";
	if (cfg->recvq_low_bytes > cfg->recvq_high_bytes)
		return "recvq_low_bytes";
	if (cfg->slow_off_us > cfg->slow_on_us)
		return "slow_off_us";
	if (cfg->prefix_rate && !cfg->prefix_burst)
		return "prefix_burst";
	return NULL;
}
