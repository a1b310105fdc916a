/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * probe.h - what io_uring can do here: asked, tried and denied
 *
 * A kernel's word is not taken: each feature was used once, in a ring of its
 * own over loopback, and what came was compared with what should have come.
 */
#ifndef WEIR_PROBE_H
#define WEIR_PROBE_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum weir_feature_state - what was found
 * @WEIR_FEATURE_NO: not there, or not as it should be
 * @WEIR_FEATURE_OK: it works
 * @WEIR_FEATURE_SKIP: not tried, because something it needs is missing
 */
enum weir_feature_state {
	WEIR_FEATURE_NO,
	WEIR_FEATURE_OK,
	WEIR_FEATURE_SKIP,
};

/**
 * struct weir_feature - one feature of io_uring
 * @name: a short name, "recv_bundle"
 * @gives: what it is good for
 * @state: enum weir_feature_state
 * @needed: without it the uring backend lacks a part, not speed alone
 * @why: what was found, if there is anything to say; else empty
 */
struct weir_feature {
	const char *name;
	const char *gives;
	uint32_t state;
	uint32_t needed;
	char why[96];
};

/**
 * weir_uring_features() - the features of io_uring that the library knows
 * @countp: how many there are
 *
 * They are tried in the first call of the process, which takes some
 * milliseconds, and the same for all loops. The first is "setup", the ring
 * itself. Which of them a loop uses follows from its options.
 *
 * Context: Any thread.
 * Return: the table, which lives for ever.
 */
WEIR_API const struct weir_feature *weir_uring_features(size_t *countp);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_PROBE_H */
