/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replays inputs through a fuzz target without libFuzzer: each file, and each file of each folder, of the
 * command line. The same target linked with libFuzzer (meson -Dfuzz=true, clang) searches for new ones.
 */

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_replayed;

static bool replay_file(const char *path)
{
        uint8_t *data = malloc(INPUT_MAX), *exact;
        FILE *file = fopen(path, "re");
        size_t size;

        if (!data || !file) {
                fprintf(stderr, "cannot open %s\n", path);
                free(data);
                return false;
        }
        size = fread(data, 1, INPUT_MAX, file);
        fclose(file);
        /* Exactly as large as the input, so that the address sanitizer sees a read behind it. */
        exact = realloc(data, size > 0 ? size : 1);
        if (!exact)
                exact = data;
        (void) LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        n_replayed++;
        return true;
}

static bool replay_folder(const char *path)
{
        DIR *folder = opendir(path);
        struct dirent *entry;
        bool good = folder != NULL;

        while (folder && (entry = readdir(folder))) {
                char name[PATH_MAX];

                if (entry->d_name[0] == '.')
                        continue;
                if ((size_t) snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= sizeof name)
                        good = false;
                else
                        good = replay_file(name) && good;
        }
        if (folder)
                closedir(folder);
        return good;
}

int main(int argc, char **argv)
{
        bool good = true;

        for (int i = 1; i < argc; i++) {
                struct stat st;

                if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
                        good = replay_folder(argv[i]) && good;
                else
                        good = replay_file(argv[i]) && good;
        }
        printf("%u inputs replayed\n", n_replayed);
        return good && n_replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
