/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One command, many clients, one answer that tells of each.
 *
 *  1. The dispatcher is answered once for each command, within its time.
 *  2. What commands can take is bounded: so many under way, and of each a text of fixed size, in which what went wrong
 *     has its own room. What finds no room there is counted.
 *  3. A client's words are shown as one line, whatever bytes they have: none speaks for another.
 *  4. Done is what all who were asked have done.
 */

#include "aggregator/client-commands.h"
#include "basic/macro.h"
#include "runtime/gathering.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/queue.h>

/* Each may wait for all clients; whoever asks for more is told so. */
#define UNDER_WAY_MAX 16U
#define TIMEOUT_SEC_MAX 60U
#define TIMEOUT_SEC_DEFAULT 10U
/* Of the command's time: what is left of it when we say who was silent, as that is looked at once a second and the dispatcher is
 * to have it in time; and what a client has less, so that it is the one to say who was silent there. */
#define MARGIN_USEC (1500 * USEC_PER_MSEC)
#define CLIENT_LESS_SEC 3U
/* Of one client's words. */
#define WORDS_MAX 240U
/* Together, with the summary, not above GATHERING_TEXT_MAX, where the dispatcher would cut. */
#define BAD_MAX 1200U
#define GOOD_MAX 500U
/* Arguments that the dispatcher lets through are shorter. */
#define ARGUMENTS_MAX 4096U

static const char node_key[] = "NODE=";
static const char node_all[] = "all";

typedef enum Outcome {
        OUTCOME_DONE = LINK_REPLY_DONE,
        OUTCOME_REFUSED = LINK_REPLY_REFUSED,
        OUTCOME_UNKNOWN = LINK_REPLY_UNKNOWN,
        OUTCOME_FAILED = LINK_REPLY_FAILED,
        OUTCOME_SILENT,
        OUTCOME_UNREACHED, /* it was not asked */
        _OUTCOME_MAX,
} Outcome;

static const char *const outcome_names[_OUTCOME_MAX] = {
        [OUTCOME_DONE] = "done",     [OUTCOME_REFUSED] = "refused",  [OUTCOME_UNKNOWN] = "unknown verb",
        [OUTCOME_FAILED] = "failed", [OUTCOME_SILENT] = "no answer", [OUTCOME_UNREACHED] = "not reached",
};

/* Lines, one for each client. */
typedef struct Report {
        size_t size, max;
        unsigned left_out;
        char text[MAX(BAD_MAX, GOOD_MAX)];
} Report;

/* A command of the dispatcher under way. */
typedef struct Order {
        uint64_t asker_id;
        bool wanted; /* somebody waits for the answer */
        bool all;
        unsigned n[_OUTCOME_MAX];
        Report bad, good;
        LIST_ENTRY(Order) orders;
} Order;

struct ClientCommands {
        ClientCommandsOptions options;
        Gathering *gathering;
        LIST_HEAD(, Order) orders;
        uint64_t last_id;
        ClientCommandsCounters counters;
        /* While clients are looked for: */
        Order *order;
        void **receivers;
        size_t n_receivers, receivers_max;
};

/* --- Answers --- */

static void report_add(Report *report, const char *node, const char *outcome, LinkString words)
{
        int size = (int) MIN(words.size, (size_t) WORDS_MAX);
        char line[NODE_NAME_MAX + WORDS_MAX + 32];
        int n = snprintf(line, sizeof line, "%s%s%s%s%s%.*s", report->size > 0 ? "\n" : "", node, outcome ? ": " : "",
                         outcome ? outcome : "", size > 0 ? ": " : "", size, size > 0 ? words.data : "");

        for (int i = report->size > 0 ? 1 : 0; i < n; i++)
                if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
                        line[i] = '?';
        if (n < 0 || report->size + (size_t) n > report->max) {
                report->left_out++;
                return;
        }
        memcpy(report->text + report->size, line, (size_t) n);
        report->size += (size_t) n;
}

static void note(Order *order, const char *node, Outcome outcome, LinkString words)
{
        /* Of a single client the status says it, unless it is none of a client's. */
        bool said = !order->all && outcome < OUTCOME_SILENT;

        order->n[outcome]++;
        report_add(outcome == OUTCOME_DONE ? &order->good : &order->bad, node, said ? NULL : outcome_names[outcome],
                   words);
}

