// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* common.c - messages, tables, time, signals */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"

int fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("weir: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return WEIR_EXIT_FAILED;
}

bool cpu_allowed(int cpu)
{
	cpu_set_t allowed;

	/* More processors than the set has: let the kernel judge. */
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return true;
	return CPU_ISSET((size_t)cpu, &allowed);
}

/* table */

#define CELL_BYTES	96
#define COLUMNS_MAX	32

struct table {
	const char *const *heads;
	size_t columns;
	size_t cells;
	size_t room;
	char (*text)[CELL_BYTES];
};

struct table *table_open(const char *const *heads)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->heads = heads;
	while (heads[table->columns] && table->columns < COLUMNS_MAX)
		table->columns++;
	return table;
}

void table_cell(struct table *table, const char *fmt, ...)
{
	size_t room;
	va_list args;
	void *more;

	if (!table)
		return;
	if (table->cells == table->room) {
		room = table->room ? 2 * table->room : 16 * table->columns;
		more = realloc(table->text, room * sizeof(*table->text));
		if (!more)
			return;		/* the table ends here */
		table->text = more;
		table->room = room;
	}
	va_start(args, fmt);
	vsnprintf(table->text[table->cells++], CELL_BYTES, fmt, args);
	va_end(args);
}

static void print_cell(const struct table *table, size_t column, const char *text, int width,
		       FILE *out)
{
	bool left = table->heads[column][0] == '<';
	bool last = column + 1 == table->columns;

	if (left)
		fprintf(out, "%-*s", last ? 0 : width, text);
	else
		fprintf(out, "%*s", width, text);
	fputs(last ? "\n" : "  ", out);
}

static int column_width(const struct table *table, size_t column)
{
	const char *head = table->heads[column];
	size_t width = strlen(head + (head[0] == '<'));
	size_t i;

	for (i = column; i < table->cells; i += table->columns)
		if (strlen(table->text[i]) > width)
			width = strlen(table->text[i]);
	return (int)width;
}

void table_close(struct table *table, FILE *out)
{
	const char *head;
	size_t i, column;
	int width[COLUMNS_MAX];

	if (!table)
		return;
	for (i = 0; i < table->columns && out; i++)
		width[i] = column_width(table, i);
	for (i = 0; i < table->columns && out; i++) {
		head = table->heads[i];
		print_cell(table, i, head + (head[0] == '<'), width[i], out);
	}
	for (i = 0; i < table->cells && out; i++) {
		column = i % table->columns;
		print_cell(table, column, table->text[i], width[column], out);
	}
	free(table->text);
	free(table);
}

/* time */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

bool sleep_ns(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NS_PER_SEC),
		.tv_nsec = (long)(ns % NS_PER_SEC),
	};

	return nanosleep(&ts, NULL) == 0;
}

/* log */

static void log_line(void *ctx, enum weir_log_level level, const char *text)
{
	static const char *const names[] = {
		[WEIR_LOG_ERROR]	= "error",
		[WEIR_LOG_WARN]		= "warning",
		[WEIR_LOG_INFO]		= "info",
		[WEIR_LOG_DEBUG]	= "debug",
	};

	fprintf(stderr, "weir: %s: %s\n", level < ARRAY_SIZE(names) ? names[level] : "?", text);
}

struct weir_log stderr_log(enum weir_log_level level)
{
	return (struct weir_log){ .line = log_line, .level = level };
}

/* signals */

int interrupted;

bool signal_echoes(void)
{
	static uint64_t last_ns;
	uint64_t now = now_ns();
	bool echoes = last_ns && now - last_ns < 100 * NS_PER_MS;

	last_ns = now;
	return echoes;
}

static void on_signal(int sig)
{
	if (signal_echoes())
		return;
	if (__atomic_fetch_add(&interrupted, 1, __ATOMIC_RELAXED)) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
}

void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };
	size_t i;

	interrupted = 0;
	sigemptyset(&action.sa_mask);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&action.sa_mask, signals[i]);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}
