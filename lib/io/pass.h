/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pass.h - what a backend that sends registered files tells of it
 */
#ifndef IO_PASS_H
#define IO_PASS_H

#include <weir/pass.h>

#include "io/backend.h"

/* pass_sent() - at the source: file @index has arrived there, or @err tells why not */
void pass_sent(struct weir_loop *loop, uint32_t index, int err);

/* pass_arrived() - at the target: the file is in registered slot @slot now */
void pass_arrived(struct weir_loop *loop, struct weir_pass *pass, uint32_t slot);

#endif /* IO_PASS_H */
