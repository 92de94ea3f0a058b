/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay import: configuration of ours from auditd's, and for each of its keys what became of it. It only looks
 * and tells, unless it is told to write; what it writes are drop-ins of its own, so that taking them away takes all of it back.
 */

#include "tool/import/import.h"
#include "tool/json.h"
#include "tool/reason.h"
#include "tool/table.h"
#include "tool/tool.h"

#include <getopt.h>

/* Something could not be taken over. */
#define IMPORT_EXIT_INCOMPLETE 3

typedef struct Options {
        bool json, write, keys;
} Options;

static void help(void)
{
        printf("Usage: audit-relay import [OPTION...]\n"
               "\n"
               "Reads auditd.conf, audisp-remote.conf and plugins.d/ in /etc/audit, says for each key what\n"
               "becomes of it here, and shows the files that do the same for audit-relay.\n"
               "\n"
               "  --write            Writes these files; what an import before wrote is replaced\n"
               "  --collector=HOST   The collector, whatever remote_server says\n"
               "  --stock-collector  The collector stays an auditd: its protocol, its port\n"
               "  --root=DIR         Reads and writes below DIR\n"
               "  --keys             The table of all keys, in Markdown, and nothing else\n"
               "  --json             As JSON\n"
               "  --help             This text\n"
               "\n"
               "Exit status: 0 all is taken, or not needed; 3 something is not possible or unknown; 1 files\n"
               "cannot be read or written; 2 wrong usage.\n");
}

/* --- The table of keys --- */

static void print_keys(void)
{
        printf("| file | key | becomes | how |\n|---|---|---|---|\n");
        for (unsigned file = 0; file < N_IMPORT_FILES; file++)
                for (const ImportKey *key = import_keys[file]; key->name; key++)
                        printf("| %s | `%s` | %s | %s |\n", import_files[file], key->name, import_fates[key->fate], key->text);
}

/* --- What is to be done by hand --- */

typedef struct Steps {
        char *texts[12];
        unsigned n;
} Steps;

static void add_step(Steps *steps, char *text)
{
        if (text && steps->n < ELEMENTSOF(steps->texts))
                steps->texts[steps->n++] = text;
}

/* The path units that the files enable, behind one another. */
static char *list_paths(const Import *import)
{
        char *list = strdup("systemctl daemon-reload && systemctl start");

        for (size_t i = 0; i < import->n_outputs && list; i++) {
                const char *slash = strrchr(import->outputs[i].path, '/');
                char *longer;

                if (!strstr(import->outputs[i].path, ".wants/"))
                        continue;
                if (asprintf(&longer, "%s %s", list, slash + 1) < 0)
                        longer = NULL;
                free(list);
                list = longer;
        }
        return list;
}

static Steps find_steps(const Import *import, const Options *options)
{
        const ImportSetting *server = import_find(import, IMPORT_REMOTE, "remote_server");
        bool client = import->collector || server, listens = import_listens(import);
        Steps steps = { 0 };
        char *paths = list_paths(import);

        if (!options->write)
                add_step(&steps, strdup("audit-relay import --write    # until then nothing is written"));
        if (!client && !listens)
                add_step(&steps, strdup("audit-relay import --collector=HOST    # no remote_server is named"));
        if (!client && listens && !import_is(import, IMPORT_AUDITD, "local_events", "no"))
                add_step(&steps, strdup("audit-relay import --write --collector=NAME    # its own records too: NAME as in its certificate"));
        if (!import->collector && server && import_lacks_name(import, server->value))
                add_step(&steps, strdup("audit-relay import --write --collector=ADDRESS#NAME    # NAME as in the collector's certificate"));
        if (listens)
                add_step(&steps, strdup("audit-relay cert collector NAME --out=/etc/audit-relay/tls    # NAME as clients call it; audit-relay-tls(7)"));
        else if (client && !import->stock)
                add_step(&steps, strdup("audit-relay cert request | ssh CA-HOST audit-relay cert issue $(hostname) | audit-relay cert install    # audit-relay-tls(7)"));
        add_step(&steps, strdup("systemctl disable auditd && service auditd stop"));
        if (listens) {
                add_step(&steps, strdup("systemctl enable audit-relay-aggregator-auditd.socket    # clients that stay stock; whose networks are in aggregator.conf AuditdAllow="));
                add_step(&steps, strdup("systemctl enable --now audit-relay-collector.target"));
        }
        if (client)
                add_step(&steps, strdup("systemctl enable --now audit-relay-client.target"));
        if (paths && strstr(paths, ".path"))
                add_step(&steps, paths);
        else
                free(paths);
        add_step(&steps, strdup("audit-relay doctor"));
        return steps;
}

static void steps_done(Steps *steps)
{
        for (unsigned i = 0; i < steps->n; i++)
                free(steps->texts[i]);
}

/* --- Output --- */

