/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* command SOCKET VERB ARGUMENTS: sends one command as a plugin would, and prints the answer: "STATUS TEXT".
 */

#include <audit-relay.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        AuditRelay *relay;
        char text[400] = "";
        int r;

        if (argc != 4 || audit_relay_new(&relay) < 0)
                return 2;
        r = audit_relay_set_filter(relay, "1");
        if (r >= 0)
                r = audit_relay_set_commands(relay, AUDIT_RELAY_SEND_COMMANDS);
        if (r >= 0)
                r = audit_relay_connect(relay, argv[1]);
        if (r >= 0)
                r = audit_relay_command_wait(relay, argv[2], argv[3], 20, text, sizeof text);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", strerror(-r), audit_relay_why(relay));
        else
                printf("%d %s\n", r, text);
        audit_relay_free(relay);
        return r < 0;
}
