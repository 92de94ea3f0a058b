/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "call-faults.h"
#include "check-main.h"
#include "link/send-queue.h"

#include <stdio.h>

static SendQueue *queue;
static Source *source;

static void begin(void)
{
        StreamId stream = { { 1, 2, 3 } };

        ck_assert_int_eq(send_queue_new(&stream, &queue), 0);
        source = send_queue_source(queue);
}

static void add(size_t size)
{
        uint8_t *room = send_queue_room(queue);

        ck_assert_ptr_nonnull(room);
        memset(room, 'x', size - 1);
        room[size - 1] = '\n';
        send_queue_commit(queue, size);
}

static void add_batch(void)
{
        add(10);
        add(10);
        send_queue_seal(queue);
}

START_TEST(a_batch_is_seen_when_it_is_sealed)
{
        SourceRange range;
        Cursor cursor = { 0 };
        Batch batch;

        begin();
        send_queue_seal(queue);
        add(10);
        ck_assert_uint_eq(send_queue_open(queue), 1);
        source->range(source, &range);
        ck_assert_uint_eq(range.oldest, 1);
        ck_assert_uint_eq(range.newest, 0);
        ck_assert_int_eq(range.stream.bytes[2], 3);
        ck_assert_int_eq(source->get(source, 1, &cursor, &batch), 0);
        add(12);
        send_queue_seal(queue);
        ck_assert_uint_eq(send_queue_open(queue), 0);
        ck_assert_int_eq(source->get(source, 1, &cursor, &batch), 1);
        ck_assert_uint_eq(batch.last, 2);
        ck_assert_uint_eq(batch.size, 22);
        ck_assert(batch_payload_intact(&batch));
        ck_assert_int_eq(source->get(source, 2, &cursor, &batch), -ESTALE);
        ck_assert_uint_eq(send_queue_size(queue), 22);
        ck_assert_uint_eq(send_queue_newest(queue), 2);
        send_queue_free(queue);
}
END_TEST

START_TEST(a_full_batch_is_sealed)
{
        begin();
        for (size_t size = 0; size <= BATCH_PAYLOAD_MAX; size += RECORD_LINE_MAX)
                add(RECORD_LINE_MAX);
        ck_assert_uint_eq(send_queue_newest(queue), BATCH_PAYLOAD_MAX / RECORD_LINE_MAX);
        send_queue_free(queue);
}
END_TEST

START_TEST(what_is_acked_is_explained)
{
        uint64_t checksum = 0, acked_checksum;
        Cursor cursor = { 0 };
        Batch batch;

        begin();
        for (unsigned i = 0; i < 3; i++)
                add_batch();
        ck_assert_int_eq(source->ended(source, 0, &checksum), 0);
        ck_assert_int_eq(source->ended(source, 1, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 9, &checksum), -ESTALE);
        ck_assert_int_eq(source->ended(source, 4, &acked_checksum), 1);
        source->release(source, 4, acked_checksum);
        ck_assert_uint_eq(send_queue_acked(queue), 4);
        ck_assert_uint_eq(send_queue_size(queue), 20);
        ck_assert_int_eq(source->ended(source, 4, &checksum), 1);
        ck_assert_uint_eq(checksum, acked_checksum);
        ck_assert_int_eq(source->ended(source, 2, &checksum), 0);
        /* Nothing goes back, or further than there is. */
        source->release(source, 2, 0);
        source->release(source, 100, 0);
        ck_assert_uint_eq(send_queue_acked(queue), 4);
        ck_assert_int_eq(source->get(source, 1, &cursor, &batch), 1);
        ck_assert_int_eq(batch.reason, BATCH_CUSTODY);
        ck_assert_uint_eq(batch.first, 1);
        ck_assert_uint_eq(batch.last, 4);
        ck_assert_int_eq(source->get(source, 0, &cursor, &batch), -ESTALE);
        ck_assert_int_eq(source->get(source, 5, &cursor, &batch), 1);
        ck_assert_int_eq(source->get(source, 7, &cursor, &batch), 0);
        add(5);
        send_queue_free(queue);
        ck_assert_ptr_null(send_queue_free(NULL));
}
END_TEST

START_TEST(a_batch_of_nothing_is_none)
{
        begin();
        ck_assert_ptr_nonnull(send_queue_room(queue));
        send_queue_seal(queue);
        ck_assert_uint_eq(send_queue_newest(queue), 0);
        add_batch();
        ck_assert_uint_eq(send_queue_newest(queue), 2);
        send_queue_free(queue);
}
END_TEST

/* What is in the queue is never lost for it. */
START_TEST(memory_that_ends)
{
        _cleanup_(send_queue_freep) SendQueue *late = NULL;
        StreamId stream = { { 1 } };
        Cursor cursor = { 0 };
        uint8_t *room;
        Batch batch;
        int r;

        call_errno = ENOMEM;
        call_fails_always = "calloc";
        r = send_queue_new(&stream, &late);
        call_fails_always = NULL;
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert_ptr_null(late);
        ck_assert_int_eq(send_queue_new(&stream, &late), 0);

        begin();
        call_fails_always = "malloc";
        room = send_queue_room(queue);
        call_fails_always = NULL;
        ck_assert_ptr_null(room);
        add(10);
        call_fails_always = "realloc";
        send_queue_seal(queue);
        call_fails_always = NULL;
        ck_assert_int_eq(source->get(source, 1, &cursor, &batch), 1);
        ck_assert_uint_eq(batch.size, 10);
        ck_assert(batch_payload_intact(&batch));
        send_queue_free(queue);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("send-queue");
        TCase *tc = tcase_create("send-queue");

        tcase_add_test(tc, a_batch_is_seen_when_it_is_sealed);
        tcase_add_test(tc, a_full_batch_is_sealed);
        tcase_add_test(tc, what_is_acked_is_explained);
        tcase_add_test(tc, a_batch_of_nothing_is_none);
        tcase_add_test(tc, memory_that_ends);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
