// SPDX-License-Identifier: GPL-2.0-only
/*
 * fiber_portable.c - fibers on the C library's switch of stacks, which processors
 * take that have no switch of ours; a program that links this has no other
 */
#ifndef FIBER_UCONTEXT
#define FIBER_UCONTEXT
#endif

#include "fiber/arch.c"
#include "fiber/context.c"
#include "fiber/fiber.c"
