/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * socks.h - sockets made by operations, and messages over them
 */
#ifndef TESTS_SOCKS_H
#define TESTS_SOCKS_H

#include <netinet/in.h>
#include <sys/un.h>

#include <weir/msg.h>
#include <weir/option.h>

#include "files.h"

/* *@filep is the new file on success. */
static inline int do_socket(struct weir_loop *loop, int family, int type,
			    struct weir_file *filep)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int err;

	weir_prep_socket(&op, family, type, 0, seen_done, &seen);
	err = op_do(loop, &op);
	if (!err)
		*filep = op.accepted;
	return err;
}

#define do_bind(loop, file, addr, len)		DO_OP(loop, weir_prep_bind, file, addr, len)
#define do_listen(loop, file, backlog)		DO_OP(loop, weir_prep_listen, file, backlog)
#define do_connect(loop, file, addr, len)	DO_OP(loop, weir_prep_connect_file, file, addr, len)
#define do_install(loop, file)			DO_OP(loop, weir_prep_install, file)
#define do_sendmsg(loop, file, msg)		DO_OP(loop, weir_prep_sendmsg, file, msg, 0)
#define do_recvmsg(loop, file, msg, flags)	DO_OP(loop, weir_prep_recvmsg, file, msg, flags)
#define do_set(loop, file, option, value) \
	DO_OP(loop, weir_prep_set_option, file, option, value)
#define do_get(loop, file, option, value) \
	DO_OP(loop, weir_prep_get_option, file, option, value)

/* The address that a socket is bound to; no operation tells that. */
static inline int name_of(struct weir_loop *loop, struct weir_file file,
			  struct sockaddr_in *addr)
{
	uint32_t len = sizeof(*addr);
	int fd = do_install(loop, file);
	int err;

	if (fd < 0)
		return fd;
	err = loop->sys->getsockname(loop, fd, (struct sockaddr *)addr, &len);
	loop->sys->close(loop, fd);
	return err;
}

/* A socket of @type bound to an address of its own on the loopback. */
static inline int bound_open(struct weir_loop *loop, int type, struct weir_file *filep,
			     struct sockaddr_in *addr)
{
	int err;

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	err = do_socket(loop, AF_INET, type, filep);
	if (!err)
		err = do_bind(loop, *filep, (struct sockaddr *)addr, sizeof(*addr));
	return err ? err : name_of(loop, *filep, addr);
}

/* A message of one piece, with room for a name and for control messages. */
struct letter {
	struct msghdr msg;
	struct iovec iov;
	struct sockaddr_storage name;
	uint64_t control[32];		/* aligned as they must be */
};

static inline struct msghdr *letter_in(struct letter *letter, void *buf, size_t len)
{
	letter->iov = (struct iovec){ buf, len };
	letter->msg = (struct msghdr){
		.msg_name = &letter->name, .msg_namelen = sizeof(letter->name),
		.msg_control = letter->control, .msg_controllen = sizeof(letter->control),
		.msg_iov = &letter->iov, .msg_iovlen = 1,
	};
	return &letter->msg;
}

/* @addr: NULL if the socket is connected. */
static inline struct msghdr *letter_out(struct letter *letter, const void *buf, size_t len,
					const struct sockaddr_in *addr)
{
	letter_in(letter, (void *)(uintptr_t)buf, len);
	letter->msg.msg_name = (void *)(uintptr_t)addr;
	letter->msg.msg_namelen = addr ? sizeof(*addr) : 0;
	letter->msg.msg_controllen = 0;
	return &letter->msg;
}

#endif /* TESTS_SOCKS_H */
