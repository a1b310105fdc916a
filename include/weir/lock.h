/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * lock.h - locks that spin, for a few instructions between threads that all have
 * a processor
 *
 * A holder that loses its processor makes the others burn theirs; where that can
 * happen, or where a holder may block, a mutex is the better lock. The loop's own
 * threads need none of these: they meet through weir/post.h.
 *
 * All zero is an unlocked lock. Everything written before an unlock is seen after
 * the next lock.
 */
#ifndef WEIR_LOCK_H
#define WEIR_LOCK_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct weir_spin - test and set: the quickest while there is no contention */
struct weir_spin {
	/* private: */
	uint64_t lib;
};

/** struct weir_cas - compare and swap: writes to the line only when it is free */
struct weir_cas {
	/* private: */
	uint64_t lib;
};

/** struct weir_ticket - first come, first served: none starves */
struct weir_ticket {
	/* private: */
	uint64_t lib;
};

/**
 * weir_spin_lock() - take a lock, spinning while another has it
 * @lock: the lock; not the caller's already
 *
 * Context: Any thread.
 */
WEIR_API void weir_spin_lock(struct weir_spin *lock);

/**
 * weir_spin_trylock() - take a lock if nobody has it
 * @lock: the lock
 *
 * Context: Any thread, signal handler.
 * Return: 0, or -EBUSY.
 */
WEIR_API WEIR_MUST_CHECK int weir_spin_trylock(struct weir_spin *lock);

/**
 * weir_spin_unlock() - give a lock back
 * @lock: the lock, which the caller has
 *
 * Context: Any thread, signal handler.
 */
WEIR_API void weir_spin_unlock(struct weir_spin *lock);

/**
 * weir_cas_lock() - take a lock, spinning while another has it
 * @lock: the lock; not the caller's already
 *
 * Context: Any thread.
 */
WEIR_API void weir_cas_lock(struct weir_cas *lock);

/**
 * weir_cas_trylock() - take a lock if nobody has it
 * @lock: the lock
 *
 * Context: Any thread, signal handler.
 * Return: 0, or -EBUSY.
 */
WEIR_API WEIR_MUST_CHECK int weir_cas_trylock(struct weir_cas *lock);

/**
 * weir_cas_unlock() - give a lock back
 * @lock: the lock, which the caller has
 *
 * Context: Any thread, signal handler.
 */
WEIR_API void weir_cas_unlock(struct weir_cas *lock);

/**
 * weir_ticket_lock() - queue for a lock, spinning until it is the caller's turn
 * @lock: the lock; not the caller's already
 *
 * With more threads than processors those that run wait for one that does not.
 *
 * Context: Any thread.
 */
WEIR_API void weir_ticket_lock(struct weir_ticket *lock);

/**
 * weir_ticket_unlock() - give a lock to the next in the queue
 * @lock: the lock, which the caller has
 *
 * Context: Any thread.
 */
WEIR_API void weir_ticket_unlock(struct weir_ticket *lock);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_LOCK_H */
