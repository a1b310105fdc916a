// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * log.c - lines to the caller's sink; and the one line that goes to stderr
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"

#define LINE_BYTES	512

void base_log(const struct weir_log *log, enum weir_log_level level, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list ap;

	if (!log || !log->line || level > log->level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log->line(log->ctx, level, line);
}

void base_die(const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len < 0)
		len = 0;
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len] = '\n';
	/* Nothing to do if stderr is gone: the abort follows either way. */
	if (write(STDERR_FILENO, line, (size_t)len + 1) < 0)
		abort();
	abort();
}
