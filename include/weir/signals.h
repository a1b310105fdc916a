/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * signals.h - signals as events of a loop
 *
 * A signal is read where it is blocked, so it must be blocked in every thread of
 * the process: open this before threads are made, which inherit the mask. With
 * several loops, a signal for the process goes to one of those that ask for it, no
 * matter which; ask on one of them and tell the others by weir_post().
 */
#ifndef WEIR_SIGNALS_H
#define WEIR_SIGNALS_H

#include <signal.h>
#include <sys/select.h>	/* sigset_t in strict C too, where <signal.h> has none */

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct signalfd_siginfo;
struct weir_signals;

/**
 * typedef weir_signals_fn - a signal has come
 * @signals: who asked for it
 * @info: which, from whom and why; see signalfd(2). NULL: that is over, closed or
 *	failed with the -errno in @signals->res, and the memory is the caller's again
 *
 * Context: Owner thread, from weir_loop_run() and its kin.
 */
typedef void weir_signals_fn(struct weir_signals *signals,
			     const struct signalfd_siginfo *info);

/**
 * struct weir_signals - a set of signals of one loop, in the caller's memory
 * @fn: called for each signal
 * @ctx: the caller's
 * @res: with the last call: 0 when closed, or what failed
 */
struct weir_signals {
	weir_signals_fn *fn;
	void *ctx;
	int32_t res;
	/* private: the library's */
	uint32_t lib_closing;
	struct weir_loop *lib_loop;
	struct weir_file lib_file;
	struct weir_op lib_op;
	struct weir_op lib_close;
	uint64_t lib_info[16];
};

/**
 * weir_signals_open() - have signals told as events
 * @signals: the caller's memory, until @fn is called with NULL
 * @loop: the loop
 * @set: which; they are blocked in the calling thread, and stay so
 * @fn: called for each
 * @ctx: the caller's
 *
 * It is in flight as an operation is: a loop does not end by itself meanwhile.
 *
 * Context: Owner thread.
 * Return: 0; -EINVAL without a function; -EOPNOTSUPP on sim; or the -errno of
 * signalfd(2) or of weir_file_adopt().
 */
WEIR_API WEIR_MUST_CHECK
int weir_signals_open(struct weir_signals *signals, struct weir_loop *loop, const sigset_t *set,
		      weir_signals_fn *fn, void *ctx);

/**
 * weir_signals_close() - have them told no more
 * @signals: open ones; closing twice is harmless
 *
 * Ends with a last call of the function. The signals stay blocked.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_signals_close(struct weir_signals *signals);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_SIGNALS_H */
