/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sim.h - what can be done to the in-memory kernel of the "sim" backend. Its
 * faults are struct weir_sim_opts in weir/loop.h.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include <weir/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_sim_power_loss() - the machine's power fails, and comes back
 * @loop: a loop on the sim backend
 *
 * Of what was written and not synced, each sector of 512 bytes is on the disk or
 * not, as the seed has it; so is each change of a name whose directory was not
 * synced, and the size of each file. What fsync was told to have succeeded for is
 * there. Files that were open fail with -EIO until they are closed; operations on
 * them that are in flight end with -EIO, those on paths find the disk as it is
 * then. Sockets and pipes live on.
 *
 * Context: Owner thread; from a callback too.
 * Return: 0, or -EOPNOTSUPP if the loop is on another backend.
 */
WEIR_API int weir_sim_power_loss(struct weir_loop *loop);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_SIM_H */
