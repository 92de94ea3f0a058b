/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reasons behind the verbs' messages. The system says why; what to type follows from that, whatever it was that failed. */

#include "tool/reason.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *advice(int error)
{
        switch (error) {
        case EACCES:
        case EPERM:
                return geteuid() == 0 ? "`audit-relay doctor security` says who forbids it to root" : "run it as root";
        case ENOENT:
        case ENOTDIR:
        case EISDIR:
        case ELOOP:
        case ENAMETOOLONG:
                return "check the path";
        case ENOSPC:
        case EDQUOT:
                return "make room there";
        case EROFS:
                return "choose a place that can be written, or see journalctl -k for why it cannot";
        case EIO:
                return "check the disk: journalctl -k";
        case ECONNREFUSED:
        case ECONNRESET:
        case ENOTCONN:
        case EPIPE:
                return "see `audit-relay status` for whether it runs";
        case ENOMEM:
        case EMFILE:
        case ENFILE:
                return "stop something else, or raise the limit";
        default:
                return "see audit-relay-messages(7)";
        }
}

const char *tool_reason(int error)
{
        static char text[256];

        error = abs(error);
        (void) snprintf(text, sizeof text, "%s; %s", strerror(error), advice(error));
        return text;
}
