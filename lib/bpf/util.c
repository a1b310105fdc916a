// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * util.c - names, reasons, log lines, and what libbpf says
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "bpf/instance.h"

#define LINE_BYTES	WEIR_BPF_WHY_BYTES

/* libbpf's print hook is global: one thread at a time may borrow it. */
static pthread_mutex_t capture_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t capture_owner;
static libbpf_print_fn_t capture_before;
static char capture_text[LINE_BYTES];
static _Thread_local char captured[LINE_BYTES];

int reason_set(const struct reason *reason, int err, const char *fmt, ...)
{
	va_list ap;

	if (!reason || !reason->text || !reason->bytes)
		return err;
	va_start(ap, fmt);
	vsnprintf(reason->text, reason->bytes, fmt, ap);
	va_end(ap);
	return err;
}

void bpf_log(const struct weir_bpf *bpf, enum weir_log_level level, const char *fmt, ...)
{
	char line[2 * LINE_BYTES];
	va_list ap;

	if (!bpf->log || !bpf->log->line || level > bpf->log->level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	bpf->log->line(bpf->log->ctx, level, line);
}

/* Other threads' libbpf calls keep the hook that was there before. */
static int capture_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	size_t len;

	if (!pthread_equal(pthread_self(), capture_owner))
		return capture_before ? capture_before(level, fmt, ap) : 0;
	if (level != LIBBPF_WARN || capture_text[0])
		return 0;	/* the first one names the program, later ones repeat */
	vsnprintf(capture_text, sizeof(capture_text), fmt, ap);
	len = strcspn(capture_text, "\n");
	capture_text[len] = '\0';
	return 0;
}

void capture_begin(void)
{
	pthread_mutex_lock(&capture_lock);
	capture_owner = pthread_self();
	capture_text[0] = '\0';
	capture_before = libbpf_set_print(capture_line);
}

const char *capture_end(void)
{
	libbpf_set_print(capture_before);
	memcpy(captured, capture_text, sizeof(captured));
	pthread_mutex_unlock(&capture_lock);
	return captured;
}

int maps_share(struct bpf_object *to, const struct bpf_object *from)
{
	const struct bpf_map *shared;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, to) {
		shared = bpf_object__find_map_by_name(from, bpf_map__name(map));
		if (!shared || bpf_map__is_internal(map))
			continue;
		err = bpf_map__reuse_fd(map, bpf_map__fd(shared));
		if (err)
			return err;
	}
	return 0;
}

bool name_valid(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t len = strlen(name);

	return len >= 1 && len < WEIR_NAME_BYTES && strspn(name, allowed) == len;
}

int path_join(char *path, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(path, WEIR_BPF_PATH_BYTES, fmt, ap);
	va_end(ap);
	return len < 0 || len >= WEIR_BPF_PATH_BYTES ? -ENAMETOOLONG : 0;
}
