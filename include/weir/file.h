/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * file.h - handles: a loop's own table of open files and sockets.
 *
 * Closing is an operation (weir_prep_close()): it cancels all that is in
 * flight on the file, waits for the terminal events, then closes. The handle
 * is stale from the moment the close is submitted.
 */
#ifndef WEIR_FILE_H
#define WEIR_FILE_H

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_file_adopt() - bring a plain descriptor into a loop
 * @loop: the loop
 * @fd: an open descriptor; the loop owns it from here, and closes it
 * @filep: where the handle goes
 *
 * On the epoll backend the descriptor becomes non-blocking.
 *
 * Context: Owner thread.
 * Return: 0; -EBADF; -ENFILE when the file table is full; -EOPNOTSUPP on sim.
 */
WEIR_API WEIR_MUST_CHECK
int weir_file_adopt(struct weir_loop *loop, int fd, struct weir_file *filep);

/**
 * weir_file_open() - open a file by path, blocking, for start-up
 * @loop: the loop
 * @path: the path; on sim a name in the loop's own memory
 * @flags: as open(2); O_CLOEXEC is added
 * @mode: as open(2)
 * @filep: where the handle goes
 *
 * Context: Owner thread.
 * Return: 0, -ENFILE when the file table is full, or the -errno of open(2).
 */
WEIR_API WEIR_MUST_CHECK
int weir_file_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode,
		   struct weir_file *filep);

/**
 * weir_pipe_open() - a pipe, both ends files of the loop
 * @loop: the loop
 * @readp: where the handle of the end to read from goes
 * @writep: where the handle of the end to write to goes
 *
 * Close-on-exec. Operations on it wait without blocking the loop, or a thread.
 *
 * Context: Owner thread.
 * Return: 0, -ENFILE when the file table is full, or the -errno of pipe2(2).
 */
WEIR_API WEIR_MUST_CHECK
int weir_pipe_open(struct weir_loop *loop, struct weir_file *readp, struct weir_file *writep);

/**
 * weir_file_valid() - does a handle name an open file?
 * @loop: the loop
 * @file: the handle
 *
 * Context: Owner thread.
 * Return: 1 if so, 0 if its file was closed or never opened.
 */
WEIR_API int weir_file_valid(const struct weir_loop *loop, struct weir_file file);

/**
 * weir_file_fd() - the plain descriptor behind a handle
 * @loop: the loop
 * @file: the handle
 *
 * Context: Owner thread.
 * Return: the descriptor, which stays the loop's; -EBADF for a stale handle;
 * -EOPNOTSUPP if it is a registered slot without one, or on sim.
 */
WEIR_API int weir_file_fd(const struct weir_loop *loop, struct weir_file file);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_FILE_H */
