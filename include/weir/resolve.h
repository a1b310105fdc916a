/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * resolve.h - names to addresses without blocking, by c-ares on a loop
 *
 * A resolver belongs to one loop; c-ares's sockets and timers are operations of
 * it. The hosts file is asked first, then the name servers, as c-ares reads them
 * from the system; nsswitch.conf's other sources are not asked: for those call
 * weir_addr_resolve() from weir_prep_work(). Both c-ares and the resolver
 * allocate per question, by malloc(3): this is no part of the I/O path.
 *
 * Functions of libweir-resolve.
 */
#ifndef WEIR_RESOLVE_H
#define WEIR_RESOLVE_H

#include <weir/addr.h>
#include <weir/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_resolver;
struct weir_resolver_query;

/**
 * enum weir_resolve_limits - limits and defaults
 * @WEIR_RESOLVE_MAX: addresses one answer has at most; more are dropped
 * @WEIR_RESOLVE_TRY_MS: how long a try waits for a server, if not said
 * @WEIR_RESOLVE_TRIES: tries of each server, if not said
 */
enum weir_resolve_limits {
	WEIR_RESOLVE_MAX	= 16,
	WEIR_RESOLVE_TRY_MS	= 2000,
	WEIR_RESOLVE_TRIES	= 3,
};

/**
 * struct weir_resolver_opts - how to resolve; zero and NULL mean the default
 * @sz: sizeof(struct weir_resolver_opts)
 * @servers: "192.0.2.53,[2001:db8::53]:5353": whom to ask; default: the system's
 * @try_ms: how long a try waits for a server, in milliseconds
 * @tries: tries of each server
 */
struct weir_resolver_opts {
	size_t sz;
	const char *servers;
	uint32_t try_ms;
	uint32_t tries;
};

/**
 * struct weir_resolve - a question in the caller's memory
 * @done: called once, with the answer
 * @ctx: the caller's
 * @family: AF_INET, AF_INET6, or 0 for both
 * @port: put into each address, in host order
 * @deadline_ns: when to give up, on the clock of weir_loop_now(); 0 is never
 * @token: it is under this one, see weir/token.h: ends with -ECANCELED when that is
 *	cancelled, and with -ETIME at its deadline; NULL for none
 * @res: how many addresses there are; or -ENOENT for a name that does not exist
 *	or has no address, -ETIMEDOUT if no server answers, -EREMOTEIO if they
 *	fail, refuse or are not there, -EBADMSG if one answers nonsense, -EINVAL for
 *	what is no name or no such family, -ETIME after the deadline, -ECANCELED,
 *	-ENOMEM, -EIO
 * @addrs: the addresses, best first: RFC 6724, section 6
 *
 * Zeroed once, so that what is not filled in means its default. The memory is the
 * library's from weir_resolve() until done(), which may free it. Fields named lib_*
 * are the library's always.
 */
struct weir_resolve {
	void (*done)(struct weir_resolve *question);
	void *ctx;
	uint64_t deadline_ns;
	struct weir_token *token;
	uint16_t family;
	uint16_t port;
	int32_t res;
	struct weir_addr addrs[WEIR_RESOLVE_MAX];

	/* private: the library's */
	struct weir_resolver_query *lib_query;
	struct weir_op lib_op;
};

/**
 * weir_resolver_open() - make a resolver
 * @resolverp: where it goes
 * @loop: its loop; not of the sim backend, which has no name servers
 * @opts: options, or NULL
 *
 * Reads the system's configuration, blocking. c-ares also heeds the environment
 * variables LOCALDOMAIN and RES_OPTIONS, as resolver(3) does.
 *
 * Context: Owner thread.
 * Return: 0; -EINVAL for servers that are none; -E2BIG for option bytes this
 * version does not know; -EOPNOTSUPP on sim; -ENOMEM; -EIO.
 */
WEIR_API WEIR_MUST_CHECK
int weir_resolver_open(struct weir_resolver **resolverp, struct weir_loop *loop,
		       const struct weir_resolver_opts *opts);

/**
 * weir_resolver_close() - end a resolver
 * @resolver: the resolver, or NULL; nothing may be asked of it any more
 *
 * Its questions end with -ECANCELED. Its memory is freed when the loop has told
 * it of its last operation, at the latest by weir_loop_close(); or at once, if the
 * loop was closed before.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_resolver_close(struct weir_resolver *resolver);

/**
 * weir_resolve() - ask for the addresses of a name
 * @resolver: the resolver
 * @question: zeroed once, the fields before @res filled in; not under way
 * @name: host name, or a numeric address; copied
 *
 * Never fails and never calls back: done() tells, from the loop.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_resolve(struct weir_resolver *resolver, struct weir_resolve *question,
			   const char *name);

/**
 * weir_resolve_cancel() - ask for a question to end now
 * @question: a question; one that is not under way is left alone
 *
 * Tells nothing: done() does, with -ECANCELED, or with the answer if that was
 * quicker.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_resolve_cancel(struct weir_resolve *question);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_RESOLVE_H */
