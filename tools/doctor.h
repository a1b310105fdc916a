/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_DOCTOR_H
#define WEIR_TOOLS_DOCTOR_H

#include <stddef.h>

#define DOCTOR_WHY	256	/* bytes of a probe's detail */

/* What a probe found. */
enum doctor_state {
	DOCTOR_NO,
	DOCTOR_OK,
	DOCTOR_SKIP,		/* not tried: something before it is missing */
};

enum doctor_level {
	DOCTOR_REQUIRED,	/* the command does not work without */
	DOCTOR_OPTIONAL,	/* costs a rung of the ladder */
	DOCTOR_PERF,		/* costs speed or size */
};

/* Bits of doctor_probe.needed: which command the probe is about. */
#define DOCTOR_SERVE	(1U << 0)
#define DOCTOR_SHOW	(1U << 1)

struct doctor_probe {
	const char *id;
	const char *group;
	unsigned int needed;
	enum doctor_level level;
	/* Tries it; @why gets what was found, at most DOCTOR_WHY bytes. */
	enum doctor_state (*run)(char *why);
	const char *gives;
	const char *fix;
};

/* A table that ends with a row without id. */
extern const struct doctor_probe doctor_machine[];

/* doctor_refusal() - why io_uring_setup(2) may have said @err, for @why. */
void doctor_refusal(int err, char *why);

#endif /* WEIR_TOOLS_DOCTOR_H */
