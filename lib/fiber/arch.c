// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * arch.c - the switch of stacks: x86-64, aarch64, and the C library's
 *
 * Ours saves what the calling convention says a call preserves, on the stack that
 * is left, and takes the same from the one that is entered. A new stack is laid out
 * as if it had been left by such a call, just before its first function.
 */
#include <stdint.h>
#include <string.h>

#include "fiber/arch.h"

#ifdef FIBER_UCONTEXT

/* makecontext(3) passes integers alone. */
static void enter(unsigned int fn_high, unsigned int fn_low, unsigned int arg_high,
		  unsigned int arg_low)
{
	uintptr_t fn = (uintptr_t)((uint64_t)fn_high << 32 | fn_low);
	uintptr_t arg = (uintptr_t)((uint64_t)arg_high << 32 | arg_low);

	((void (*)(void *arg))fn)((void *)arg);
}

void fiber_arch_make(struct fiber_arch *to, void *stack, size_t stack_bytes,
		     void (*fn)(void *arg), void *arg)
{
	uint64_t fn_bits = (uintptr_t)fn, arg_bits = (uintptr_t)arg;

	getcontext(&to->context);
	to->context.uc_stack.ss_sp = stack;
	to->context.uc_stack.ss_size = stack_bytes;
	to->context.uc_link = NULL;
	makecontext(&to->context, (void (*)(void))(void *)enter, 4,
		    (unsigned int)(fn_bits >> 32), (unsigned int)fn_bits,
		    (unsigned int)(arg_bits >> 32), (unsigned int)arg_bits);
}

void fiber_arch_switch(struct fiber_arch *from, const struct fiber_arch *to)
{
	swapcontext(&from->context, &to->context);
}

#else

void fiber_arch_first(void);

#ifdef __x86_64__

/* From the lowest address; fiber_arch_switch() pops it in this order. */
struct frame {
	uint32_t mxcsr;		/* these two are preserved by a call too */
	uint32_t x87;
	uint64_t r15;
	uint64_t r14;
	uint64_t r13;
	uint64_t r12;
	uint64_t rbx;
	uint64_t rbp;
	uint64_t rip;
	uint64_t end;		/* of the chain of frames, and alignment */
};

__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl fiber_arch_switch\n"
	".hidden fiber_arch_switch\n"
	".type fiber_arch_switch, @function\n"
	"fiber_arch_switch:\n"
	"	.cfi_startproc\n"
	"	pushq %rbp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset rbp, 0\n"
	"	pushq %rbx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r12\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r13\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r14\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r15\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r15\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r14\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r13\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r12\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rbx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %rbp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore rbp\n"
	/* Not ret: it would be foretold to go to the caller of this side. */
	"	popq %rcx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_register rip, rcx\n"
	"	jmpq *%rcx\n"
	"	.cfi_endproc\n"
	".size fiber_arch_switch, .-fiber_arch_switch\n"
	".globl fiber_arch_first\n"
	".hidden fiber_arch_first\n"
	".type fiber_arch_first, @function\n"
	"fiber_arch_first:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"	/* nobody called it */
	"	movq %r12, %rdi\n"
	"	callq *%rbx\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	".size fiber_arch_first, .-fiber_arch_first\n"
	".popsection\n");

static void frame_fill(struct frame *frame, void (*fn)(void *arg), void *arg)
{
	uint32_t mxcsr;
	uint16_t x87;

	/* The one who makes it hands down how floating point is done. */
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	frame->mxcsr = mxcsr;
	frame->x87 = x87;
	frame->rbx = (uintptr_t)fn;
	frame->r12 = (uintptr_t)arg;
	frame->rip = (uintptr_t)fiber_arch_first;
}

#else /* __aarch64__ */

struct frame {
	uint64_t d8[8];		/* d8 to d15 */
	uint64_t x19[10];	/* x19 to x28 */
	uint64_t x29;
	uint64_t x30;
	uint64_t fpcr;
	uint64_t pad;
};

