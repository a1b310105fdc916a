/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * option.h - options of sockets by name, for handles of any kind.
 *
 * They are set and read by operations: a socket may be a slot of the ring's table,
 * which no system call reaches. Each value is one int. What is not listed is set by
 * weir_prep_setsockopt(). Whether a socket blocks is the library's affair.
 */
#ifndef WEIR_OPTION_H
#define WEIR_OPTION_H

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum weir_option - options of sockets
 * @WEIR_OPTION_REUSEADDR: bind although old connections linger; inherited by
 *	accepted sockets, as the others of TCP are
 * @WEIR_OPTION_REUSEPORT: share a port with others that set it too
 * @WEIR_OPTION_KEEPALIVE: ask an idle peer whether it is there
 * @WEIR_OPTION_BROADCAST: send to broadcast addresses
 * @WEIR_OPTION_RCVBUF: bytes of the receive buffer; reads as twice that
 * @WEIR_OPTION_SNDBUF: bytes of the send buffer; reads as twice that
 * @WEIR_OPTION_INCOMING_CPU: prefer connections that this CPU received
 * @WEIR_OPTION_TIMESTAMPNS: messages bring the time, see weir_msg_time()
 * @WEIR_OPTION_PASSCRED: messages bring the sender, see weir_msg_creds()
 * @WEIR_OPTION_NODELAY: send small segments at once
 * @WEIR_OPTION_CORK: send none but full segments
 * @WEIR_OPTION_QUICKACK: acknowledge at once; the kernel takes it back by itself
 * @WEIR_OPTION_KEEPIDLE: seconds of silence before the first question
 * @WEIR_OPTION_KEEPINTVL: seconds between questions
 * @WEIR_OPTION_KEEPCNT: questions without an answer that end a connection
 * @WEIR_OPTION_USER_TIMEOUT: milliseconds without an answer to what was sent that do
 * @WEIR_OPTION_V6ONLY: an IPv6 socket without IPv4
 * @WEIR_OPTION_UDP_GRO: datagrams of one size come merged, see weir_msg_segment()
 * @WEIR_OPTION_MAX: count
 */
enum weir_option {
	WEIR_OPTION_REUSEADDR,
	WEIR_OPTION_REUSEPORT,
	WEIR_OPTION_KEEPALIVE,
	WEIR_OPTION_BROADCAST,
	WEIR_OPTION_RCVBUF,
	WEIR_OPTION_SNDBUF,
	WEIR_OPTION_INCOMING_CPU,
	WEIR_OPTION_TIMESTAMPNS,
	WEIR_OPTION_PASSCRED,
	WEIR_OPTION_NODELAY,
	WEIR_OPTION_CORK,
	WEIR_OPTION_QUICKACK,
	WEIR_OPTION_KEEPIDLE,
	WEIR_OPTION_KEEPINTVL,
	WEIR_OPTION_KEEPCNT,
	WEIR_OPTION_USER_TIMEOUT,
	WEIR_OPTION_V6ONLY,
	WEIR_OPTION_UDP_GRO,
	WEIR_OPTION_MAX,
};

/**
 * weir_prep_set_option() - prepare to set an option
 * @op: the operation
 * @file: a socket
 * @option: enum weir_option; another ends the operation with -EINVAL
 * @value: must live until the terminal event
 * @done: called then
 * @ctx: the caller's
 *
 * Ends with 0, or with -ENOPROTOOPT or another -errno of setsockopt(2).
 *
 * Context: Any thread.
 */
WEIR_API void weir_prep_set_option(struct weir_op *op, struct weir_file file,
				   unsigned int option, const int *value,
				   weir_done_fn *done, void *ctx);

/**
 * weir_prep_get_option() - prepare to read an option
 * @op: the operation
 * @file: a socket
 * @option: enum weir_option; another ends the operation with -EINVAL
 * @value: where it goes; must live until the terminal event
 * @done: called then
 * @ctx: the caller's
 *
 * Ends with the length of the value, or -errno of getsockopt(2).
 *
 * Context: Any thread.
 */
WEIR_API void weir_prep_get_option(struct weir_op *op, struct weir_file file,
				   unsigned int option, int *value,
				   weir_done_fn *done, void *ctx);

/**
 * weir_option_name() - name of an option
 * @option: enum weir_option
 *
 * Context: Any thread.
 * Return: a static string such as "nodelay"; "?" for what is none.
 */
WEIR_API const char *weir_option_name(unsigned int option);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_OPTION_H */