/* Those who were not asked do not count, unless nobody was. */
static LinkReplyStatus status_of(const Order *order)
{
        static const LinkReplyStatus same[] = { LINK_REPLY_DONE, LINK_REPLY_REFUSED, LINK_REPLY_UNKNOWN };
        unsigned asked = 0;

        for (Outcome outcome = 0; outcome < OUTCOME_UNREACHED; outcome++)
                asked += order->n[outcome];
        for (size_t i = 0; asked > 0 && i < ELEMENTSOF(same); i++)
                if (order->n[same[i]] == asked)
                        return same[i];
        return LINK_REPLY_FAILED;
}

static void put_counts(FILE *to, const Order *order)
{
        bool first = true;

        for (Outcome outcome = 0; outcome < _OUTCOME_MAX; outcome++)
                if (order->n[outcome] > 0) {
                        fprintf(to, "%s%u %s", first ? "" : ", ", order->n[outcome], outcome_names[outcome]);
                        first = false;
                }
        if (first)
                fputs("no client is known", to);
}

static void put_report(FILE *to, const Report *report, bool first)
{
        fprintf(to, "%s%.*s", first || report->size == 0 ? "" : "\n", (int) report->size, report->text);
}

static void put_text(FILE *to, const Order *order)
{
        unsigned left_out = order->bad.left_out + order->good.left_out;

        if (order->all)
                put_counts(to, order);
        put_report(to, &order->bad, !order->all);
        put_report(to, &order->good, !order->all);
        if (left_out > 0)
                fprintf(to, "\nand %u more", left_out);
}

static void finish(ClientCommands *commands, Order *order)
{
        char text[GATHERING_TEXT_MAX + 1] = "";
        LinkReply reply = { .id = order->asker_id, .status = (uint16_t) status_of(order) };
        FILE *to = fmemopen(text, sizeof text, "w");

        if (to) {
                put_text(to, order);
                (void) fclose(to);
        }
        reply.text = link_string(text);
        if (order->wanted)
                commands->options.reply(&reply, commands->options.userdata);
        LIST_REMOVE(order, orders);
        free(order);
}

static void refuse(const ClientCommands *commands, const LinkCommand *command, const char *why)
{
        LinkReply reply = { .id = command->id, .status = LINK_REPLY_FAILED, .text = link_string(why) };

        if (command->timeout_sec > 0)
                commands->options.reply(&reply, commands->options.userdata);
}

/* --- Of the gathering --- */

static void on_heard(const GatheringVoice *voice, void *userdata)
{
        ClientCommands *commands = userdata;

        commands->counters.silent += voice->silent;
        note(voice->asker, commands->options.name(voice->receiver),
             voice->silent ? OUTCOME_SILENT : (Outcome) voice->status, voice->silent ? link_string("") : voice->text);
}

static void on_answered(const GatheringAnswer *answer, void *userdata)
{
        finish(userdata, answer->asker);
}

/* --- Sending --- */

void client_commands_add(ClientCommands *commands, const char *node, void *client, const char *why_not)
{
        size_t max = MAX(2 * commands->receivers_max, (size_t) 16);
        void **grown;

        if (!client) {
                note(commands->order, node, OUTCOME_UNREACHED, link_string(why_not));
                return;
        }
        if (commands->n_receivers == commands->receivers_max) {
                grown = reallocarray(commands->receivers, max, sizeof *grown);
                if (!grown) {
                        note(commands->order, node, OUTCOME_UNREACHED, link_string("out of memory"));
                        return;
                }
                commands->receivers = grown;
                commands->receivers_max = max;
        }
        commands->receivers[commands->n_receivers++] = client;
}

/* What NODE= says, and the other lines into `rest` (as much room as the arguments). */
static bool take_node(LinkString arguments, char ret_node[static NODE_NAME_MAX + 1], LinkString *ret_rest, char *rest)
{
        const size_t key = sizeof node_key - 1;
        size_t used = 0, found = 0;

        while (arguments.size > 0) {
                const char *end = memchr(arguments.data, '\n', arguments.size);
                size_t line = end ? (size_t) (end - arguments.data) : arguments.size, all = line + (end ? 1 : 0);

                if (line < key || memcmp(arguments.data, node_key, key) != 0) {
                        memcpy(rest + used, arguments.data, all);
                        used += all;
                } else {
                        if (line - key == 0 || line - key > NODE_NAME_MAX)
                                return false;
                        memcpy(ret_node, arguments.data + key, line - key);
                        ret_node[line - key] = '\0';
                        found++;
                }
                arguments.data += all;
                arguments.size -= all;
        }
        *ret_rest = (LinkString) { rest, used };
        return found == 1;
}

