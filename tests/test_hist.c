// SPDX-License-Identifier: GPL-2.0-only
/* Latency histogram: precision, percentiles, merging, text and JSON output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "json.h"
#include "kselftest_harness.h"

#define VALUES	100000

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 11;
}

/* Values of every magnitude from 1 ns to one hour. */
static uint64_t random_value(uint64_t *state)
{
	unsigned int bits = 1 + (unsigned int)(next_random(state) % 42);
	uint64_t value = next_random(state) & ((1ULL << bits) - 1);

	return value < HIST_MAX_NS ? value : HIST_MAX_NS;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

FIXTURE(hist) {
	struct hist *h;
	struct hist *other;
	struct hist *both;
};

FIXTURE_SETUP(hist)
{
	self->h = malloc(sizeof(*self->h));
	self->other = malloc(sizeof(*self->h));
	self->both = malloc(sizeof(*self->h));
	ASSERT_TRUE(self->h && self->other && self->both);
	hist_init(self->h);
	hist_init(self->other);
	hist_init(self->both);
}

FIXTURE_TEARDOWN(hist)
{
	free(self->h);
	free(self->other);
	free(self->both);
}

/* A maximum elsewhere keeps the clamp to the maximum out of the measurement. */
static double read_back_error(struct hist *h, uint64_t value)
{
	uint64_t got;

	hist_init(h);
	hist_record(h, value);
	hist_record_n(h, HIST_MAX_NS, 1);
	got = hist_percentile(h, 50);
	if (got < value)
		return -1;
	return (double)(got - value) / (double)(value ? value : 1);
}

TEST_F(hist, keeps_three_digits_at_every_magnitude)
{
	unsigned int bit;
	uint64_t value;
	int i;

	for (bit = 0; bit < 42; bit++) {
		for (i = -2; i <= 2; i++) {
			value = (1ULL << bit) + (uint64_t)(int64_t)i;
			if (value > HIST_MAX_NS)
				continue;
			ASSERT_GE(read_back_error(self->h, value), 0);
			ASSERT_LE(read_back_error(self->h, value), 0.001);
		}
	}
}

TEST_F(hist, keeps_three_digits_of_random_values)
{
	uint64_t state = 42;
	uint64_t value;
	int i;

	for (i = 0; i < 2000; i++) {
		value = random_value(&state);
		ASSERT_GE(read_back_error(self->h, value), 0);
		ASSERT_LE(read_back_error(self->h, value), 0.001);
	}
}

TEST_F(hist, is_exact_below_2048)
{
	uint64_t value;

	for (value = 0; value < 2048; value++)
		ASSERT_EQ(0, read_back_error(self->h, value));
}

TEST_F(hist, percentiles_agree_with_a_sorted_array)
{
	static const double levels[] = { 0, 0.1, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100 };
	uint64_t *values = malloc(VALUES * sizeof(*values));
	uint64_t state = 7;
	uint64_t want, got;
	size_t i, rank;

	ASSERT_NE(NULL, values);
	for (i = 0; i < VALUES; i++) {
		values[i] = random_value(&state);
		hist_record(self->h, values[i]);
	}
	qsort(values, VALUES, sizeof(*values), compare);
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		/* In thousandths of a percent, to stay in integers. */
		rank = ((size_t)(levels[i] * 1000 + 0.5) * VALUES + 99999) / 100000;
		want = values[rank ? rank - 1 : 0];
		got = hist_percentile(self->h, levels[i]);
		EXPECT_GE(got, want);
		EXPECT_LE((double)got, (double)want * 1.001);
	}
	EXPECT_EQ(values[0], hist_min(self->h));
	EXPECT_EQ(values[VALUES - 1], hist_max(self->h));
	EXPECT_EQ(VALUES, hist_count(self->h));
	free(values);
}

TEST_F(hist, mean_and_deviation_agree_with_a_direct_sum)
{
	double sum = 0, squares = 0, mean, variance, got;
	uint64_t state = 3;
	uint64_t value;
	int i;

	for (i = 0; i < VALUES; i++) {
		value = 1000000 + next_random(&state) % 9000000;
		hist_record(self->h, value);
		sum += (double)value;
		squares += (double)value * (double)value;
	}
	mean = sum / VALUES;
	variance = squares / VALUES - mean * mean;
	EXPECT_LE(hist_mean(self->h), mean * 1.001);
	EXPECT_GE(hist_mean(self->h), mean * 0.999);
	got = hist_stddev(self->h) * hist_stddev(self->h);
	EXPECT_LE(got, variance * 1.002);
	EXPECT_GE(got, variance * 0.998);
}

TEST_F(hist, merge_is_the_sum_of_both)
{
	uint64_t state = 11;
	uint64_t value;
	int i;

	for (i = 0; i < VALUES; i++) {
		value = random_value(&state);
		hist_record(i % 3 ? self->h : self->other, value);
		hist_record(self->both, value);
	}
	hist_record_n(self->other, HIST_MAX_NS + 1, 3);
	hist_record_n(self->both, HIST_MAX_NS + 1, 3);
	hist_merge(self->h, self->other);
	EXPECT_EQ(0, memcmp(self->h, self->both, sizeof(*self->h)));
}

