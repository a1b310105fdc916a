// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cookies.c - open addressing with linear probing, at most half full
 *
 * Nothing is marked as deleted: what stands behind a gap moves up instead, so
 * that a search ends at the first free entry however long the table was in use.
 */
#include <errno.h>

#include "serve/cookies.h"

int cookies_open(struct cookies *cookies, const struct weir_alloc *alloc, uint32_t count)
{
	cookies->max = round_up_pow2(count * 2);
	cookies->table = mem_get(alloc, cookies->max, sizeof(*cookies->table),
				 _Alignof(struct cookie_entry));
	return cookies->table ? 0 : -ENOMEM;
}

void cookies_close(struct cookies *cookies, const struct weir_alloc *alloc)
{
	mem_put(alloc, cookies->table, cookies->max, sizeof(*cookies->table));
	cookies->table = NULL;
}

/* Where @cookie is searched first. Cookies count up: 2^64 over the golden ratio. */
static uint32_t home(const struct cookies *cookies, uint64_t cookie)
{
	return (uint32_t)(cookie * 0x9e3779b97f4a7c15ULL >> 32) & (cookies->max - 1);
}

static struct cookie_entry *find(const struct cookies *cookies, uint64_t cookie)
{
	uint32_t i = home(cookies, cookie);

	while (cookies->table[i].cookie && cookies->table[i].cookie != cookie)
		i = (i + 1) & (cookies->max - 1);
	return &cookies->table[i];
}

void cookies_put(struct cookies *cookies, uint64_t cookie, void *owner)
{
	*find(cookies, cookie) = (struct cookie_entry){ .cookie = cookie, .owner = owner };
}

void *cookies_get(const struct cookies *cookies, uint64_t cookie)
{
	return cookie ? find(cookies, cookie)->owner : NULL;
}

void cookies_del(struct cookies *cookies, uint64_t cookie)
{
	struct cookie_entry *table = cookies->table;
	uint32_t mask = cookies->max - 1;
	uint32_t gap = (uint32_t)(find(cookies, cookie) - table);
	uint32_t i = gap;

	if (!table[gap].cookie)
		return;
	for (;;) {
		i = (i + 1) & mask;
		if (!table[i].cookie)
			break;
		/* Only what is searched from the gap or before it may move there. */
		if (((i - home(cookies, table[i].cookie)) & mask) >= ((i - gap) & mask)) {
			table[gap] = table[i];
			gap = i;
		}
	}
	table[gap] = (struct cookie_entry){ 0 };
}