static void send_to_all(ClientCommands *commands, Order *order, const LinkCommand *command)
{
        uint64_t time_usec = command->timeout_sec * USEC_PER_SEC;
        GatheringCommand asked = {
                .id = ++commands->last_id,
                .asker = order,
                .deadline_usec = commands->options.monotonic_usec() +
                                 (time_usec >= 2 * MARGIN_USEC ? time_usec - MARGIN_USEC : time_usec / 2),
        };
        size_t n = commands->n_receivers;
        LinkCommand frame = *command;
        LinkReply failed = { .id = asked.id, .status = LINK_REPLY_FAILED, .text = link_string("does not read") };

        if (gathering_begin(commands->gathering, &asked, commands->receivers, n) < 0) {
                for (size_t i = 0; i < n; i++)
                        note(order, commands->options.name(commands->receivers[i]), OUTCOME_UNREACHED,
                             link_string("out of memory"));
                finish(commands, order);
                return;
        }
        frame.id = asked.id;
        frame.timeout_sec = command->timeout_sec > CLIENT_LESS_SEC ? command->timeout_sec - CLIENT_LESS_SEC : 1;
        commands->counters.sent += n;
        /* The last one that fails ends the order. */
        for (size_t i = 0; i < n; i++)
                if (commands->options.send(commands->receivers[i], &frame) < 0)
                        gathering_reply(commands->gathering, commands->receivers[i], NULL, &failed);
}

static Order *order_new(ClientCommands *commands, const LinkCommand *command, bool all)
{
        Order *order = calloc(1, sizeof *order);

        if (!order)
                return NULL;
        order->asker_id = command->id;
        order->wanted = command->timeout_sec > 0;
        order->all = all;
        order->bad.max = BAD_MAX;
        order->good.max = GOOD_MAX;
        LIST_INSERT_HEAD(&commands->orders, order, orders);
        return order;
}

void client_commands_take(ClientCommands *commands, const LinkCommand *command)
{
        char node[NODE_NAME_MAX + 1], rest[ARGUMENTS_MAX];
        LinkCommand frame = *command;
        bool all;

        commands->counters.taken++;
        if (command->arguments.size > sizeof rest || !take_node(command->arguments, node, &frame.arguments, rest)) {
                refuse(commands, command, "NODE= of a client is missing");
                return;
        }
        if (!gathering_has_room(commands->gathering, 0)) {
                refuse(commands, command, "too many commands are under way");
                return;
        }
        all = strcmp(node, node_all) == 0;
        commands->order = order_new(commands, command, all);
        if (!commands->order) {
                refuse(commands, command, "out of memory");
                return;
        }
        commands->n_receivers = 0;
        commands->options.find(commands, all ? NULL : node, commands->options.userdata);
        frame.timeout_sec = command->timeout_sec > 0 ? MIN(command->timeout_sec, TIMEOUT_SEC_MAX) : TIMEOUT_SEC_DEFAULT;
        if (commands->n_receivers > 0)
                send_to_all(commands, commands->order, &frame);
        else
                finish(commands, commands->order);
        commands->order = NULL;
}

/* --- What happens to clients and dispatcher --- */

void client_commands_reply(ClientCommands *commands, const void *client, const LinkReply *reply)
{
        gathering_reply(commands->gathering, client, NULL, reply);
}

void client_commands_gone(ClientCommands *commands, const void *client)
{
        gathering_forget(commands->gathering, client);
}

void client_commands_abandon(ClientCommands *commands)
{
        Order *order;

        LIST_FOREACH(order, &commands->orders, orders)
                order->wanted = false;
}

void client_commands_tick(ClientCommands *commands)
{
        gathering_tick(commands->gathering, commands->options.monotonic_usec());
}

const ClientCommandsCounters *client_commands_counters(const ClientCommands *commands)
{
        return &commands->counters;
}

/* --- Life --- */

int client_commands_new(const ClientCommandsOptions *options, ClientCommands **ret)
{
        _cleanup_(client_commands_freep) ClientCommands *commands = calloc(1, sizeof *commands);
        GatheringOptions gathering = {
                .commands_max = UNDER_WAY_MAX,
                .client_max = UNDER_WAY_MAX,
                .heard = on_heard,
                .answered = on_answered,
                .userdata = commands,
        };
        int r;

        if (!commands)
                return -ENOMEM;
        commands->options = *options;
        r = gathering_new(&gathering, &commands->gathering);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(commands);
        return 0;
}

ClientCommands *client_commands_free(ClientCommands *commands)
{
        Order *order;

        if (!commands)
                return NULL;
        gathering_free(commands->gathering);
        while ((order = LIST_FIRST(&commands->orders))) {
                LIST_REMOVE(order, orders);
                free(order);
        }
        free(commands->receivers);
        free(commands);
        return NULL;
}
