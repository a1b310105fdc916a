// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cfg.c - the constants of the law: their defaults, and what is no value for one
 */
#include <stddef.h>
#include <string.h>

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

/* A time: long enough to mean something, short enough to be added to a clock. */
#define TIME(member)	{ #member, offsetof(struct weir_cfg, member), 8, 1, 1ULL << 60 }
#define RANGE(member, least, most) \
	{ #member, offsetof(struct weir_cfg, member), 4, least, most }

static const struct {
	const char *name;
	size_t offset;
	unsigned int bytes;
	uint64_t least, most;
} ranges[] = {
	TIME(stale_ns),
	TIME(rescue_ns),
	TIME(flow_age_ns),
	TIME(rtx_window_ns),
	TIME(rtx_quiet_ns),
	{ "ramp_ns", offsetof(struct weir_cfg, ramp_ns), 8, 0, 1ULL << 60 },
	RANGE(policy, WEIR_POLICY_HASH, WEIR_POLICY_WEIGHTED),
	RANGE(flags, 0, WEIR_CFG_PENDING),
	RANGE(shed_permille, 0, 1000),
	RANGE(window_us, 1000, 10000000),
	RANGE(slow_on_us, 1, UINT32_MAX),
	RANGE(shed_step_permille, 1, 1000),
	RANGE(shed_fall_permille, 0, 999),
	RANGE(shed_max_permille, 0, 1000),
	RANGE(prefix_bits4, 0, 32),
	RANGE(prefix_bits6, 0, 128),
	RANGE(quic_offset, 0, 1200),
	RANGE(quic_bytes, 0, 4),
};

static uint64_t value_of(const struct weir_cfg *cfg, size_t offset, unsigned int bytes)
{
	uint64_t wide = 0;
	uint32_t half = 0;

	if (bytes == sizeof(wide)) {
		memcpy(&wide, (const char *)cfg + offset, sizeof(wide));
		return wide;
	}
	memcpy(&half, (const char *)cfg + offset, sizeof(half));
	return half;
}

const char *weir_cfg_check(const struct weir_cfg *cfg, unsigned int rows)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		value = value_of(cfg, ranges[i].offset, ranges[i].bytes);
		if (value < ranges[i].least || value > ranges[i].most)
			return ranges[i].name;
	}
	if (!cfg->workers || cfg->workers > rows)
		return "workers";
	if (cfg->rescue_ns < cfg->stale_ns)
		return "rescue_ns";
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
