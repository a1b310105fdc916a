// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_script.c - step after step, and in the end every file is closed
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/file.h>

#include "sim_script.h"

static void script_end(struct script *script);

static void script_closed(struct weir_op *op)
{
	script_end(act_event(op)->owner);
}

static void script_end(struct script *script)
{
	struct world *world = script->act.world;
	unsigned int i;

	script->ending = true;
	if (script->fd && !weir_file_adopt(world->loop, script->fd, &script->files[0]))
		script->fd = 0;
	for (i = 0; i < SCRIPT_FILES; i++) {
		struct weir_file file = script->files[i];

		if (!file.gen)
			continue;
		script->files[i].gen = 0;
		weir_prep_close(&script->close.op, file, script_closed, &script->close);
		act_start(&script->close);
		return;
	}
	script->over = true;
}

static void script_next(struct script *script)
{
	if (script->at == script->count) {
		script_end(script);
		return;
	}
	script->steps[script->at].prep(script);
	script->act.op.done = script_done;
	script->act.op.ctx = &script->act;
	act_start(&script->act);
}

static void script_rested(struct weir_op *op)
{
	struct script *script = act_event(op)->owner;

	if (op->res < 0 || script->act.world->ending)
		script_end(script);
	else
		script_next(script);
}

/* It failed: once more, when somebody else has had the time to make room. */
static void script_again(struct script *script, const char *why)
{
	struct world *world = script->act.world;

	if (++script->tries > SCRIPT_TRIES || !why) {
		snprintf(world->text, sizeof(world->text), "%s: %s",
			 script->steps[script->at].name, why ? why : "failed without a fault");
		world_bad(world, world->text);
		script_end(script);
		return;
	}
	weir_prep_timeout(&script->pause.op, weir_loop_now(world->loop) + 1000, script_rested,
			  &script->pause);
	act_start(&script->pause);
}

static bool opens(const struct weir_op *op)
{
	return op->opcode == WEIR_OP_SOCKET || op->opcode == WEIR_OP_OPEN ||
	       op->opcode == WEIR_OP_ACCEPT;
}

void script_done(struct weir_op *op)
{
	struct script *script = act_event(op)->owner;
	struct world *world = script->act.world;
	bool well = op->res >= 0;

	/* An accept that found no place goes on by itself. */
	if (op->more)
		return;
	if (well && opens(op))
		script->files[script->target] = op->accepted;
	if (well && script->steps[script->at].check)
		well = script->steps[script->at].check(script, op);
	if (world->ending || op->res == -ECANCELED) {
		script_end(script);
	} else if (well) {
		script->at++;
		script->tries = 0;
		script_next(script);
	} else if (op->res < 0 && op->res != -ENFILE && !world->sim.error_permille) {
		script_again(script, NULL);
	} else {
		script_again(script, op->res < 0 ? weir_strerror(op->res) : "never whole");
	}
}

void script_file(struct script *script, unsigned int number)
{
	script->target = number;
}

void script_start(struct script *script, struct world *world, const struct step *steps,
		  unsigned int count)
{
	unsigned int i;

	act_set(&script->act, world, script);
	act_set(&script->pause, world, script);
	act_set(&script->close, world, script);
	script->steps = steps;
	script->count = count;
	for (i = 0; i < SCRIPT_BYTES; i++)
		script->out[i] = world_byte(77, i);
	script_next(script);
}
