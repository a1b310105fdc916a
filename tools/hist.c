// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Log-linear latency histogram. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "hist.h"
#include "json.h"

/* HdrHistogram's default: lines per halving of the distance to 100 %. */
#define TICKS_PER_HALF	5

_Static_assert(HIST_MAX_NS >> (HIST_BUCKETS - 1) < HIST_SUB,
	       "the last bucket holds the largest value");

static unsigned int bucket_shift(uint64_t ns)
{
	/* OR makes the first HIST_SUB values share shift 0, width 1. */
	return 63 - __builtin_clzll(ns | (HIST_SUB - 1)) - (HIST_SUB_BITS - 1);
}

static uint32_t bucket_of(uint64_t ns)
{
	unsigned int shift = bucket_shift(ns);

	return shift * HIST_HALF + (uint32_t)(ns >> shift);
}

static unsigned int index_shift(uint32_t idx)
{
	return idx < HIST_SUB ? 0 : idx / HIST_HALF - 1;
}

static uint64_t bucket_low(uint32_t idx)
{
	unsigned int shift = index_shift(idx);

	return (uint64_t)(idx - shift * HIST_HALF) << shift;
}

static uint64_t bucket_high(uint32_t idx)
{
	return bucket_low(idx) + (1ULL << index_shift(idx)) - 1;
}

static double bucket_mid(uint32_t idx)
{
	return ((double)bucket_low(idx) + (double)bucket_high(idx)) / 2;
}

static uint64_t clamp_high(const struct hist *h, uint32_t idx)
{
	uint64_t high = bucket_high(idx);

	return high < h->max_ns ? high : h->max_ns;
}

void hist_init(struct hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min_ns = UINT64_MAX;
}

void hist_record_n(struct hist *h, uint64_t ns, uint64_t n)
{
	if (!n)
		return;
	if (ns > HIST_MAX_NS) {
		ns = HIST_MAX_NS;
		h->clamped += n;
	}
	if (ns < h->min_ns)
		h->min_ns = ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->count[bucket_of(ns)] += n;
	h->total += n;
}

void hist_record(struct hist *h, uint64_t ns)
{
	hist_record_n(h, ns, 1);
}

void hist_merge(struct hist *into, const struct hist *from)
{
	uint32_t i;

	for (i = 0; i < HIST_LEN; i++)
		into->count[i] += from->count[i];
	into->total += from->total;
	into->clamped += from->clamped;
	if (from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
}

/* How many values must lie at or below the answer; at least one. */
static uint64_t rank_of(uint64_t total, double percent)
{
	double rank;
	uint64_t whole;

	if (!(percent > 0))
		return 1;
	if (percent >= 100)
		return total;
	rank = percent / 100 * (double)total;
	/* Forgive the rounding of 99.9 / 100 * 1000 = 999.0000000000001. */
	rank -= rank / 1e12;
	whole = (uint64_t)rank;
	if ((double)whole < rank)
		whole++;
	return whole ? whole : 1;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
	uint64_t rank, sum = 0;
	uint32_t i;

	if (!h->total)
		return 0;
	rank = rank_of(h->total, percent);
	for (i = 0; i < HIST_LEN; i++) {
		sum += h->count[i];
		if (sum >= rank)
			return clamp_high(h, i);
	}
	return h->max_ns;
}

uint64_t hist_count(const struct hist *h)
{
	return h->total;
}

uint64_t hist_min(const struct hist *h)
{
	return h->total ? h->min_ns : 0;
}

uint64_t hist_max(const struct hist *h)
{
	return h->max_ns;
}

double hist_mean(const struct hist *h)
{
	double sum = 0;
	uint32_t i;

	if (!h->total)
		return 0;
	for (i = 0; i < HIST_LEN; i++)
		if (h->count[i])
			sum += bucket_mid(i) * (double)h->count[i];
	return sum / (double)h->total;
}

/* Newton's method: spares every user of the histogram a link against libm. */
static double square_root(double x)
{
	double root = x > 1 ? x : 1;
	double next;

	if (x <= 0)
		return 0;
	for (;;) {
		next = (root + x / root) / 2;
		if (next >= root)
			return root;
		root = next;
	}
}

double hist_stddev(const struct hist *h)
{
	double mean = hist_mean(h);
	double sum = 0, d;
	uint32_t i;

	if (!h->total)
		return 0;
	for (i = 0; i < HIST_LEN; i++) {
		if (!h->count[i])
			continue;
		d = bucket_mid(i) - mean;
		sum += d * d * (double)h->count[i];
	}
	return square_root(sum / (double)h->total);
}

/* The step doubles in fineness each time the distance to 100 % halves. */
static double next_level(double level)
{
	double halves = 2;

	while (100 / (100 - level) >= halves)
		halves *= 2;
	return level + 100 / (TICKS_PER_HALF * halves);
}

static void print_line(const struct hist *h, FILE *out, double unit_ns, uint32_t idx, double level,
		       uint64_t sum)
{
	double value = (double)clamp_high(h, idx) / unit_ns;

	if (level < 100)
		fprintf(out, "%12.3f %12.6f %12" PRIu64 " %12.2f\n", value, level / 100, sum,
			100 / (100 - level));
	else
		fprintf(out, "%12.3f %12.6f %12" PRIu64 " %12s\n", value, 1.0, sum, "inf");
}

/* Every level that bucket @idx reaches, given @sum values up to its end. */
static double print_bucket(const struct hist *h, FILE *out, double unit_ns, uint32_t idx,
			   uint64_t sum, double level)
{
	double reached = 100 * ((double)sum / (double)h->total);

	while (level <= reached && level < 100) {
		print_line(h, out, unit_ns, idx, level, sum);
		if (sum == h->total)
			break;
		level = next_level(level);
	}
	return level;
}

void hist_print(const struct hist *h, FILE *out, double unit_ns)
{
	double level = 0;
	uint64_t sum = 0;
	uint32_t i;

	fprintf(out, "%12s %12s %12s %12s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	for (i = 0; i < HIST_LEN && sum < h->total; i++) {
		if (!h->count[i])
			continue;
		sum += h->count[i];
		level = print_bucket(h, out, unit_ns, i, sum, level);
		if (sum == h->total)
			print_line(h, out, unit_ns, i, 100, sum);
	}
	fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", hist_mean(h) / unit_ns,
		hist_stddev(h) / unit_ns);
	fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
		(double)h->max_ns / unit_ns, h->total);
	fprintf(out, "#[Buckets = %12u, SubBuckets     = %12u]\n", HIST_BUCKETS, HIST_SUB);
}

void hist_json(const struct hist *h, struct json *j, const char *name)
{
	static const struct {
		const char *name;
		double percent;
	} levels[] = {
		{ "p50_ns", 50 },	{ "p75_ns", 75 },	{ "p90_ns", 90 },
		{ "p99_ns", 99 },	{ "p99_9_ns", 99.9 },	{ "p99_99_ns", 99.99 },
		{ }
	}, *level;

	json_object(j, name);
	json_u64(j, "count", h->total);
	json_u64(j, "clamped", h->clamped);
	json_u64(j, "min_ns", hist_min(h));
	json_double(j, "mean_ns", hist_mean(h));
	json_double(j, "stddev_ns", hist_stddev(h));
	for (level = levels; level->name; level++)
		json_u64(j, level->name, hist_percentile(h, level->percent));
	json_u64(j, "max_ns", h->max_ns);
	json_end_object(j);
}
