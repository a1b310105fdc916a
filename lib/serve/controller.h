/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * controller.h - what a look at a worker tells, and the law of shedding
 *
 * No clock and no thread: the time is an argument.
 */
#ifndef SERVE_CONTROLLER_H
#define SERVE_CONTROLLER_H

#include <weir/steering.h>

#include "base/base.h"

struct sight {
	uint64_t age_ns;	/* without progress; 0: idle, or it progresses */
	uint32_t wait_us;	/* what a completion waits for its handler */
	uint32_t least_us;	/* the least of a window: what makes it slow */
	bool serving;		/* it takes connections */
	bool waited_for;	/* its queue is not empty */
	bool idle;		/* parked, and nothing waits for it */
	bool hung;		/* for longer than stale_ns */
	bool slow;
	bool drained;		/* it gets nothing new while another serves; set by who looks */
};

struct controller {
	uint64_t window_ns;	/* when the window began; 0: not yet */
	uint32_t permille;	/* that it has set */
};

/* row_rested() - parked for so long that what its row says of its delay is no more */
bool row_rested(const struct weir_worker_row *row, const struct weir_cfg *cfg, uint64_t now_ns);

/*
 * sight_judge() - fill in what follows from the row's state, age and queue
 *
 * @waiting: connections in its queue; @since_ns: since when without progress
 */
void sight_judge(struct sight *sight, const struct weir_worker_row *row,
		 const struct weir_cfg *cfg, uint64_t now_ns, int waiting, uint64_t since_ns);

/* controller_begin() - take back what one before us, who died, has left */
void controller_begin(struct controller *controller, struct weir_cfg *cfg);

/* controller_tick() - true when a window has ended and its share is above 0 */
bool controller_tick(struct controller *controller, struct weir_cfg *cfg,
		     const struct sight *sights, uint32_t workers, uint64_t now_ns);

/* controller_end() - nobody is refused for our sake any more */
void controller_end(struct controller *controller, struct weir_cfg *cfg);

#endif /* SERVE_CONTROLLER_H */
