// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_lend.c - sends without a copy in the in-memory kernel
 *
 * A network card reads the bytes when it sends them, and again if they were lost:
 * any time until they are acknowledged. Here they are copied at once, as on
 * loopback, and looked at once more when a seeded time has passed: who wrote to them
 * meanwhile would have sent other bytes.
 */
#include "base/base.h"
#include "io/group.h"
#include "io/lend.h"
#include "io/sim.h"

enum { COPIED_ONE_OF = 8 };	/* now and then the kernel copies */

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t sum_of(const unsigned char *bytes, uint32_t len)
{
	uint64_t sum = 0xcbf29ce484222325;

	while (len--)
		sum = (sum ^ *bytes++) * 0x100000001b3;
	return sum;
}

static uint32_t node_of(const struct sim *sim, const struct lent *lent)
{
	return sim->nodes_max - LEND_MAX + (uint32_t)(lent - sim->loop->lend.all);
}

void sim_lend(struct weir_loop *loop, struct weir_op *op, int res)
{
	struct sim *sim = sim_of(loop);
	struct lent *lent;

	if (!lend_wanted(loop, op))
		return;
	lent = lend_begin(loop, op);
	lend_sent(loop, lent, res);
	lent->bytes = op->xfer.buf;
	lent->sent = (uint32_t)res;
	lent->sum = sum_of(lent->bytes, lent->sent);
	sim_event_add(sim, node_of(sim, lent), SIM_DUE_LENT,
		      sim->now_ns + sim_choose(sim, SIM_ACK_MAX_NS));
}

void sim_lent_due(struct sim *sim, uint32_t node)
{
	struct lent *lent = &sim->loop->lend.all[node - (sim->nodes_max - LEND_MAX)];

	if (lent->lease && sum_of(lent->bytes, lent->sent) != lent->sum)
		base_die("weir: %u bytes of buffer %u of pool %u were written to after they were "
			 "sent and before they had arrived", lent->sent, lent->lease->bid,
			 lent->lease->group->id);
	lend_end(sim->loop, lent, !sim_choose(sim, COPIED_ONE_OF));
}
