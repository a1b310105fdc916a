// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * op_file.c - operations in flight on a file, and the close that ends them
 *
 * A close cancels what is in flight on its file, waits until the last of it has
 * ended, and only then goes to the backend.
 */
#include "io/backend.h"

void op_file_enter(struct weir_loop *loop, struct weir_op *op)
{
	list_add_tail(&loop->files[op->file.index].ops, &op->lib_file);
	if (op_def(op)->flags & IO_OPF_TWO) {
		loop->files[op->file.index].pins++;
		loop->files[op->splice.from.index].pins++;
	}
}

/* A close goes on when nothing is in flight on its file any more. */
static void file_left(struct weir_loop *loop, uint32_t index, uint32_t pins)
{
	struct io_file *entry = &loop->files[index];

	entry->pins -= pins;
	if (entry->state == IO_FILE_CLOSING && list_empty(&entry->ops) && !entry->pins)
		op_start(loop, entry->closer);
}

void op_file_leave(struct weir_loop *loop, struct weir_op *op)
{
	list_del(&op->lib_file);
	if (op_def(op)->flags & IO_OPF_TWO) {
		file_left(loop, op->file.index, 1);
		file_left(loop, op->splice.from.index, 1);
	} else {
		file_left(loop, op->file.index, 0);
	}
}

static bool is_pin(const struct weir_op *op, uint32_t index)
{
	return op_def(op)->flags & IO_OPF_TWO &&
	       (op->file.index == index || op->splice.from.index == index);
}

/* An op of two files is on the list of one of them: the other has to search. */
static void pins_end(struct weir_loop *loop, uint32_t index)
{
	struct weir_link *node, *next;
	uint32_t i;

	for (node = loop->waiting.next; node != &loop->waiting; node = next) {
		struct weir_op *op = container_of(node, struct weir_op, lib_queue);

		next = node->next;
		if (is_pin(op, index))
			op_end(loop, op, OP_END_CANCEL);
	}
	for (i = 0; i < loop->slots_max; i++) {
		if (loop->slots[i].op && is_pin(loop->slots[i].op, index))
			op_end(loop, loop->slots[i].op, OP_END_CANCEL);
	}
}

void op_close_start(struct weir_loop *loop, struct weir_op *op)
{
	struct io_file *entry = &loop->files[op->file.index];
	struct weir_link *node, *next;

	io_file_state(entry, IO_FILE_CLOSING);
	entry->closer = op;
	op->lib_state = OP_CLOSING;
	for (node = entry->ops.next; node != &entry->ops; node = next) {
		next = node->next;
		op_end(loop, container_of(node, struct weir_op, lib_file), OP_END_CANCEL);
	}
	if (entry->pins)
		pins_end(loop, op->file.index);
	file_left(loop, op->file.index, 0);
}
