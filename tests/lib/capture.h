/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a piece of code writes to standard error, and files in a directory of their own. */

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Capture {
        int saved;
        int memory;
        char text[65536];
} Capture;

static inline void capture_begin(Capture *capture)
{
        capture->saved = dup(STDERR_FILENO);
        capture->memory = memfd_create("stderr", MFD_CLOEXEC);
        assert(capture->saved >= 0 && capture->memory >= 0);
        assert(dup2(capture->memory, STDERR_FILENO) >= 0);
}

/* Valid as long as the capture. */
static inline const char *capture_end(Capture *capture)
{
        ssize_t n = pread(capture->memory, capture->text, sizeof capture->text - 1, 0);

        assert(n >= 0);
        capture->text[n] = '\0';
        assert(dup2(capture->saved, STDERR_FILENO) >= 0);
        (void) close(capture->saved);
        (void) close(capture->memory);
        return capture->text;
}

/* Makes a directory for one test; its name is in `path`. */
static inline void scratch_make(char path[static 64])
{
        (void) snprintf(path, 64, "%s", "/tmp/audit-relay-test-XXXXXX");
        assert(mkdtemp(path));
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

static inline void scratch_remove(const char *path)
{
        assert(nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Writes DIRECTORY/NAME, making the directories in NAME. */
static inline void scratch_write(const char *directory, const char *name, const char *text)
{
        char path[512];
        FILE *file;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        for (char *p = path + strlen(directory) + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                (void) mkdir(path, 0755);
                *p = '/';
        }
        file = fopen(path, "we");
        assert(file);
        assert(fputs(text, file) >= 0);
        assert(fclose(file) == 0);
}

/* Reads DIRECTORY/NAME; NULL when it is not there. Valid until the next call. */
static inline const char *scratch_read(const char *directory, const char *name)
{
        static char text[64 * 1024 + 1];
        char path[512];
        FILE *file;
        size_t n;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        file = fopen(path, "re");
        if (!file)
                return NULL;
        n = fread(text, 1, sizeof text - 1, file);
        text[n] = '\0';
        (void) fclose(file);
        return text;
}
