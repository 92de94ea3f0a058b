/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A sender and a receiver, one at each end of two buffers. */

#include "array-source.h"
#include "check-main.h"
#include "link/link-command.h"
#include "link/link-receiver.h"
#include "link/link-sender.h"

static ArraySource array;
static LinkSender sender;
static LinkReceiver receiver;
static Buffer to_receiver, to_sender;
static unsigned n_commands, n_replies;

static void on_sender_command(LinkSender *s, const LinkCommand *command)
{
        n_commands++;
}

static void on_sender_reply(LinkSender *s, const LinkReply *reply)
{
        n_replies++;
}

static void on_hello(LinkReceiver *r, const LinkHello *hello)
{
        ck_assert_int_eq(link_receiver_welcome(r, &to_sender, 0, 0, "collector", ""), 0);
}

static int on_batch(LinkReceiver *r, const Batch *batch)
{
        return 0;
}

static void on_receiver_command(LinkReceiver *r, const LinkCommand *command)
{
        n_commands++;
}

static void on_receiver_reply(LinkReceiver *r, const LinkReply *reply)
{
        n_replies++;
}

static const LinkSenderHandler sender_handler = { .command = on_sender_command, .reply = on_sender_reply };
static const LinkSenderHandler no_sender_handler = { 0 };
static const LinkReceiverHandler receiver_handler = { .hello = on_hello, .batch = on_batch,
                                                      .command = on_receiver_command, .reply = on_receiver_reply };
static const LinkReceiverHandler least_receiver_handler = { .hello = on_hello, .batch = on_batch };

static void setup(void)
{
        array_init(&array, 1);
        to_receiver = to_sender = BUFFER_INIT(LINK_FRAME_MAX);
        n_commands = n_replies = 0;
}

static void teardown(void)
{
        link_sender_done(&sender);
        link_receiver_done(&receiver);
        buffer_done(&to_receiver);
        buffer_done(&to_sender);
        array_done(&array);
}

static void feed_receiver(void)
{
        ssize_t n = link_receiver_feed(&receiver, buffer_head(&to_receiver), buffer_size(&to_receiver),
                                       &to_sender);

        ck_assert_int_ge(n, 0);
        buffer_consume(&to_receiver, (size_t) n);
}

static void feed_sender(void)
{
        ssize_t n = link_sender_feed(&sender, buffer_head(&to_sender), buffer_size(&to_sender), &to_receiver, 0);

        ck_assert_int_ge(n, 0);
        buffer_consume(&to_sender, (size_t) n);
}

static void connect_them(bool owned, uint16_t sender_features, uint16_t receiver_features)
{
        link_sender_init(&sender, &array.source, owned ? &sender_handler : &no_sender_handler, "web1",
                         sender_features);
        link_receiver_init(&receiver, owned ? &receiver_handler : &least_receiver_handler,
                           LINK_WINDOW_DEFAULT, receiver_features);
        ck_assert(!link_sender_commands(&sender) && !link_receiver_commands(&receiver));
        ck_assert_int_eq(link_sender_start(&sender, &to_receiver, 0), 0);
        feed_receiver();
        feed_sender();
        ck_assert_int_eq(sender.state, LINK_SENDER_CONNECTED);
}

START_TEST(commands_are_for_two_who_want_them)
{
        uint16_t ours = _i & 1 ? LINK_FEATURE_COMMANDS : 0, theirs = _i & 2 ? LINK_FEATURE_COMMANDS : 0;

        connect_them(true, ours, theirs);
        ck_assert(link_sender_commands(&sender) == (_i == 3));
        ck_assert(link_receiver_commands(&receiver) == (_i == 3));
        ck_assert_int_eq(link_sender_end(&sender, &to_receiver, LINK_BYE_ENDING, ""), 0);
        feed_receiver();
        ck_assert(!link_sender_commands(&sender) && !link_receiver_commands(&receiver));
}
END_TEST

