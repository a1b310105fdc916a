// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_desk.c - every operation on files and paths, one after the other
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weir/file.h>

#include "base/base.h"
#include "sim_script.h"

/* Places of files; the first is free for what is left at the end. */
enum { LEFT, SHEET, PIPE_READ, PIPE_WRITE };

enum {
	SHEET_BYTES	= SCRIPT_BYTES,
	ROOM_BYTES	= 4096,
	PIPED_BYTES	= 100,
};

static void make_desk(struct script *s)
{
	weir_prep_mkdir(&s->act.op, "desk", 0700, script_done, &s->act);
}

static void open_sheet(struct script *s)
{
	script_file(s, SHEET);
	weir_prep_open(&s->act.op, "desk/a", O_RDWR | O_CREAT | O_EXCL, 0600, script_done,
		       &s->act);
}

static void make_room(struct script *s)
{
	weir_prep_fallocate(&s->act.op, s->files[SHEET], 0, 0, ROOM_BYTES, script_done, &s->act);
}

/* In three parts of different lengths. */
static void parts_of(struct script *s, unsigned char *bytes)
{
	s->iov[0] = (struct iovec){ bytes, 1 };
	s->iov[1] = (struct iovec){ bytes + 1, 200 };
	s->iov[2] = (struct iovec){ bytes + 201, SHEET_BYTES - 201 };
}

static void write_sheet(struct script *s)
{
	parts_of(s, s->out);
	weir_prep_writev(&s->act.op, s->files[SHEET], s->iov, 3, 0, script_done, &s->act);
}

static bool is_whole(struct script *s, const struct weir_op *op)
{
	return op->res == SHEET_BYTES;
}

static void cut_sheet(struct script *s)
{
	weir_prep_ftruncate(&s->act.op, s->files[SHEET], SHEET_BYTES, script_done, &s->act);
}

static void keep_sheet(struct script *s)
{
	weir_prep_fsync(&s->act.op, s->files[SHEET], script_done, &s->act);
}

static void look_at_sheet(struct script *s)
{
	weir_prep_fstatx(&s->act.op, s->files[SHEET], STATX_SIZE, &s->statx, script_done,
			 &s->act);
}

static void look_at_path(struct script *s)
{
	weir_prep_statx(&s->act.op, "desk/b", 0, STATX_SIZE, &s->statx, script_done, &s->act);
}

static bool has_size(struct script *s, const struct weir_op *op)
{
	if (s->statx.stx_size != SHEET_BYTES)
		world_bad(s->act.world, "a sheet of another size");
	return true;
}

static void read_sheet(struct script *s)
{
	memset(s->in, 0, sizeof(s->in));
	parts_of(s, s->in);
	weir_prep_readv(&s->act.op, s->files[SHEET], s->iov, 3, 0, script_done, &s->act);
}

static bool is_sheet(struct script *s, const struct weir_op *op)
{
	if (memcmp(s->in, s->out, (size_t)op->res))
		world_bad(s->act.world, "the sheet reads other bytes");
	return op->res == SHEET_BYTES;
}

static void advise(struct script *s)
{
	weir_prep_fadvise(&s->act.op, s->files[SHEET], 0, 0, POSIX_FADV_WILLNEED, script_done,
			  &s->act);
}

static void rename_sheet(struct script *s)
{
	weir_prep_rename(&s->act.op, "desk/a", "desk/b", 0, script_done, &s->act);
}

static void pipe_sheet(struct script *s)
{
	weir_prep_splice(&s->act.op, s->files[SHEET], 0, s->files[PIPE_WRITE], -1, PIPED_BYTES, 0,
			 script_done, &s->act);
}

static bool is_piped(struct script *s, const struct weir_op *op)
{
	s->moved = (uint32_t)op->res;
	return op->res > 0;
}

static void read_pipe(struct script *s)
{
	weir_prep_read(&s->act.op, s->files[PIPE_READ], s->in, s->moved, 0, script_done, &s->act);
}

/* A short read leaves the rest in the pipe: nobody needs it. */
static bool is_start(struct script *s, const struct weir_op *op)
{
	if (op->res > (int)s->moved || memcmp(s->in, s->out, (size_t)op->res))
		world_bad(s->act.world, "the pipe gave other bytes");
	return op->res > 0;
}

static void remove_sheet(struct script *s)
{
	weir_prep_unlink(&s->act.op, "desk/b", 0, script_done, &s->act);
}

static void remove_desk(struct script *s)
{
	weir_prep_unlink(&s->act.op, "desk", AT_REMOVEDIR, script_done, &s->act);
}

static const struct step steps[] = {
	{ "mkdir", make_desk, NULL },
	{ "open", open_sheet, NULL },
	{ "fallocate", make_room, NULL },
	{ "writev", write_sheet, is_whole },
	{ "ftruncate", cut_sheet, NULL },
	{ "fsync", keep_sheet, NULL },
	{ "fstatx", look_at_sheet, has_size },
	{ "readv", read_sheet, is_sheet },
	{ "fadvise", advise, NULL },
	{ "rename", rename_sheet, NULL },
	{ "statx", look_at_path, has_size },
	{ "splice", pipe_sheet, is_piped },
	{ "read", read_pipe, is_start },
	{ "unlink", remove_sheet, NULL },
	{ "rmdir", remove_desk, NULL },
};

void script_desk(struct world *world)
{
	struct script *desk = world->desk;

	if (weir_pipe_open(world->loop, &desk->files[PIPE_READ], &desk->files[PIPE_WRITE]))
		abort();
	script_start(desk, world, steps, ARRAY_SIZE(steps));
}