__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl fiber_arch_switch\n"
	".hidden fiber_arch_switch\n"
	".type fiber_arch_switch, %function\n"
	"fiber_arch_switch:\n"
	"	.cfi_startproc\n"
	"	sub sp, sp, #176\n"
	"	.cfi_adjust_cfa_offset 176\n"
	"	stp d8, d9, [sp, #0]\n"
	"	stp d10, d11, [sp, #16]\n"
	"	stp d12, d13, [sp, #32]\n"
	"	stp d14, d15, [sp, #48]\n"
	"	stp x19, x20, [sp, #64]\n"
	"	stp x21, x22, [sp, #80]\n"
	"	stp x23, x24, [sp, #96]\n"
	"	stp x25, x26, [sp, #112]\n"
	"	stp x27, x28, [sp, #128]\n"
	"	stp x29, x30, [sp, #144]\n"
	"	.cfi_rel_offset x29, 144\n"
	"	.cfi_rel_offset x30, 152\n"
	"	mrs x3, fpcr\n"
	"	str x3, [sp, #160]\n"
	"	mov x2, sp\n"
	"	str x2, [x0]\n"
	"	ldr x2, [x1]\n"
	"	mov sp, x2\n"
	/* Writing it waits for all arithmetic: only where it is another. */
	"	ldr x4, [sp, #160]\n"
	"	cmp x3, x4\n"
	"	b.eq 1f\n"
	"	msr fpcr, x4\n"
	"1:\n"
	"	ldp d8, d9, [sp, #0]\n"
	"	ldp d10, d11, [sp, #16]\n"
	"	ldp d12, d13, [sp, #32]\n"
	"	ldp d14, d15, [sp, #48]\n"
	"	ldp x19, x20, [sp, #64]\n"
	"	ldp x21, x22, [sp, #80]\n"
	"	ldp x23, x24, [sp, #96]\n"
	"	ldp x25, x26, [sp, #112]\n"
	"	ldp x27, x28, [sp, #128]\n"
	"	ldp x29, x30, [sp, #144]\n"
	"	add sp, sp, #176\n"
	"	.cfi_adjust_cfa_offset -176\n"
	"	.cfi_restore x29\n"
	"	.cfi_restore x30\n"
	/* Not ret, as on x86-64. */
	"	br x30\n"
	"	.cfi_endproc\n"
	".size fiber_arch_switch, .-fiber_arch_switch\n"
	".globl fiber_arch_first\n"
	".hidden fiber_arch_first\n"
	".type fiber_arch_first, %function\n"
	"fiber_arch_first:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined x30\n"	/* nobody called it */
	"	mov x0, x20\n"
	"	blr x19\n"
	"	brk #0\n"
	"	.cfi_endproc\n"
	".size fiber_arch_first, .-fiber_arch_first\n"
	".popsection\n");

static void frame_fill(struct frame *frame, void (*fn)(void *arg), void *arg)
{
	/* The one who makes it hands down how floating point is done. */
	__asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
	frame->x19[0] = (uintptr_t)fn;
	frame->x19[1] = (uintptr_t)arg;
	frame->x30 = (uintptr_t)fiber_arch_first;
}

#endif

_Static_assert(sizeof(struct frame) % 8 == 0, "nothing but registers");

void fiber_arch_make(struct fiber_arch *to, void *stack, size_t stack_bytes,
		     void (*fn)(void *arg), void *arg)
{
	uintptr_t top = ((uintptr_t)stack + stack_bytes) & ~(uintptr_t)15;
	/* Without its frame a stack is aligned as at a call: 16. */
	struct frame *frame = (void *)(top - (sizeof(struct frame) + 15) / 16 * 16);

	memset(frame, 0, (size_t)(top - (uintptr_t)frame));
	frame_fill(frame, fn, arg);
	to->sp = frame;
}

#endif
