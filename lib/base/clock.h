/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* clock.h - the clock of all that is not a loop's, which may have one of its own */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <time.h>

#include "base/base.h"

/* CLOCK_MONOTONIC; an inline, because each library needs it and none exports it */
static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

#endif /* BASE_CLOCK_H */
