/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dispatcher's end of a plugin's connection, made of the parts that the dispatcher is made of: a
 * LinkSender over a source. The test owns both ends of the socket and turns the crank.
 */

#include "array-source.h"
#include "link/link-sender.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>

typedef struct Fake {
        int fd;
        LinkSender sender;
        ArraySource *source;
        Buffer input, output;
        uint64_t now_usec;
        bool ended;      /* the plugin hung up */
        unsigned n_byes; /* heard */
        char filter[64], name[64];
        LinkStart start;
        /* What commands are answered with; "" : not at all. */
        LinkReplyStatus answer;
        const char *answer_text;
        unsigned n_commands;
        char command[128]; /* "VERB ARGUMENTS" */
        unsigned n_replies;
        char reply[128]; /* "ID STATUS TEXT" */
} Fake;

static inline Fake *fake_of(LinkSender *sender)
{
        return container_of(sender, Fake, sender);
}

static inline void fake_on_hello(LinkSender *sender, const LinkHello *hello, Buffer *output)
{
        Fake *fake = fake_of(sender);

        (void) snprintf(fake->filter, sizeof fake->filter, "%.*s", (int) hello->filter.size,
                        hello->filter.data);
        (void) snprintf(fake->name, sizeof fake->name, "%.*s", (int) hello->node.size, hello->node.data);
        fake->start = hello->start;
}

static inline void fake_on_command(LinkSender *sender, const LinkCommand *command)
{
        Fake *fake = fake_of(sender);
        LinkReply reply = { .id = command->id,
                            .status = (uint16_t) fake->answer,
                            .text = link_string(fake->answer_text) };

        fake->n_commands++;
        (void) snprintf(fake->command, sizeof fake->command, "%.*s %.*s", (int) command->verb.size,
                        command->verb.data, (int) command->arguments.size, command->arguments.data);
        if (fake->answer_text)
                ck_assert_int_eq(frame_put_reply(&fake->output, &reply), 0);
}

static inline void fake_on_reply(LinkSender *sender, const LinkReply *reply)
{
        Fake *fake = fake_of(sender);

        fake->n_replies++;
        (void) snprintf(fake->reply, sizeof fake->reply, "%lu %u %.*s", (unsigned long) reply->id,
                        reply->status, (int) reply->text.size, reply->text.data);
}

static inline void fake_on_bye(LinkSender *sender, const LinkBye *bye)
{
        fake_of(sender)->n_byes++;
}

static const LinkSenderHandler fake_handler = {
        .hello = fake_on_hello,
        .command = fake_on_command,
        .reply = fake_on_reply,
        .bye = fake_on_bye,
};

/* `pull`: the plugin connected and says HELLO first. */
static inline void fake_begin(Fake *fake, ArraySource *source, int fd, bool pull)
{
        *fake = (Fake) { .fd = fd,
                         .source = source,
                         .input = BUFFER_INIT(4 * LINK_FRAME_MAX),
                         .output = BUFFER_INIT(4 * LINK_FRAME_MAX),
                         .now_usec = 1 };
        link_sender_init(&fake->sender, &source->source, &fake_handler, "host", LINK_FEATURE_COMMANDS);
        if (pull)
                link_sender_accept(&fake->sender);
        else
                ck_assert_int_eq(link_sender_start(&fake->sender, &fake->output, fake->now_usec), 0);
}

static inline void fake_done(Fake *fake)
{
        fake->fd = close_fd(fake->fd);
        link_sender_done(&fake->sender);
        buffer_done(&fake->input);
        buffer_done(&fake->output);
}

/* Reads, answers, sends what there is. */
static inline void fake_pump(Fake *fake)
{
        uint8_t *space = buffer_reserve(&fake->input, LINK_FRAME_MAX);
        ssize_t n;

        ck_assert_ptr_nonnull(space);
        n = recv(fake->fd, space, LINK_FRAME_MAX, MSG_DONTWAIT);
        fake->ended = fake->ended || n == 0;
        if (n > 0) {
                buffer_extend(&fake->input, (size_t) n);
                n = link_sender_feed(&fake->sender, buffer_head(&fake->input), buffer_size(&fake->input),
                                     &fake->output, fake->now_usec);
                ck_assert_msg(n >= 0, "the plugin broke the protocol: %s", fake->sender.why);
                buffer_consume(&fake->input, (size_t) n);
        }
        ck_assert_int_ge(link_sender_fill(&fake->sender, &fake->output, fake->now_usec), 0);
        if (buffer_size(&fake->output) == 0)
                return;
        n = send(fake->fd, buffer_head(&fake->output), buffer_size(&fake->output),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
                buffer_consume(&fake->output, (size_t) n);
}

/* Appends a batch of these whole lines, what is left of `range` records. */
static inline void fake_append(ArraySource *a, BatchOrigin origin, uint32_t range, const char *lines)
{
        uint32_t count = 0;

        for (const char *p = lines; (p = strchr(p, '\n')); p++)
                count++;
        array_append_lines(a, range, count, lines, origin);
}
