// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* demo_series.c - the same clients again and again, each time of another service */
#include <errno.h>
#include <stdlib.h>

#include "common.h"
#include "demo.h"

int demo_clients(struct demo *demo, const struct load_opts *opts, struct load_result *load)
{
	int err = load_run(opts, load);

	if (err)
		return demo_failed(demo, "the clients do not get through: %s", weir_strerror(err));
	return 0;
}

double demo_ms(const struct load_result *load, double percent)
{
	return (double)hist_percentile(&load->latency, percent) / 1e6;
}

static void add_json(struct json *j, const struct demo_series *series, const struct demo_run *run)
{
	unsigned int i;

	if (!j)
		return;
	json_array(j, "runs");
	for (i = 0; i < series->count; i++) {
		json_object(j, NULL);
		series->json(j, i, &run[i]);
		json_end_object(j);
	}
	json_end_array(j);
}

static int run_all(struct demo *demo, const struct demo_series *series, struct demo_run *run)
{
	const char *off = NULL;
	unsigned int i;
	int failed = 0;

	for (i = 0; i < series->count && !failed && !off && !interrupted; i++)
		failed = series->run(demo, i, &run[i], &off);
	if (off) {
		fprintf(demo->out, "  %s: off (%s)\n", series->what, off);
		demo_sum_up(demo, "%s: off (%.120s)", series->what, off);
	} else if (!failed && !interrupted) {
		series->print(demo, run);
		add_json(demo->json, series, run);
		failed = series->judge(demo, run);
	}
	if (demo->json)
		json_string(demo->json, "off", off);
	return failed;
}

int demo_series(struct demo *demo, const struct demo_series *series)
{
	struct demo_run *run = calloc(series->count, sizeof(*run));
	int failed;

	if (!run)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	failed = run_all(demo, series, run);
	free(run);
	return failed;
}
