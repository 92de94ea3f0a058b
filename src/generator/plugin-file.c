/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* As auditd reads it: words are separated by blanks, also around the "="; keys and the names of values are the same in capitals;
 * a line of 512 bytes or more is passed over; anything unknown makes the whole file void, as half of a plugin's configuration is
 * worse than none.
 */

#include "generator/plugin-file.h"

#include <strings.h>

#define BLANKS " \t\r\n"

typedef struct Words {
        char *rest;
        const char *why;
} Words;

static char *next_word(Words *words)
{
        return strtok_r(NULL, BLANKS, &words->rest);
}

/* One word out of two; *ret is whether it is the second. */
static int take_choice(Words *words, const char *first, const char *second, const char *why, bool *ret)
{
        const char *word = next_word(words);

        words->why = why;
        if (!word || (strcasecmp(word, first) != 0 && strcasecmp(word, second) != 0) || next_word(words))
                return -EBADMSG;
        *ret = strcasecmp(word, second) == 0;
        return 0;
}

static int take_path(Words *words, PluginFile *plugin)
{
        const char *word = next_word(words);

        words->why = "path is one absolute path";
        if (!word || next_word(words))
                return -EBADMSG;
        /* The obsolete name of the part of auditd that has a socket. */
        plugin->builtin = plugin->builtin || strncmp(word, "builtin_", strlen("builtin_")) == 0;
        if (word[0] != '/' && !plugin->builtin)
                return -EBADMSG;
        free(plugin->path);
        plugin->path = strdup(word);
        return plugin->path ? 0 : -ENOMEM;
}

static void forget_arguments(PluginFile *plugin)
{
        while (plugin->n_arguments > 0)
                free(plugin->arguments[--plugin->n_arguments]);
}

static int take_arguments(Words *words, PluginFile *plugin)
{
        const char *word;

        forget_arguments(plugin);
        words->why = "there are too many arguments";
        while ((word = next_word(words))) {
                if (plugin->n_arguments == PLUGIN_ARGUMENTS_MAX)
                        return -EBADMSG;
                plugin->arguments[plugin->n_arguments] = strdup(word);
                if (!plugin->arguments[plugin->n_arguments])
                        return -ENOMEM;
                plugin->n_arguments++;
        }
        return 0;
}

static int take_value(Words *words, const char *key, PluginFile *plugin)
{
        bool builtin = false;
        int r;

        if (strcasecmp(key, "active") == 0)
                return take_choice(words, "no", "yes", "active is yes or no", &plugin->active);
        if (strcasecmp(key, "path") == 0)
                return take_path(words, plugin);
        if (strcasecmp(key, "args") == 0)
                return take_arguments(words, plugin);
        if (strcasecmp(key, "format") == 0)
                return take_choice(words, "string", "binary", "format is string or binary", &plugin->binary);
        if (strcasecmp(key, "direction") == 0) /* kept for old files, without a meaning */
                return 0;
        words->why = "there is no such key";
        if (strcasecmp(key, "type") != 0)
                return -EBADMSG;
        r = take_choice(words, "always", "builtin", "type is always or builtin", &builtin);
        plugin->builtin = plugin->builtin || builtin;
        return r;
}

static int take_line(char *line, PluginFile *plugin, const char **ret_why)
{
        Words words = { 0 };
        const char *key = strtok_r(line, BLANKS, &words.rest), *equals;
        int r;

        if (!key || key[0] == '#')
                return 0;
        equals = next_word(&words);
        words.why = "not \"key = value\"";
        r = equals && strcmp(equals, "=") == 0 ? take_value(&words, key, plugin) : -EBADMSG;
        *ret_why = words.why;
        return r;
}

/* Reads to the end of a line that was too long. */
static void skip_line(FILE *file)
{
        int c;

        do
                c = getc(file);
        while (c != '\n' && c != EOF);
}

int plugin_file_read(FILE *file, PluginFile *ret, unsigned *ret_line, const char **ret_why)
{
        PluginFile plugin = { 0 };
        char line[PLUGIN_LINE_MAX];
        unsigned number = 0;
        int r = 0;

        while (r >= 0 && fgets(line, sizeof line, file)) {
                number++;
                if (strlen(line) == sizeof line - 1 && line[sizeof line - 2] != '\n') {
                        skip_line(file);
                        continue;
                }
                r = take_line(line, &plugin, ret_why);
        }
        if (r >= 0 && ferror(file))
                r = -EIO;
        if (r >= 0 && plugin.active && !plugin.path && !plugin.builtin) {
                *ret_why = "it is active and names no program";
                r = -EBADMSG;
        }
        *ret_line = number;
        if (r < 0)
                plugin_file_done(&plugin);
        else
                *ret = plugin;
        return r;
}

void plugin_file_done(PluginFile *plugin)
{
        forget_arguments(plugin);
        free(plugin->path);
        *plugin = (PluginFile) { 0 };
}
