/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_STEER_VIP_H
#define WEIR_TOOLS_STEER_VIP_H

#include "steer_cmd.h"

#define VIPS_MAX	1024	/* networks that an instance of weir serve has room for */

/* vip_run() - weir steer vip INSTANCE list|add|del [NET:PORTS...]. Return: exit status. */
int vip_run(const struct steer_call *call);

/* vips_check() - is @list, by commas, one of networks? Return: the first bad one, or NULL. */
const char *vips_check(const char *list);

/*
 * vips_add() - let @instance answer on all of @list
 *
 * What it has already, since it goes on with what was pinned, is no error.
 * Return: 0, or 1 when it was told why not.
 */
int vips_add(const char *instance, const char *list);

#endif /* WEIR_TOOLS_STEER_VIP_H */
