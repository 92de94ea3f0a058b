/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A catalog's entry ends with a paragraph that says what to do (tests/style/catalog.py). */

#include "tool/doctor/advice.h"
#include "runtime/conditions.h"

#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

static char *last_paragraph(const char *text)
{
        size_t size = strlen(text);
        const char *begin = text;
        char *line;

        while (size > 0 && text[size - 1] == '\n')
                size--;
        for (const char *p = text; (p = memmem(p, size - (size_t) (p - text), "\n\n", 2)); p += 2)
                begin = p + 2;
        line = strndup(begin, size - (size_t) (begin - text));
        for (char *p = line; p && (p = strchr(p, '\n'));)
                *p = ' ';
        return line;
}

char *advice_of(const char *component, const char *condition)
{
        _cleanup_(freep) char *text = NULL;
        const Condition *known = condition_find(component, condition);
        sd_id128_t id;

        if (known && sd_id128_from_string(known->message_id, &id) >= 0 &&
            sd_journal_get_catalog_for_message_id(id, &text) >= 0)
                return last_paragraph(text);
        return strdup("see audit-relay-states(7); `journalctl --update-catalog` has it shown here");
}
