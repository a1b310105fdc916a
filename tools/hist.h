/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_HIST_H
#define WEIR_TOOLS_HIST_H

/*
 * Log-linear histogram of latencies in nanoseconds: three significant decimal
 * digits from 1 ns to one hour, in a fixed 264 KiB. The bucket layout is that
 * of HdrHistogram with 2048 sub-buckets (G. Tene, hdrhistogram.org), so that
 * its text output can be compared with that of other tools, e.g. wrk2.
 *
 * A bucket of a value v >= 2048 is at most v/1024 wide: every value read back
 * is at most 0.098 % above the one that was recorded, and never below it.
 *
 * No locks: one writer. Per-thread histograms are merged afterwards.
 */

#include <stdint.h>
#include <stdio.h>

struct json;

#define HIST_MAX_NS	3600000000000ULL	/* one hour; above is clamped */
#define HIST_SUB_BITS	11
#define HIST_SUB	(1U << HIST_SUB_BITS)
#define HIST_HALF	(HIST_SUB / 2)
/* HIST_MAX_NS has 42 bits: 31 doublings above the first HIST_SUB values. */
#define HIST_BUCKETS	32
#define HIST_LEN	((HIST_BUCKETS + 1) * HIST_HALF)

struct hist {
	uint64_t total;		/* values recorded */
	uint64_t clamped;	/* of these: above HIST_MAX_NS */
	uint64_t min_ns;	/* exact; UINT64_MAX while empty */
	uint64_t max_ns;	/* exact, after clamping */
	uint64_t count[HIST_LEN];
};

/* hist_init() - empty a histogram; needed before the first use. */
void hist_init(struct hist *h);

/* hist_record() - add one value; a value above one hour counts as one hour. */
void hist_record(struct hist *h, uint64_t ns);

/* hist_record_n() - add the same value @n times. */
void hist_record_n(struct hist *h, uint64_t ns, uint64_t n);

/* hist_merge() - add all of @from to @into. */
void hist_merge(struct hist *into, const struct hist *from);

/*
 * hist_percentile() - the smallest recorded value (to bucket precision, rounded
 * up, never above the maximum) that at least @percent of all values do not
 * exceed. 0 for an empty histogram; @percent is clamped to 0..100.
 */
uint64_t hist_percentile(const struct hist *h, double percent);

uint64_t hist_count(const struct hist *h);
uint64_t hist_min(const struct hist *h);	/* 0 when empty */
uint64_t hist_max(const struct hist *h);	/* 0 when empty */
double hist_mean(const struct hist *h);		/* to bucket precision */
double hist_stddev(const struct hist *h);	/* of the population */

/*
 * hist_print() - the percentile spectrum in HdrHistogram's text format, values
 * divided by @unit_ns (1e6 prints milliseconds, as wrk2 does).
 */
void hist_print(const struct hist *h, FILE *out, double unit_ns);

/*
 * hist_json() - a member @name with count, min, mean, stddev, max and the usual
 * percentiles, in nanoseconds.
 */
void hist_json(const struct hist *h, struct json *j, const char *name);

#endif /* WEIR_TOOLS_HIST_H */
