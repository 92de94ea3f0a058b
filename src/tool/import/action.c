/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* auditd's *_action keys: reactions to our conditions, drop-ins of audit-relay-state@CONDITION.service. */

#include "tool/import/take.h"

#include <limits.h>

#define REACTIONS "/usr/lib/audit-relay/reactions"

/* The instances of audit-relay-state@ that a key is about on this host: "remote-spool_full". */
#define CONDITIONS_MAX 2U

typedef struct Conditions {
        char names[CONDITIONS_MAX][64];
        unsigned n;
        char text[160]; /* "remote/spool_full, …" */
} Conditions;

static Conditions find_conditions(const Import *import, const ImportKey *key)
{
        const char *slash = strchr(key->argument, '/');
        const char *p = slash && import_listens(import) ? slash + 1 : key->argument;
        Conditions conditions = { 0 };

        while (*p != '\0' && *p != '/' && conditions.n < CONDITIONS_MAX) {
                size_t n = strcspn(p, " /"), at = strlen(conditions.text);
                char *name = conditions.names[conditions.n++];

                (void) snprintf(name, sizeof conditions.names[0], "%.*s", (int) n, p);
                (void) snprintf(conditions.text + at, sizeof conditions.text - at, "%s%s", at > 0 ? ", " : "", name);
                *strchr(conditions.text + at, '-') = '/';
                p += n + (p[n] == ' ');
        }
        return conditions;
}

static void enable_path(Import *import, const char *condition)
{
        char instance[PATH_MAX];

        (void) snprintf(instance, sizeof instance, "audit-relay-state@%s.path", condition);
        import_enable(import, instance, "audit-relay-state@.path", "paths.target");
}

static void link_reaction(Import *import, const char *condition, const char *reaction)
{
        char unit[PATH_MAX], target[PATH_MAX], text[512];
        const ImportSetting *account = import_find(import, IMPORT_AUDITD, "action_mail_acct");

        (void) snprintf(unit, sizeof unit, "audit-relay-state@%s.service", condition);
        (void) snprintf(target, sizeof target, REACTIONS "/%s.conf", reaction);
        import_drop_in(import, unit, reaction, NULL, target);
        /* After the other one by its name: the last assignment counts. */
        if (strcmp(reaction, "email") == 0 && account && strcmp(account->value, "root") != 0) {
                (void) snprintf(text, sizeof text, "[Service]\nEnvironment=MAILTO=%.250s\n", account->value);
                import_drop_in(import, unit, "mailto", text, NULL);
        }
        enable_path(import, condition);
}

/* As auditd calls it: with one argument, what happened; and with what systemd takes for a word. */
static void run_program(Import *import, const char *condition, const char *program)
{
        char unit[PATH_MAX], text[PATH_MAX + 256];

        (void) snprintf(unit, sizeof unit, "audit-relay-state@%s.service", condition);
        (void) snprintf(text, sizeof text, "[Service]\nExecStartPre=-+%s \"%%I\"\n", program);
        import_drop_in(import, unit, "exec", text, NULL);
        enable_path(import, condition);
}

/* What needs no quoting in a unit, which is what people call programs. */
static bool program_is_plain(const char *program)
{
        return program[0] == '/' &&
               strspn(program, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+") == strlen(program);
}

static bool is_word(const ImportSetting *setting, const char *word)
{
        return strcasecmp(setting->value, word) == 0;
}

/* Actions that take no reaction. Returns whether it is one. */
static bool needs_none(Import *import, const ImportKey *key, ImportSetting *setting, const char *conditions)
{
        if (is_word(setting, "ignore"))
                import_became(import, setting, IMPORT_UNNEEDED, "no reaction to %s: it is a file and a line in the journal", conditions);
        else if (is_word(setting, "reconnect"))
                import_became(import, setting, IMPORT_UNNEEDED, "remote connects again by itself");
        else if (is_word(setting, "rotate"))
                import_became(import, setting, IMPORT_UNNEEDED, "nothing is deleted for it; what deletes the oldest is WhenFull=drop-oldest, at MaxUse= and KeepFree=");
        else if (is_word(setting, "suspend") && strstr(conditions, "_low") && !strstr(conditions, "/collector_"))
                import_became(import, setting, IMPORT_UNNEEDED, "%s suspends nothing: the log goes on until the disk is full, and then nothing is acked",
                              conditions);
        else if (is_word(setting, "suspend") && strncmp(key->argument, "remote-collector", 16) != 0 && strstr(key->argument, "disk_"))
                import_became(import, setting, IMPORT_UNNEEDED, "while %s holds nothing is acked, and it goes on when there is room",
                              conditions);
        else if (is_word(setting, "suspend") && strncmp(key->argument, "remote-", 7) != 0)
                import_became(import, setting, IMPORT_IMPOSSIBLE, "a plugin that is too slow does not stop the others");
        else
                return false;
        return true;
}

void take_action(Import *import, const ImportKey *key, ImportSetting *setting)
{
        static const char *const reactions[] = { "syslog", "email", "warn_once", "suspend", "single", "halt", "stop" };
        const char *value = is_word(setting, "warn_once_continue") ? "warn_once" : setting->value;
        Conditions conditions = find_conditions(import, key);

        if (needs_none(import, key, setting, conditions.text))
                return;
        if (is_word(setting, "exec") && !program_is_plain(setting->option)) {
                import_became(import, setting, IMPORT_IMPOSSIBLE, "\"%s\" is no plain path of a program", setting->option);
                return;
        }
        if (is_word(setting, "exec")) {
                for (unsigned i = 0; i < conditions.n; i++)
                        run_program(import, conditions.names[i], setting->option);
                import_became(import, setting, IMPORT_TAKEN, "%s runs as root when %s begins", setting->option, conditions.text);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(reactions); i++)
                if (strcasecmp(value, reactions[i]) == 0) {
                        for (unsigned c = 0; c < conditions.n; c++)
                                link_reaction(import, conditions.names[c], reactions[i]);
                        import_became(import, setting, IMPORT_TAKEN, "reaction `%s` to %s", reactions[i], conditions.text);
                        return;
                }
        import_became(import, setting, IMPORT_UNKNOWN, "there is no action \"%s\"", setting->value);
}

void take_action_but_stop(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "stop"))
                import_became(import, setting, IMPORT_UNNEEDED,
                              "auditd started audisp-remote again with the next record: remote keeps all and tries again by itself");
        else
                take_action(import, key, setting);
}
