/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * cookies.h - from a socket cookie to what has it: a table of fixed size
 */
#ifndef SERVE_COOKIES_H
#define SERVE_COOKIES_H

#include "base/base.h"

struct cookie_entry {
	uint64_t cookie;	/* 0: free */
	void *owner;
};

struct cookies {
	struct cookie_entry *table;	/* NULL: not open */
	uint32_t max;			/* a power of two */
};

/* cookies_open() - room for @count cookies at a time; 0 or -ENOMEM */
int cookies_open(struct cookies *cookies, const struct weir_alloc *alloc, uint32_t count);
void cookies_close(struct cookies *cookies, const struct weir_alloc *alloc);

/* cookies_put() - @cookie, which is not 0, belongs to @owner from here */
void cookies_put(struct cookies *cookies, uint64_t cookie, void *owner);

/* cookies_get() - the owner of @cookie, or NULL */
void *cookies_get(const struct cookies *cookies, uint64_t cookie);

/* cookies_del() - forget @cookie if it is known */
void cookies_del(struct cookies *cookies, uint64_t cookie);

#endif /* SERVE_COOKIES_H */
