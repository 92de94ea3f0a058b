/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may ask for what. Nobody may ask for anything that is not granted: a push subscriber by Commands= in
 * its file, everybody else by Commands= in dispatcher.conf, which names users and groups. What may be asked of this
 * host is one thing, what of the clients of the collector on it another: that is granted as "node:VERB". */

#include "link/frame.h"
#include "runtime/config.h"

#include <sys/types.h>

/* One line "user:NAME VERB…" or "group:NAME VERB…". */
typedef struct CommandGrant {
        bool group;
        bool known; /* there is such a user or group */
        uint32_t id;
        char *name;
        char **verbs;
} CommandGrant;

typedef struct CommandPolicy {
        CommandGrant *grants;
        size_t n;
} CommandPolicy;

/* What is asked for. */
typedef struct CommandWish {
        LinkString verb;
        bool node; /* of other hosts */
} CommandWish;

/* Whose wishes are judged. */
typedef struct CommandIdentity {
        uid_t uid;
        gid_t gid;
        const gid_t *groups; /* supplementary */
        size_t n_groups;
} CommandIdentity;

/* Parsers of configuration keys; the fields are a CommandPolicy and a char **. */
int command_policy_parse(const ConfigKey *key, const char *value, void *field);
int command_verbs_parse(const ConfigKey *key, const char *value, void *field);

/* Looks the names up. Those that there are not are warned of and grant nothing: early in the boot, not every
 * directory of users answers. */
void command_policy_resolve(CommandPolicy *policy);
void command_policy_done(CommandPolicy *policy);

bool command_policy_allows(const CommandPolicy *policy, const CommandIdentity *who, const CommandWish *wish);
/* Whether the list of verbs has it; NULL: an empty one. */
bool command_verbs_allow(char *const *verbs, const CommandWish *wish);
