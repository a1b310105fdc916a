// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * controller.c - when to refuse a share of new clients, and which share
 *
 * Once a window: if every worker that new clients may get is slow and the mean of what
 * a completion waits is above shed_wait_us, the share rises by a step; else it
 * falls to a part of itself. What it stores counts for some windows only, so
 * that a supervisor that dies does not leave a service refusing for ever.
 * Members of weir_cfg may be edited by hand at any time: each is cut to what can
 * be used.
 */
#include "serve/controller.h"

#define WINDOW_LEAST_NS	NSEC_PER_MSEC
#define IDLE_WINDOWS	2	/* parked for so long it is slow no more */
#define VALID_WINDOWS	10	/* what is stored counts for so long */
#define PERMILLE	1000U

static uint64_t window_of(const struct weir_cfg *cfg)
{
	uint64_t window_ns = cfg->window_us * NSEC_PER_USEC;

	return window_ns < WINDOW_LEAST_NS ? WINDOW_LEAST_NS : window_ns;
}

static uint64_t since(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

bool row_rested(const struct weir_worker_row *row, const struct weir_cfg *cfg, uint64_t now_ns)
{
	return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == WEIR_PARKED &&
	       since(now_ns, __atomic_load_n(&row->loop_ns, __ATOMIC_RELAXED)) >
	       IDLE_WINDOWS * window_of(cfg);
}

void sight_judge(struct sight *sight, const struct weir_worker_row *row,
		 const struct weir_cfg *cfg, uint64_t now_ns, int waiting, uint64_t since_ns)
{
	uint32_t state = __atomic_load_n(&row->state, __ATOMIC_ACQUIRE);
	uint64_t loop_ns = __atomic_load_n(&row->loop_ns, __ATOMIC_RELAXED);
	uint64_t window_ns = window_of(cfg);

	*sight = (struct sight){
		.serving = state == WEIR_RUN || state == WEIR_PARKED,
		.waited_for = waiting > 0,
		.wait_us = __atomic_load_n(&row->wait_us, __ATOMIC_RELAXED),
	};
	if (state == WEIR_RUN)
		sight->age_ns = since(now_ns, loop_ns);
	else if (state == WEIR_PARKED && waiting > 0)
		sight->age_ns = since(now_ns, since_ns);
	sight->idle = state == WEIR_PARKED && waiting <= 0;
	sight->hung = sight->age_ns > cfg->stale_ns;
	/* One that hangs for a whole window has no delay below that. */
	if (sight->hung && sight->age_ns > window_ns) {
		sight->slow = true;
		sight->wait_us = (uint32_t)min_u64(sight->age_ns / NSEC_PER_USEC, UINT32_MAX);
		sight->least_us = sight->wait_us;
	} else if (sight->idle && row_rested(row, cfg, now_ns)) {
		sight->wait_us = 0;
		sight->least_us = 0;
	} else {
		sight->slow = __atomic_load_n(&row->speed, __ATOMIC_ACQUIRE) == WEIR_SLOW;
		sight->least_us = __atomic_load_n(&row->qdelay_us, __ATOMIC_RELAXED);
	}
}

/* Does one serve that gets new connections before those that are drained? */
static bool one_is_open(const struct sight *sights, uint32_t workers)
{
	uint32_t i;

	for (i = 0; i < workers; i++) {
		if (sights[i].serving && !sights[i].drained)
			return true;
	}
	return false;
}

/* Every worker that new clients may get is slow, and they wait too long with any of them. */
static bool overloaded(const struct weir_cfg *cfg, const struct sight *sights, uint32_t workers)
{
	bool open = one_is_open(sights, workers);
	uint64_t sum_us = 0;
	uint32_t i, serving = 0;

	for (i = 0; i < workers; i++) {
		if (!sights[i].serving || (open && sights[i].drained))
			continue;
		if (!sights[i].slow)
			return false;
		sum_us += sights[i].wait_us;
		serving++;
	}
	return serving && sum_us / serving > cfg->shed_wait_us;
}

static uint32_t next_share(const struct weir_cfg *cfg, uint32_t permille, bool more)
{
	uint32_t max = min_u32(__atomic_load_n(&cfg->shed_max_permille, __ATOMIC_RELAXED),
			       PERMILLE);
	uint32_t step = min_u32(cfg->shed_step_permille, PERMILLE);
	uint32_t fall = min_u32(cfg->shed_fall_permille, PERMILLE - 1);

	if (more)
		return min_u32(permille + step, max);
	return min_u32(permille * fall / PERMILLE, max);
}

static void share_clear(struct weir_cfg *cfg)
{
	__atomic_store_n(&cfg->shed_permille, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&cfg->shed_until_ns, 0, __ATOMIC_RELAXED);
}

bool controller_tick(struct controller *controller, struct weir_cfg *cfg,
		     const struct sight *sights, uint32_t workers, uint64_t now_ns)
{
	uint64_t window_ns = window_of(cfg);
	uint32_t old = controller->permille, share;

	if (!controller->window_ns)
		controller->window_ns = now_ns;
	if (since(now_ns, controller->window_ns) < window_ns)
		return false;
	controller->window_ns = now_ns;
	share = next_share(cfg, old, overloaded(cfg, sights, workers));
	controller->permille = share;
	/* A share that somebody set by hand stays while there is none of ours. */
	if (share) {
		__atomic_store_n(&cfg->shed_until_ns, now_ns + VALID_WINDOWS * window_ns,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&cfg->shed_permille, share, __ATOMIC_RELEASE);
	} else if (old) {
		share_clear(cfg);
	}
	return share;
}

void controller_begin(struct controller *controller, struct weir_cfg *cfg)
{
	*controller = (struct controller){ 0 };
	if (cfg->shed_until_ns)
		share_clear(cfg);
}

void controller_end(struct controller *controller, struct weir_cfg *cfg)
{
	if (!controller->permille)
		return;
	controller->permille = 0;
	share_clear(cfg);
}
