/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/command-policy.h"
#include "dispatcher/command-verb.h"
#include "runtime/log.h"

#include <grp.h>
#include <pwd.h>

static const char blanks[] = " \t";
/* Before a verb that other hosts may be asked for. */
static const char node_prefix[] = "node:";

/* The verb behind the prefix, if there is one. */
static const char *verb_of(const char *word, bool *ret_node)
{
        *ret_node = strncmp(word, node_prefix, sizeof node_prefix - 1) == 0;
        return *ret_node ? word + sizeof node_prefix - 1 : word;
}

/* --- Reading --- */

int command_verbs_parse(const ConfigKey *key, const char *value, void *field)
{
        _cleanup_(strings_freep) char **words = NULL;
        char ***list = field;
        CommandVerb verb;
        bool node;
        int r = config_parse_strings(key, value, &words);

        for (size_t i = 0; r >= 0 && i < strings_count(words); i++)
                if (!command_verb_find(link_string(verb_of(words[i], &node)), &verb))
                        return -EINVAL;
        for (size_t i = 0; r >= 0 && i < strings_count(words); i++)
                r = strings_append(list, words[i]);
        return r;
}

static void grant_done(CommandGrant *grant)
{
        free(grant->name);
        strings_free(grant->verbs);
}

/* "user:NAME" or "group:NAME". */
static int parse_whom(const char *text, size_t size, CommandGrant *grant)
{
        static const char user[] = "user:", group[] = "group:";
        size_t prefix = 0;

        if (size > sizeof user - 1 && memcmp(text, user, sizeof user - 1) == 0)
                prefix = sizeof user - 1;
        else if (size > sizeof group - 1 && memcmp(text, group, sizeof group - 1) == 0)
                prefix = sizeof group - 1;
        if (prefix == 0)
                return -EINVAL;
        grant->group = prefix == sizeof group - 1;
        grant->name = strndup(text + prefix, size - prefix);
        return grant->name ? 0 : -ENOMEM;
}

int command_policy_parse(const ConfigKey *key, const char *value, void *field)
{
        size_t size = strcspn(value, blanks);
        const char *verbs = value + size + strspn(value + size, blanks);
        _cleanup_(grant_done) CommandGrant grant = { 0 };
        CommandPolicy *policy = field;
        CommandGrant *grants;
        int r = parse_whom(value, size, &grant);

        if (r >= 0)
                r = *verbs != '\0' ? command_verbs_parse(key, verbs, &grant.verbs) : -EINVAL;
        if (r < 0)
                return r;
        grants = reallocarray(policy->grants, policy->n + 1, sizeof *grants);
        if (!grants)
                return -ENOMEM;
        policy->grants = grants;
        policy->grants[policy->n++] = grant;
        grant = (CommandGrant) { 0 };
        return 0;
}

/* A number is an id. */
static bool read_id(const char *name, uint32_t *ret)
{
        uint64_t id;

        if (config_parse_unsigned(NULL, name, &id) < 0 || id >= UINT32_MAX)
                return false;
        *ret = (uint32_t) id;
        return true;
}

static bool look_up(const CommandGrant *grant, uint32_t *ret)
{
        const struct passwd *user = grant->group ? NULL : getpwnam(grant->name);
        const struct group *group = grant->group ? getgrnam(grant->name) : NULL;

        if (user)
                *ret = user->pw_uid;
        else if (group)
                *ret = group->gr_gid;
        return user || group || read_id(grant->name, ret);
}

void command_policy_resolve(CommandPolicy *policy)
{
        for (size_t i = 0; i < policy->n; i++) {
                CommandGrant *grant = &policy->grants[i];

                grant->known = look_up(grant, &grant->id);
                if (!grant->known)
                        log_message(LOG_WARNING, MESSAGE_ID_CONFIG_WARNING, NULL,
                                    "Commands=%s:%s: there is none of that name, nothing is granted to it",
                                    grant->group ? "group" : "user", grant->name);
        }
}

void command_policy_done(CommandPolicy *policy)
{
        for (size_t i = 0; i < policy->n; i++)
                grant_done(&policy->grants[i]);
        free(policy->grants);
        *policy = (CommandPolicy) { 0 };
}

/* --- Judging --- */

bool command_verbs_allow(char *const *verbs, const CommandWish *wish)
{
        for (size_t i = 0; verbs && verbs[i]; i++) {
                bool node;
                LinkString verb = link_string(verb_of(verbs[i], &node));

                if (node == wish->node && verb.size == wish->verb.size &&
                    memcmp(verb.data, wish->verb.data, verb.size) == 0)
                        return true;
        }
        return false;
}

static bool concerns(const CommandGrant *grant, const CommandIdentity *who)
{
        if (!grant->known)
                return false;
        if (!grant->group)
                return who->uid == grant->id;
        if (who->gid == grant->id)
                return true;
        for (size_t i = 0; i < who->n_groups; i++)
                if (who->groups[i] == grant->id)
                        return true;
        return false;
}

bool command_policy_allows(const CommandPolicy *policy, const CommandIdentity *who, const CommandWish *wish)
{
        for (size_t i = 0; i < policy->n; i++)
                if (concerns(&policy->grants[i], who) && command_verbs_allow(policy->grants[i].verbs, wish))
                        return true;
        return false;
}
