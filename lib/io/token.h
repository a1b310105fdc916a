/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * token.h - what the life of an operation has to do with its token
 */
#ifndef IO_TOKEN_H
#define IO_TOKEN_H

#include <weir/token.h>

#include "io/loop.h"

/*
 * token_join() - @op, which is being submitted, is under op->token from now on
 *
 * Returns 0, or -EINVAL if that is no token of @loop. Whether the token has ended
 * is token->lib_end.
 */
int token_join(struct weir_loop *loop, struct weir_op *op);

/* token_leave() - @op, which did join, is about to have its terminal event */
void token_leave(struct weir_op *op);

#endif /* IO_TOKEN_H */