TEST_F(hist, merge_with_an_empty_one_changes_nothing)
{
	hist_record(self->h, 5);
	hist_record(self->both, 5);
	hist_merge(self->h, self->other);
	EXPECT_EQ(0, memcmp(self->h, self->both, sizeof(*self->h)));
	hist_merge(self->other, self->h);
	EXPECT_EQ(0, memcmp(self->other, self->both, sizeof(*self->h)));
}

TEST_F(hist, record_n_equals_n_records)
{
	int i;

	for (i = 0; i < 1000; i++)
		hist_record(self->h, 123456789);
	hist_record_n(self->other, 123456789, 1000);
	hist_record_n(self->other, 1, 0);
	EXPECT_EQ(0, memcmp(self->h, self->other, sizeof(*self->h)));
}

TEST_F(hist, empty_one_answers_zero)
{
	EXPECT_EQ(0, hist_percentile(self->h, 50));
	EXPECT_EQ(0, hist_min(self->h));
	EXPECT_EQ(0, hist_max(self->h));
	EXPECT_EQ(0, hist_mean(self->h));
	EXPECT_EQ(0, hist_stddev(self->h));
}

TEST_F(hist, clamps_and_counts_what_is_above_one_hour)
{
	hist_record(self->h, UINT64_MAX);
	EXPECT_EQ(1, self->h->clamped);
	EXPECT_EQ(HIST_MAX_NS, hist_max(self->h));
	EXPECT_EQ(HIST_MAX_NS, hist_percentile(self->h, 50));
}

TEST_F(hist, percent_out_of_range_is_clamped)
{
	hist_record(self->h, 10);
	hist_record(self->h, 20);
	EXPECT_EQ(10, hist_percentile(self->h, -5));
	EXPECT_EQ(10, hist_percentile(self->h, 50));
	EXPECT_EQ(20, hist_percentile(self->h, 50.001));
	EXPECT_EQ(20, hist_percentile(self->h, 1000));
}

TEST_F(hist, prints_the_spectrum_as_hdrhistogram_does)
{
	static const char head[] =
		"       Value   Percentile   TotalCount 1/(1-Percentile)\n\n"
		"       1.000     0.000000            1         1.00\n";
	static const char tail[] =
		"       4.000     1.000000            4          inf\n"
		"#[Mean    =        2.500, StdDeviation   =        1.118]\n"
		"#[Max     =        4.000, Total count    =            4]\n"
		"#[Buckets =           32, SubBuckets     =         2048]\n";
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	uint64_t value;

	ASSERT_NE(NULL, out);
	for (value = 100; value <= 400; value += 100)
		hist_record(self->h, value);
	hist_print(self->h, out, 100);
	fclose(out);
	EXPECT_EQ(0, strncmp(text, head, strlen(head)));
	ASSERT_GT(len, strlen(tail));
	EXPECT_STREQ(tail, text + len - strlen(tail));
	free(text);
}

TEST_F(hist, spectrum_never_goes_back)
{
	double value, level, last_value = 0, last_level = -1;
	unsigned long count, last_count = 0;
	uint64_t state = 5;
	char *text = NULL, *line;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int i, lines = 0;

	ASSERT_NE(NULL, out);
	for (i = 0; i < VALUES; i++)
		hist_record(self->h, random_value(&state));
	hist_print(self->h, out, 1e6);
	fclose(out);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lf %lf %lu", &value, &level, &count) != 3)
			continue;
		ASSERT_GE(value, last_value);
		ASSERT_GT(level, last_level);
		ASSERT_GE(count, last_count);
		last_value = value;
		last_level = level;
		last_count = count;
		lines++;
	}
	EXPECT_GT(lines, 20);
	EXPECT_EQ(1.0, last_level);
	EXPECT_EQ(VALUES, last_count);
	free(text);
}

TEST_F(hist, writes_its_summary_as_json)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct json j;

	ASSERT_NE(NULL, out);
	hist_record_n(self->h, 100, 9);
	hist_record(self->h, 1100);
	json_init(&j, out, false);
	hist_json(self->h, &j, NULL);
	EXPECT_EQ(0, json_fini(&j));
	fclose(out);
	EXPECT_STREQ("{\"count\":10,\"clamped\":0,\"min_ns\":100,\"mean_ns\":200,"
		     "\"stddev_ns\":300,\"p50_ns\":100,\"p75_ns\":100,\"p90_ns\":100,"
		     "\"p99_ns\":1100,\"p99_9_ns\":1100,\"p99_99_ns\":1100,\"max_ns\":1100}\n",
		     text);
	free(text);
}

TEST_HARNESS_MAIN
