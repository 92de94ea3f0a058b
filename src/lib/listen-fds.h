/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd passes to a program that it started through its socket. A few lines: plugins need not link
 * libsystemd. */

/* The first Unix stream socket of that name (NULL: of any), which is ours from now on. Returns -ENOENT when
 * there is none. Called again, it returns the next one. */
int listen_fd_take(const char *name);
/* Close-on-exec and non-blocking. */
void listen_fd_prepare(int fd);
