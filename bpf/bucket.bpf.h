/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bucket.bpf.h - the token bucket of a source network: its key and its arithmetic
 */
#ifndef BPF_BUCKET_BPF_H
#define BPF_BUCKET_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <weir/wire.h>

#define MILLI			1000ULL
#define SECOND_NS		1000000000ULL
#define FILL_STEP_NS		(1ULL << 20)	/* not more often while there is some */
#define FILL_MAX_S		(1ULL << 20)
#define DEBT_MAX		(1ULL << 20)	/* thousandths */

/* A word whose first or last four bytes in memory are @x, and the others zero. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_HALF(x)		((__u64)(x) << 32)
#define SECOND_HALF(x)		((__u64)(x))
#else
#define FIRST_HALF(x)		((__u64)(x))
#define SECOND_HALF(x)		((__u64)(x) << 32)
#endif

/*
 * struct weir_prefix in words of eight bytes: without CAP_PERFMON the verifier of
 * 6.1 refuses two members of four bytes in one stack slot.
 */
struct source {
	__u64 ip[2];
	__u64 bits;
};

_Static_assert(sizeof(struct source) == sizeof(struct weir_prefix), "one key");

/* The first @bits of a word in network order, 0 to 64 of them. */
static __always_inline __u64 mask_of(__u32 bits)
{
	return bits >= 64 ? ~0ULL : __builtin_bswap64(~(~0ULL >> bits));
}

/*
 * Thousandths that @rate a second yields in @ns, and in *@used the time that
 * they took: what is less than one is left for the next time, unless it is lost
 * among a thousand.
 */
static __always_inline __u64 earned(__u64 ns, __u32 rate, __u64 *used)
{
	__u64 milli;

	*used = ns;
	if (ns >> 32) {
		ns /= SECOND_NS;
		return (ns < FILL_MAX_S ? ns : FILL_MAX_S) * rate * MILLI;
	}
	milli = ns * rate / (SECOND_NS / MILLI);
	if (milli < MILLI)
		*used = milli * (SECOND_NS / MILLI) / rate;
	return milli;
}

/*
 * What there is to be added. Who moves filled_ns adds what that time yields, so
 * that no CPU adds it twice.
 */
static __always_inline __u64 bucket_earned(struct weir_bucket *bucket, __u32 rate, __u64 full,
					   __u64 now)
{
	__u64 filled_ns = bucket->filled_ns;
	__s64 room = full - bucket->tokens_milli;
	__u64 used, milli;

	if (room > (__s64)(full + DEBT_MAX))	/* a hand's, not what CPUs race for */
		bucket->tokens_milli = 0;
	if ((__s64)(now - filled_ns) <= 0) {
		if (filled_ns - now > SECOND_NS)	/* no clock of ours said this */
			bucket->filled_ns = now;
		return 0;
	}
	if (now - filled_ns < FILL_STEP_NS && room <= (__s64)(full - MILLI))
		return 0;
	milli = earned(now - filled_ns, rate, &used);
	if (!milli || __sync_val_compare_and_swap(&bucket->filled_ns, filled_ns,
						  filled_ns + used) != filled_ns)
		return 0;
	return room < (__s64)milli ? room : milli;
}

/* Take one connection's worth: false when there is none, which the caller counts. */
static __always_inline bool bucket_take(struct weir_bucket *bucket, __u32 rate, __u64 full,
					__u64 now)
{
	__u64 more = bucket_earned(bucket, rate, full, now);
	__s64 before = __sync_fetch_and_add(&bucket->tokens_milli, more - MILLI);

	if ((__s64)(before + more) >= (__s64)MILLI)
		return true;
	__sync_fetch_and_add(&bucket->tokens_milli, MILLI);
	return false;
}

#endif /* BPF_BUCKET_BPF_H */