START_TEST(they_go_both_ways)
{
        LinkCommand command = { .id = 7, .timeout_sec = 5, .verb = link_string("x-a") };
        LinkReply reply = { .id = 7 };

        connect_them(true, LINK_FEATURE_COMMANDS, LINK_FEATURE_COMMANDS);
        ck_assert_int_eq(frame_put_command(&to_receiver, &command), 0);
        ck_assert_int_eq(frame_put_reply(&to_receiver, &reply), 0);
        feed_receiver();
        ck_assert_uint_eq(n_commands, 1);
        ck_assert_uint_eq(n_replies, 1);
        ck_assert_int_eq(frame_put_command(&to_sender, &command), 0);
        ck_assert_int_eq(frame_put_reply(&to_sender, &reply), 0);
        feed_sender();
        ck_assert_uint_eq(n_commands, 2);
        ck_assert_uint_eq(n_replies, 2);
}
END_TEST

/* Without an owner who takes them: who waits is told, who does not is not. */
START_TEST(nobody_here)
{
        LinkCommand command = { .id = 7, .timeout_sec = _i ? 5 : 0, .verb = link_string("x-a") };
        const char *why;
        Frame frame;

        connect_them(false, LINK_FEATURE_COMMANDS, LINK_FEATURE_COMMANDS);
        ck_assert_int_eq(frame_put_command(&to_receiver, &command), 0);
        feed_receiver();
        ck_assert_int_eq(frame_put_command(&to_sender, &command), 0);
        ck_assert_int_eq(frame_decode(buffer_head(&to_sender), buffer_size(&to_sender), &frame, &why), 1);
        if (_i) {
                ck_assert_int_eq(frame.type, FRAME_REPLY);
                ck_assert_uint_eq(frame.reply.id, 7);
                ck_assert_uint_eq(frame.reply.status, LINK_REPLY_UNKNOWN);
        } else {
                ck_assert_int_eq(frame.type, FRAME_COMMAND); /* ours, and no answer before it */
        }
        feed_sender(); /* a REPLY that nobody takes is nothing */
        ck_assert_uint_eq(buffer_size(&to_receiver) > 0, _i == 1);
}
END_TEST

START_TEST(the_judgement)
{
        Frame command = { .type = FRAME_COMMAND, .command = { .id = 3, .timeout_sec = 1 } };
        Frame reply = { .type = FRAME_REPLY, .reply = { .id = 3 } };
        Buffer full = BUFFER_INIT(8);
        const char *why = NULL;

        ck_assert_int_eq(link_command_take(&command, 0, true, &to_sender, &why), -EBADMSG);
        ck_assert_str_eq(why, "COMMAND without the feature");
        ck_assert_int_eq(link_command_take(&reply, LINK_FEATURE_ZSTD, true, &to_sender, &why), -EBADMSG);
        ck_assert_str_eq(why, "REPLY without the feature");
        ck_assert_int_eq(link_command_take(&command, LINK_FEATURE_COMMANDS, true, &to_sender, &why), 1);
        ck_assert_int_eq(link_command_take(&reply, LINK_FEATURE_COMMANDS, true, &to_sender, &why), 1);
        ck_assert_int_eq(link_command_take(&reply, LINK_FEATURE_COMMANDS, false, &to_sender, &why), 0);
        ck_assert_uint_eq(buffer_size(&to_sender), 0);
        ck_assert_int_eq(link_command_take(&command, LINK_FEATURE_COMMANDS, false, &full, &why), -ENOBUFS);
        link_sender_init(&sender, &array.source, &sender_handler, "web1", 0);
        link_receiver_init(&receiver, &receiver_handler, LINK_WINDOW_DEFAULT, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("link-command");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_loop_test(tc, commands_are_for_two_who_want_them, 0, 4);
        tcase_add_test(tc, they_go_both_ways);
        tcase_add_loop_test(tc, nobody_here, 0, 2);
        tcase_add_test(tc, the_judgement);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
