/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_STEER_CMD_H
#define WEIR_TOOLS_STEER_CMD_H

#include <stdbool.h>

#include "common.h"

/* What one `weir steer VERB …` was called with. */
struct steer_call {
	const struct steer_verb *verb;
	const char *instance;	/* the first operand, a valid name */
	char **args;		/* those after it */
	int count;
	bool json, pretty;
};

/*
 * One verb of `weir steer`. @run gets at least @least and at most @most operands
 * after the instance and returns an exit status.
 */
struct steer_verb {
	const char *name;
	const char *operands;	/* after the verb, for messages */
	int least, most;
	int (*run)(const struct steer_call *call);
};

/* steer_usage() - say what is wrong with the command line. Return: 2. */
__attribute__((format(printf, 2, 3)))
int steer_usage(const struct steer_call *call, const char *fmt, ...);

/* steer_failed() - say why an instance could not be changed or read. Return: 1. */
int steer_failed(const struct steer_call *call, int err);

#endif /* WEIR_TOOLS_STEER_CMD_H */
