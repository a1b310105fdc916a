/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sem.h - semaphores, for the room's own use
 */
#ifndef FIBER_SEM_H
#define FIBER_SEM_H

#include <weir/fiber.h>

/* sem_wait_under() - weir_sem_wait() that ends with @token, or with none */
int sem_wait_under(struct weir_sem *sem, uint64_t deadline_ns, struct weir_token *token);

#endif /* FIBER_SEM_H */