/* The settings of one file, which begin at `first`; *ret_next is the first of the next file. */
static int print_file(const Import *import, size_t first, size_t *ret_next)
{
        _cleanup_(table_freep) Table *table = NULL;
        const char *path = import->settings[first].path;
        int r = table_new("KEY VALUE BECOMES HOW", &table);
        size_t i;

        if (r < 0)
                return r;
        for (i = first; i < import->n_settings && strcmp(import->settings[i].path, path) == 0; i++) {
                const ImportSetting *setting = &import->settings[i];

                table_add(table, "%s", setting->name);
                table_add(table, "%s%s%s", setting->value, setting->option[0] ? " " : "", setting->option);
                table_add(table, "%s", import_fates[setting->fate]);
                table_add(table, "%s", setting->became);
        }
        *ret_next = i;
        printf("%s%s%s\n\n", first > 0 ? "\n" : "", import->root, path);
        return table_print(table, stdout);
}

static int print_settings(const Import *import)
{
        int r = 0;

        for (size_t i = 0; i < import->n_settings && r == 0;)
                r = print_file(import, i, &i);
        return r;
}

static void print_outputs(const Import *import, const Options *options)
{
        for (size_t i = 0; i < import->n_outputs; i++) {
                const ImportOutput *output = &import->outputs[i];

                if (i == 0)
                        printf("\n%s\n", options->write ? "Written:" : "Would be written with --write:");
                printf("  %s%s%s%s\n", import->root, output->path, output->target ? " -> " : "", output->target ? output->target : "");
                for (const char *p = output->text; p && *p != '\0'; p += strcspn(p, "\n") + 1)
                        printf("      %.*s\n", (int) strcspn(p, "\n"), p);
        }
}

static void print_json(const Import *import, const Options *options, const Steps *steps)
{
        Json json = JSON_INIT(stdout);

        json_object_begin(&json, NULL);
        json_array_begin(&json, "settings");
        for (size_t i = 0; i < import->n_settings; i++) {
                const ImportSetting *setting = &import->settings[i];

                json_object_begin(&json, NULL);
                json_string(&json, "file", setting->path);
                json_unsigned(&json, "line", setting->line);
                json_string(&json, "key", setting->name);
                json_string(&json, "value", setting->value);
                json_string(&json, "option", setting->option);
                json_string(&json, "becomes", import_fates[setting->fate]);
                json_string(&json, "how", setting->became);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_array_begin(&json, options->write ? "written" : "would_write");
        for (size_t i = 0; i < import->n_outputs; i++) {
                json_object_begin(&json, NULL);
                json_string(&json, "path", import->outputs[i].path);
                json_string(&json, "text", import->outputs[i].text);
                json_string(&json, "target", import->outputs[i].target);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_array_begin(&json, "next");
        for (unsigned i = 0; i < steps->n; i++)
                json_string(&json, NULL, steps->texts[i]);
        json_array_end(&json);
        json_object_end(&json);
        putchar('\n');
}

static int print(const Import *import, const Options *options)
{
        Steps steps = find_steps(import, options);
        int r = 0;

        if (options->json)
                print_json(import, options, &steps);
        else {
                r = print_settings(import);
                print_outputs(import, options);
                printf("\nNext:\n");
                for (unsigned i = 0; i < steps.n; i++)
                        printf("  %s\n", steps.texts[i]);
        }
        steps_done(&steps);
        return r;
}

static int run(Import *import, const Options *options)
{
        int r = import_read(import), status = EXIT_SUCCESS;

        if (r == -ENOENT)
                fprintf(stderr, "audit-relay: there is no configuration of auditd in %s/etc/audit: see --root=\n", import->root);
        if (r < 0)
                return TOOL_EXIT_FAILURE;
        import_take(import);
        r = import->error;
        if (r == 0 && options->write)
                r = import_write(import);
        if (r == 0)
                r = print(import, options);
        if (r == -ENOMEM)
                fprintf(stderr, "audit-relay import: cannot finish: %s\n", tool_reason(r));
        for (size_t i = 0; i < import->n_settings; i++)
                if (import->settings[i].fate >= IMPORT_IMPOSSIBLE)
                        status = IMPORT_EXIT_INCOMPLETE;
        return r < 0 ? TOOL_EXIT_FAILURE : status;
}

int verb_import(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "write", no_argument, NULL, 'w' },
                { "collector", required_argument, NULL, 'c' },
                { "stock-collector", no_argument, NULL, 's' },
                { "root", required_argument, NULL, 'r' },
                { "keys", no_argument, NULL, 'k' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Import import = { .root = "" };
        Options options = { 0 };
        int c, status;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'w':
                        options.write = true;
                        break;
                case 'c':
                        import.collector = optarg;
                        break;
                case 's':
                        import.stock = true;
                        break;
                case 'r':
                        import.root = optarg;
                        break;
                case 'k':
                        options.keys = true;
                        break;
                case 'j':
                        options.json = true;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        if (optind < argc) {
                fprintf(stderr, "audit-relay import: takes no argument such as \"%s\", see --help\n", argv[optind]);
                return TOOL_EXIT_USAGE;
        }
        if (options.keys) {
                print_keys();
                return EXIT_SUCCESS;
        }
        if (import.collector && import_lacks_name(&import, import.collector)) {
                fprintf(stderr, "audit-relay import: the address %s needs #NAME behind it, the name in the collector's certificate\n", import.collector);
                return TOOL_EXIT_USAGE;
        }
        status = run(&import, &options);
        import_done(&import);
        return status;
}
