/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_SERVE_H
#define WEIR_TOOLS_SERVE_H

#include <weir/serve.h>

#include "steer.h"

/*
 * serve_sum() - cpu time, system calls and all other counters of a service
 * whose workers have ended or still run.
 */
void serve_sum(const struct weir_service *service, struct weir_service_stats *stats);

/* serve_line() - one line: where it listens, backend, steering, rung, why. */
void serve_line(const struct weir_service *service, const struct steer *steer,
		unsigned int workers, const char *instance);

#endif /* WEIR_TOOLS_SERVE_H */
