/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * refuse.h - system calls that this process may no longer make
 */
#ifndef TESTS_REFUSE_H
#define TESTS_REFUSE_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef ARRAY_SIZE	/* in C++, which has not the library's own base.h */
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE	AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE	AUDIT_ARCH_AARCH64
#else
#define AUDIT_ARCH_HERE	0
#endif

/*
 * From now on system call @nr fails with @err in this process, if the low half of its
 * argument @arg compares with @value as BPF_JEQ, BPF_JGE or BPF_JSET say. 0 or -errno.
 */
static inline int refuse_if(uint32_t nr, unsigned int arg, uint16_t compare, uint32_t value,
			    uint32_t err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
		/* All of AUDIT_ARCH_HERE are little-endian. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)offsetof(struct seccomp_data, args) + 8 * arg),
		BPF_JUMP((uint16_t)(BPF_JMP | BPF_K | compare), value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	if (!AUDIT_ARCH_HERE)
		return -EOPNOTSUPP;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}

/* The same, whatever its arguments. */
static inline int refuse(uint32_t nr, uint32_t err)
{
	return refuse_if(nr, 0, BPF_JGE, 0, err);
}

#endif /* TESTS_REFUSE_H */
