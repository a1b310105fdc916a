/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * resolving.h - a loop, a resolver on it, and a name server that answers it
 *
 * A test file includes it, then the harness, then says RESOLVING(name).
 */
#ifndef TESTS_RESOLVING_H
#define TESTS_RESOLVING_H

#include <dirent.h>

#include <weir/resolve.h>

#include "backends.h"
#include "dns.h"

struct asked {
	struct weir_resolve q;
	unsigned int done;
};

struct resolving {
	struct weir_loop *loop;
	struct weir_resolver *resolver;
	struct dns_server dns;
	struct weir_resolver_opts opts;
	struct weir_loop_hooks hooks;
	struct asked asked;
	char servers[64];
	unsigned int fds;
};

static inline unsigned int fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static inline void asked_done(struct weir_resolve *question)
{
	struct asked *asked = question->ctx;

	asked->done++;
}

/* 0, or the -errno of what refused. */
static inline int resolving_open(struct resolving *r, const char *backend, bool rude)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = backend, .hooks = &r->hooks,
	};
	int err;

	r->fds = fds_open();
	if (dns_open(&r->dns, rude))
		return -EIO;
	err = open_variant(&r->loop, &opts);
	if (err)
		return err;
	snprintf(r->servers, sizeof(r->servers), "127.0.0.1:%u", r->dns.port);
	r->opts = (struct weir_resolver_opts){
		.sz = sizeof(r->opts), .servers = r->servers, .try_ms = 1000, .tries = 3,
	};
	return weir_resolver_open(&r->resolver, r->loop, &r->opts);
}

static inline void ask_at(struct resolving *r, struct asked *asked, const char *name, int family,
			  uint64_t deadline_ns)
{
	asked->q.done = asked_done;
	asked->q.ctx = asked;
	asked->q.family = (uint16_t)family;
	asked->q.port = 4711;
	asked->q.deadline_ns = deadline_ns;
	weir_resolve(r->resolver, &asked->q, name);
}

static inline void ask(struct resolving *r, const char *name, int family)
{
	ask_at(r, &r->asked, name, family, 0);
}

/* Is @text among the addresses of the answer? */
static inline int has_addr(const struct weir_resolve *question, const char *text)
{
	struct weir_addr want;
	int i, n = 0;

	if (weir_addr_parse(&want, text))
		return -1;
	for (i = 0; i < question->res; i++)
		n += weir_addr_equal(&want, &question->addrs[i]);
	return n;
}

/* Nothing is left over, whatever the test did. */
#define RESOLVING_IS_CLEAN(r)						\
	do {								\
		weir_resolver_close((r)->resolver);			\
		EXPECT_EQ(0, weir_loop_close((r)->loop, LIMIT_NS));	\
		dns_close(&(r)->dns);					\
		EXPECT_EQ((r)->fds, fds_open());			\
	} while (0)

#define RESOLVING(fixture, rude)					\
	FIXTURE(fixture) { struct resolving r; };			\
	KERNEL_VARIANTS(fixture);					\
	REFUSED_VARIANT(fixture);					\
	FIXTURE_SETUP(fixture)						\
	{								\
		int err = resolving_open(&self->r, variant->name, rude);	\
									\
		if (err == -ENOSYS || err == -EPERM)			\
			SKIP(_exit(KSFT_SKIP), "backend %s is refused here: %s",	\
			     variant->name, weir_strerror(err));	\
		ASSERT_EQ(0, err);					\
	}								\
	FIXTURE_TEARDOWN(fixture)					\
	{								\
		RESOLVING_IS_CLEAN(&self->r);				\
	}								\
	struct resolving_of_##fixture

#endif /* TESTS_RESOLVING_H */
