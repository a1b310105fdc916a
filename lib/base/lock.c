// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * lock.c - spinning locks: ConcurrencyKit's, or of C11 atomics where that is
 * missing or must not be seen as assembly (the thread sanitizer)
 */
#include <errno.h>

#include <weir/lock.h>

#include "base/base.h"

#ifdef CONFIG_CK
#include <ck_spinlock.h>

#define FITS(ours, theirs)						\
	_Static_assert(sizeof(theirs) <= sizeof(struct ours) &&		\
		       _Alignof(theirs) <= _Alignof(struct ours), "the lock's memory")

FITS(weir_spin, ck_spinlock_fas_t);
FITS(weir_cas, ck_spinlock_cas_t);
FITS(weir_ticket, ck_spinlock_ticket_t);

void weir_spin_lock(struct weir_spin *lock)
{
	ck_spinlock_fas_lock((void *)lock);
}

int weir_spin_trylock(struct weir_spin *lock)
{
	return ck_spinlock_fas_trylock((void *)lock) ? 0 : -EBUSY;
}

void weir_spin_unlock(struct weir_spin *lock)
{
	ck_spinlock_fas_unlock((void *)lock);
}

void weir_cas_lock(struct weir_cas *lock)
{
	ck_spinlock_cas_lock((void *)lock);
}

int weir_cas_trylock(struct weir_cas *lock)
{
	return ck_spinlock_cas_trylock((void *)lock) ? 0 : -EBUSY;
}

void weir_cas_unlock(struct weir_cas *lock)
{
	ck_spinlock_cas_unlock((void *)lock);
}

void weir_ticket_lock(struct weir_ticket *lock)
{
	ck_spinlock_ticket_lock((void *)lock);
}

void weir_ticket_unlock(struct weir_ticket *lock)
{
	ck_spinlock_ticket_unlock((void *)lock);
}

#else /* !CONFIG_CK */
#include <stdatomic.h>

struct ticket {
	atomic_uint next;
	atomic_uint now;
};

_Static_assert(sizeof(struct ticket) == sizeof(struct weir_ticket), "the lock's memory");

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static atomic_uint *word_of(void *lock)
{
	return lock;
}

static void unlock(void *lock)
{
	atomic_store_explicit(word_of(lock), 0, memory_order_release);
}

static void wait_free(void *lock)
{
	while (atomic_load_explicit(word_of(lock), memory_order_relaxed))
		relax();
}

int weir_spin_trylock(struct weir_spin *lock)
{
	return atomic_exchange_explicit(word_of(lock), 1, memory_order_acquire) ? -EBUSY : 0;
}

void weir_spin_lock(struct weir_spin *lock)
{
	while (weir_spin_trylock(lock))
		wait_free(lock);
}

void weir_spin_unlock(struct weir_spin *lock)
{
	unlock(lock);
}

int weir_cas_trylock(struct weir_cas *lock)
{
	unsigned int unlocked = 0;

	return atomic_compare_exchange_strong_explicit(word_of(lock), &unlocked, 1,
						       memory_order_acquire,
						       memory_order_relaxed) ? 0 : -EBUSY;
}

void weir_cas_lock(struct weir_cas *lock)
{
	while (weir_cas_trylock(lock))
		wait_free(lock);
}

void weir_cas_unlock(struct weir_cas *lock)
{
	unlock(lock);
}

void weir_ticket_lock(struct weir_ticket *lock)
{
	struct ticket *ticket = (void *)lock;
	unsigned int mine = atomic_fetch_add_explicit(&ticket->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&ticket->now, memory_order_acquire) != mine)
		relax();
}

void weir_ticket_unlock(struct weir_ticket *lock)
{
	struct ticket *ticket = (void *)lock;

	atomic_fetch_add_explicit(&ticket->now, 1, memory_order_release);
}
#endif
