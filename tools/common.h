/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_COMMON_H
#define WEIR_TOOLS_COMMON_H

/*
 * What every command of weir needs: options from a table, which is also their
 * help; messages; tables for people and JSON for programs.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <weir/types.h>

#include "json.h"

#define NS_PER_US	1000ULL
#define NS_PER_MS	1000000ULL
#define NS_PER_SEC	1000000000ULL

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* What the program ends with. */
enum weir_exit {
	WEIR_EXIT_OK = 0,
	WEIR_EXIT_FAILED = 1,
	WEIR_EXIT_USAGE = 2,
};

/* What an option's value is, and the type of the field it goes to. */
enum opt_type {
	OPT_FLAG,	/* none; bool */
	OPT_NOT,	/* none; bool, set to false */
	OPT_COUNT,	/* number, k M G are powers of 1000; uint64_t */
	OPT_BYTES,	/* number, k M G are powers of 1024; uint64_t */
	OPT_TIME,	/* 10s 500ms 2m; uint64_t of nanoseconds */
	OPT_TEXT,	/* const char * */
	OPT_CHOICE,	/* one of @value's words, between bars; unsigned int */
};

struct opt {
	const char *name;	/* without the dashes */
	char letter;		/* short form, or 0 */
	unsigned char type;	/* enum opt_type */
	bool optional;		/* --name alone is allowed and leaves the field... */
	size_t offset;		/* of the field in the command's struct */
	const char *value;	/* placeholder in the help, or the choices */
	uint64_t min, max;	/* of a number */
	uint64_t bare;		/* ...with this, when @optional */
	const char *help;
};

/* Every command ends its table with this row. */
#define OPT_END		{ .name = NULL }

struct command {
	const char *name;
	const char *operands;	/* in the usage line, or "" */
	const char *summary;	/* one line */
	const char *about;	/* the paragraph under the usage line, or NULL */
	const char *examples;	/* lines, or NULL */
	const struct opt *opts;
	int (*run)(const struct command *cmd, int argc, char **argv);
};

extern const struct command cmd_serve, cmd_hold, cmd_bench, cmd_show, cmd_steer, cmd_lat,
	cmd_clean, cmd_doctor, cmd_demo, cmd_version;

/* Results of opts_parse() that are not a count of operands. */
enum opts_result {
	OPTS_HELP = -1,		/* help was printed: done */
	OPTS_BAD = -2,		/* a message was printed: usage error */
};

/*
 * opts_parse() - fill @fields from the command line after the command's name
 *
 * Options and operands may be mixed; "--" ends the options. Operands end up at
 * the start of @argv.
 *
 * Return: the number of operands, or enum opts_result.
 */
int opts_parse(const struct command *cmd, int argc, char **argv, void *fields);

/* opts_exit() - exit status for a negative result of opts_parse(). */
int opts_exit(int result);

/* usage_error() - say what is wrong with the command line. Return: 2. */
__attribute__((format(printf, 2, 3)))
int usage_error(const struct command *cmd, const char *fmt, ...);

/* fail() - say on stderr what went wrong. Return: 1. */
__attribute__((format(printf, 1, 2)))
int fail(const char *fmt, ...);

/* help_print() - usage, options and examples of a command. */
void help_print(const struct command *cmd, FILE *out);

/*
 * parse_number(), parse_time() - text to value; @unit is 1000 or 1024.
 * Return: 0, or -EINVAL.
 */
int parse_number(const char *text, unsigned int unit, uint64_t *value);
int parse_time(const char *text, uint64_t *ns);

/*
 * table - aligned columns for people; the widths come from the rows.
 *
 * table_row() takes one text for each column. Columns whose head starts with
 * '<' are aligned left, without it.
 */
struct table;

struct table *table_open(const char *const *heads);
__attribute__((format(printf, 2, 3)))
void table_cell(struct table *table, const char *fmt, ...);
/* table_close() - print to @out, unless it is NULL, and free; a NULL table is allowed. */
void table_close(struct table *table, FILE *out);

/* now_ns() - CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* sleep_ns() - sleep for that long; false when a signal cut it short. */
bool sleep_ns(uint64_t ns);

/* cpu_allowed() - may a thread of ours run there? */
bool cpu_allowed(int cpu);
#define CPU_NOT_ALLOWED	"names a processor that is not allowed here"

/* stderr_log() - sink for the library's log on stderr, up to @level. */
struct weir_log stderr_log(enum weir_log_level level);

/*
 * interrupted - set by SIGINT, SIGTERM and SIGHUP after catch_signals(); the
 * count of them. The second one ends the process if the first did not.
 */
extern int interrupted;
void catch_signals(void);

/*
 * signal_echoes() - is this signal the last one once more? timeout(1), for one,
 * sends each to the process and then to its group. For signal handlers that
 * block each other; within a tenth of a second it is the same.
 */
bool signal_echoes(void);

#endif /* WEIR_TOOLS_COMMON_H */
