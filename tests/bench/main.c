/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bench.h"

static const Verb verbs[] = {
        { "generate", "LAST [NODE|- [FIRST]]", 1, verb_generate },
        { "sum", "COUNT NODE|-", 2, verb_sum },
        { "feed", "SOCKET LAST [FIRST]", 2, verb_feed },
        { "watch", "FILE|DIRECTORY BYTES SECONDS", 3, verb_watch },
        { "check", "COUNT NODE|- whole|tail|auditd FILE|DIRECTORY", 4, verb_check },
        { "subscribe", "DESCRIPTOR COUNT NODE good|careless|silent|slow", 4, verb_subscribe },
        { "part", "NAME COUNT DIRECTORY", 3, verb_part },
        { "store", "LAST NODE DIRECTORY [SEGMENT_BYTES]", 3, verb_store },
        { "execs", "COUNT RATE GID PROGRAM", 4, verb_execs },
        { "bound", "COUNT FILE DIRECTORY one|two|hashed", 4, verb_bound },
        { "bound-fanout", "COUNT NODE SUBSCRIBERS", 3, verb_bound_fanout },
};

int main(int argc, char **argv)
{
        for (size_t i = 0; argc > 1 && i < ELEMENTSOF(verbs); i++)
                if (strcmp(argv[1], verbs[i].name) == 0 && argc - 2 >= verbs[i].arguments)
                        return verbs[i].run(argc - 1, argv + 1);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                fprintf(stderr, "relay-bench %s %s\n", verbs[i].name, verbs[i].usage);
        return 2;
}
