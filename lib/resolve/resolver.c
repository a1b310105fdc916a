// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * resolver.c - questions and answers
 *
 * A question has one operation, a timeout at its deadline. The answer, kept in
 * the question, cancels it; so does the user. Its end is the question's, and
 * comes from the loop whatever c-ares called from where.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "resolve/resolver.h"

static int errno_of(int status)
{
	static const struct {
		int status;
		int err;
	} table[] = {
		{ ARES_ENODATA,		-ENOENT },
		{ ARES_ENOTFOUND,	-ENOENT },
		{ ARES_ENONAME,		-ENOENT },
		{ ARES_ETIMEOUT,	-ETIMEDOUT },
		{ ARES_ECONNREFUSED,	-EREMOTEIO },	/* old ones say so of any failure */
		{ ARES_ESERVFAIL,	-EREMOTEIO },
		{ ARES_EREFUSED,	-EREMOTEIO },
		{ ARES_ENOTIMP,		-EREMOTEIO },
		{ ARES_EFORMERR,	-EBADMSG },
		{ ARES_EBADRESP,	-EBADMSG },
		{ ARES_EBADNAME,	-EINVAL },
		{ ARES_EBADSTR,		-EINVAL },
		{ ARES_EBADFAMILY,	-EINVAL },
		{ ARES_ENOMEM,		-ENOMEM },
		{ ARES_ECANCELLED,	-ECANCELED },
		{ ARES_EDESTRUCTION,	-ECANCELED },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].status == status)
			return table[i].err;
	}
	return -EIO;
}

/* c-ares and its own lists of what the whole process has open. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void library_init(void)
{
	library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int channel_open(struct weir_resolver *resolver, const struct weir_resolver_opts *opts)
{
	struct ares_options options = {
		.timeout		= opts->try_ms ? (int)opts->try_ms : WEIR_RESOLVE_TRY_MS,
		.tries			= opts->tries ? (int)opts->tries : WEIR_RESOLVE_TRIES,
		.sock_state_cb		= resolver_sock_state,
		.sock_state_cb_data	= resolver,
		.lookups		= (char *)(uintptr_t)"fb",	/* hosts file, then DNS */
	};
	int status;

	status = ares_init_options(&resolver->channel, &options,
				   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
				   ARES_OPT_LOOKUPS);
	if (status)
		return errno_of(status);
	ares_set_socket_functions(resolver->channel, &resolver_calls, NULL);
	if (opts->servers) {
		status = ares_set_servers_ports_csv(resolver->channel, opts->servers);
		if (status) {
			ares_destroy(resolver->channel);
			return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
		}
	}
	return 0;
}

int weir_resolver_open(struct weir_resolver **resolverp, struct weir_loop *loop,
		       const struct weir_resolver_opts *given)
{
	struct weir_resolver_opts opts;
	struct weir_resolver *resolver;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	if (opts.try_ms > INT32_MAX || opts.tries > INT32_MAX)
		return -EINVAL;
	if (!strcmp(weir_loop_backend(loop), "sim"))
		return -EOPNOTSUPP;
	pthread_once(&library_once, library_init);
	if (library_status)
		return errno_of(library_status);
	resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return -ENOMEM;
	resolver->loop = loop;
	list_init(&resolver->socks);
	err = channel_open(resolver, &opts);
	if (err) {
		free(resolver);
		return err;
	}
	*resolverp = resolver;
	return 0;
}

void resolver_settle(struct weir_resolver *resolver)
{
	if (resolver->closing && !resolver->busy)
		free(resolver);
}

void weir_resolver_close(struct weir_resolver *resolver)
{
	if (!resolver)
		return;
	resolver->closing = true;
	resolver->busy++;	/* what ends meanwhile must not free it */
	/* Each question is answered, each socket told of. */
	ares_destroy(resolver->channel);
	if (resolver->busy > 1)		/* else the loop may be gone */
		weir_cancel(resolver->loop, &resolver->timer);
	resolver->busy--;
	resolver_settle(resolver);
}

/* questions */

/* Copies what @info has into the question: a count. */
static int take_answer(struct weir_resolve *question, const struct ares_addrinfo *info)
{
	const struct ares_addrinfo_node *node;
	int count = 0;

	for (node = info->nodes; node && count < WEIR_RESOLVE_MAX; node = node->ai_next) {
		struct weir_addr *addr = &question->addrs[count];

		if (weir_addr_set(addr, node->ai_addr, node->ai_addrlen) ||
		    weir_addr_set_port(addr, question->port))
			continue;
		count++;
	}
	return count ? count : -ENOENT;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct weir_resolver_query *query = arg;
	struct weir_resolve *question = query->question;

	if (question) {
		/* Half an answer, of a resolver that is closed meanwhile, is none. */
		if (query->resolver->closing)
			status = ARES_EDESTRUCTION;
		question->res = status ? errno_of(status) : take_answer(question, info);
		question->lib_query = NULL;
		weir_cancel(query->resolver->loop, &question->lib_op);
	}
	if (info)
		ares_freeaddrinfo(info);
	free(query);
}

/* By an answer, by the deadline, or by a cancel, the user's or the loop's. */
static void on_end(struct weir_op *op)
{
	struct weir_resolve *question = op->ctx;

	if (question->lib_query) {
		question->lib_query->question = NULL;
		question->lib_query = NULL;
		question->res = op->res ? op->res : -ETIME;
	}
	question->done(question);
}

/* c-ares before 1.19 asks servers for an address in digits, if of any family. */
static int family_of(const struct weir_resolve *question, const char *name)
{
	struct in_addr any;

	if (!question->family && inet_pton(AF_INET, name, &any) == 1)
		return AF_INET;
	return question->family;
}

static void refuse(struct weir_resolver *resolver, struct weir_resolve *question, int err)
{
	question->res = err;
	weir_cancel(resolver->loop, &question->lib_op);
}

static void ask(struct weir_resolver *resolver, struct weir_resolve *question, const char *name)
{
	const struct ares_addrinfo_hints hints = {
		.ai_family	= family_of(question, name),
		.ai_socktype	= SOCK_STREAM,	/* each address once */
	};
	struct weir_resolver_query *query;

	if (question->family && question->family != AF_INET && question->family != AF_INET6) {
		refuse(resolver, question, -EINVAL);
		return;
	}
	query = calloc(1, sizeof(*query));
	if (!query) {
		refuse(resolver, question, -ENOMEM);
		return;
	}
	query->resolver = resolver;
	query->question = question;
	question->lib_query = query;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, query);
	resolver_pace(resolver);
}

void weir_resolve(struct weir_resolver *resolver, struct weir_resolve *question,
		  const char *name)
{
	uint64_t at = question->deadline_ns;

	if (!at)
		at = DEADLINE_NONE;
	question->lib_query = NULL;
	weir_prep_timeout(&question->lib_op, at, on_end, question);
	question->lib_op.token = question->token;
	weir_submit(resolver->loop, &question->lib_op);
	ask(resolver, question, name);
}

void weir_resolve_cancel(struct weir_resolve *question)
{
	if (question->lib_query)
		weir_cancel(question->lib_query->resolver->loop, &question->lib_op);
}
