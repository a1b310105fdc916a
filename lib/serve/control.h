/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* control.h - weir_control_open() in two steps */
#ifndef SERVE_CONTROL_H
#define SERVE_CONTROL_H

#include <stdbool.h>

#include <weir/takeover.h>

/* All but its place and its thread: while there are no others yet. */
int control_make(struct weir_control **controlp, const struct weir_control_opts *opts);
/* The rest; what had been made stays, to be closed. */
int control_run(struct weir_control *control);
/* Whether @fd is readable in that time, which no signal makes shorter. */
bool control_told(int fd, uint64_t ns);
/* Nobody serves at this listener: what waits there goes to the others. In @ops alone. */
void control_mute(struct weir_control *control, uint32_t listener);

#endif /* SERVE_CONTROL_H */
