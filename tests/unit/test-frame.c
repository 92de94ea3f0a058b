/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The codec against tests/vectors/frames.txt, which was written by another encoder, and against frames
 * built here. */

#include "check-main.h"
#include "frame-encode.h"
#include "vectors.h"
#include "basic/bytes.h"
#include "link/frame.h"

#include <stdio.h>
#include <zstd.h>

static void read_vectors(void)
{
        vectors_read("frames.txt", 60);
}

static const Vector *find_vector(const char *name)
{
        read_vectors();
        return vectors_find(name);
}

/* The bytes in memory of exactly their size, so that the address sanitizer sees any read behind them. */
static int decode_exact(const uint8_t *data, size_t size, Frame *ret_frame)
{
        uint8_t *copy = malloc(size > 0 ? size : 1);
        const char *why = NULL;
        int r;

        memcpy(copy, data, size);
        r = frame_decode(copy, size, ret_frame, &why);
        ck_assert_int_eq(r < 0, why != NULL);
        if (r > 0)
                ck_assert_uint_le(ret_frame->size, size);
        free(copy);
        return r;
}

START_TEST(vectors_decode_and_encode_to_the_same_bytes)
{
        unsigned types = 0;

        read_vectors();
        for (size_t i = 0; i < n_vectors; i++) {
                const Vector *v = &vectors[i];
                Buffer out = BUFFER_INIT(LINK_FRAME_MAX), scratch = BUFFER_INIT(BATCH_PAYLOAD_MAX);
                const char *why = NULL;
                Frame frame;
                int r = frame_decode(v->data, v->size, &frame, &why);

                if (begins(v->name, "bad-")) {
                        ck_assert_msg(r == -EBADMSG && why, "%s was taken", v->name);
                        continue;
                }
                ck_assert_msg(r == 1 && frame.size == v->size, "%s: %d %s", v->name, r, why ? why : "");
                if (begins(v->name, "skip-")) {
                        ck_assert_int_ge(frame.type, _FRAME_MAX);
                        continue;
                }
                if (frame.type == FRAME_BATCH) {
                        ZSTD_DCtx *decompressor = ZSTD_createDCtx();

                        r = frame_open_batch(&frame, decompressor, &scratch, &why);
                        ZSTD_freeDCtx(decompressor);
                        ck_assert_msg(r == (begins(v->name, "sealed-") ? -EBADMSG : 0), "%s: %d", v->name,
                                      r);
                }
                if (!begins(v->name, "sealed-") && !begins(v->name, "zstd-") &&
                    !begins(v->name, "longer-")) {
                        ck_assert_int_eq(frame_encode(&out, &frame), 0);
                        ck_assert_msg(buffer_size(&out) == v->size &&
                                              memcmp(buffer_head(&out), v->data, v->size) == 0,
                                      "%s encodes to other bytes", v->name);
                        types |= 1U << frame.type;
                }
                buffer_done(&out);
                buffer_done(&scratch);
        }
        ck_assert_uint_eq(types, (1U << _FRAME_MAX) - 2); /* a vector for every type */
}
END_TEST

/* Encoding from named values: a swap of two fields, made alike in encoder and decoder, shows here. */
static const StreamId stream = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
                                   0xcc, 0xdd, 0xee, 0xff } };

#define STRING(text) { .data = (text), .size = sizeof(text) - 1 }

START_TEST(named_values_give_the_vectors)
{
        static const char records[] = "node=web1 type=SYSCALL msg=audit(1700000000.123:41): arch=c000003e "
                                      "syscall=59 success=yes exit=0\n"
                                      "node=web1 type=EOE msg=audit(1700000000.123:41): \n";
        Batch batch = { .first = 1001, .last = 1002, .count = 2, .size = sizeof records - 1,
                        .origin = BATCH_ORIGIN_KERNEL, .payload = (const uint8_t *) records };
        Batch lost = { .first = 501,
                       .last = 1000,
                       .size = 10,
                       .origin = BATCH_ORIGIN_LOCAL,
                       .reason = BATCH_LOST,
                       .payload = (const uint8_t *) "spool-full" };
        struct {
                const char *name;
                Frame frame;
        } cases[] = {
                { "hello-sender",
                  { .type = FRAME_HELLO,
                    .hello = { .version_min = 1,
                               .version_max = 1,
                               .role = LINK_ROLE_SENDER,
                               .features = LINK_FEATURE_ZSTD,
                               .stream = stream,
                               .oldest = 7,
                               .newest = 1002,
                               .node = STRING("web1"),
                               .software = STRING("audit-relay 1") } } },
                { "hello-subscriber",
                  { .type = FRAME_HELLO,
                    .hello = { .version_min = 1,
                               .version_max = 1,
                               .role = LINK_ROLE_SUBSCRIBER,
                               .features = LINK_FEATURE_COMMANDS,
                               .stream = stream,
                               .newest = 1000,
                               .node = STRING("ids"),
                               .software = STRING("audit-relay 1"),
                               .filter = STRING("USER_LOGIN USER_AUTH") } } },
                { "welcome",
                  { .type = FRAME_WELCOME,
                    .welcome = { .version = 1,
                                 .features = LINK_FEATURE_ZSTD,
                                 .stream = stream,
                                 .last = 1000,
                                 .checksum = UINT64_C(0x0123456789abcdef),
                                 .credit = 8U << 20,
                                 .name = STRING("log1"),
                                 .node = STRING("web1"),
                                 .software = STRING("audit-relay 1") } } },
                { "batch-records", { .type = FRAME_BATCH, .batch = batch } },
                { "batch-lost", { .type = FRAME_BATCH, .batch = lost } },
                { "ack",
                  { .type = FRAME_ACK,
                    .ack = { .seq = 1002,
                             .credit = (8U << 20) + FRAME_BATCH_PAYLOAD + sizeof records - 1 } } },
                { "state-on",
                  { .type = FRAME_STATE,
                    .state = { .on = true,
                               .name = STRING("disk_low"),
                               .keys = STRING("SINCE=1700000000\nREASON=4% left\n") } } },
                { "command",
                  { .type = FRAME_COMMAND,
                    .command = { .id = 77,
                                 .timeout_sec = 30,
                                 .verb = STRING("block-address"),
                                 .arguments = STRING("ADDRESS=192.0.2.0/24\nSECONDS=600\n") } } },
                { "reply",
                  { .type = FRAME_REPLY,
                    .reply = { .id = 77,
                               .status = LINK_REPLY_REFUSED,
                               .text = STRING("not allowed to send commands") } } },
                { "bye",
                  { .type = FRAME_BYE,
                    .bye = { .code = LINK_BYE_ENDING,
                             .retry_after_msec = 60000,
                             .reason = STRING("the collector is stopping") } } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Vector *v = find_vector(cases[i].name);
                Buffer out = BUFFER_INIT(LINK_FRAME_MAX);

                if (cases[i].frame.type == FRAME_BATCH)
                        batch_seal(&cases[i].frame.batch);
                ck_assert_int_eq(frame_encode(&out, &cases[i].frame), 0);
                ck_assert_uint_eq(buffer_size(&out), v->size);
                ck_assert_mem_eq(buffer_head(&out), v->data, v->size);
                buffer_done(&out);
        }
}
END_TEST

START_TEST(every_truncation_needs_more_bytes)
{
        read_vectors();
        for (size_t i = 0; i < n_vectors; i++)
                for (size_t size = 0; size < vectors[i].size && !begins(vectors[i].name, "bad-"); size++) {
                        Frame frame;

                        ck_assert_int_eq(decode_exact(vectors[i].data, size, &frame), 0);
                }
}
END_TEST

/* Refused, or longer than what is there (a bit of the size), or, inside a compressed payload, without
 * effect. */
START_TEST(every_flipped_bit_is_noticed)
{
        ZSTD_DCtx *decompressor = ZSTD_createDCtx();

        read_vectors();
        for (size_t i = 0; i < n_vectors; i++) {
                Vector v = vectors[i];

                if (begins(v.name, "bad-") || begins(v.name, "sealed-"))
                        continue;
                for (size_t bit = 0; bit < 8 * v.size; bit++) {
                        Buffer scratch = BUFFER_INIT(BATCH_PAYLOAD_MAX);
                        const char *why = NULL;
                        Frame frame;
                        int r;

                        v.data[bit / 8] ^= (uint8_t) (1U << bit % 8);
                        r = frame_decode(v.data, v.size, &frame, &why);
                        if (r == 1 && frame.type == FRAME_BATCH &&
                            frame_open_batch(&frame, decompressor, &scratch, &why) < 0)
                                r = -EBADMSG;
                        ck_assert_msg(r <= 0 || begins(v.name, "zstd-"), "%s: bit %zu", v.name, bit);
                        /* "more" can only be the answer to a larger size */
                        ck_assert_msg(r != 0 || bit / 32 == 1, "%s: bit %zu", v.name, bit);
                        v.data[bit / 8] ^= (uint8_t) (1U << bit % 8);
                        buffer_done(&scratch);
                }
        }
        ZSTD_freeDCtx(decompressor);
}
END_TEST

START_TEST(what_is_refused_is_refused_early)
{
        const Vector *v = find_vector("batch-records");
        uint8_t data[FRAME_BATCH_PAYLOAD];
        Frame frame;

        memcpy(data, v->data, sizeof data);
        ck_assert_int_eq(decode_exact(data, sizeof data, &frame), 0);
        data[LINK_FRAME_HEADER_SIZE] ^= 1;
        ck_assert_int_eq(decode_exact(data, sizeof data, &frame), -EBADMSG);
        ck_assert_int_eq(decode_exact((const uint8_t *) "GET / HTTP/1.1\r\n", 16, &frame), -EBADMSG);
}
END_TEST

/* Also where the bytes that follow would do as the rest of it. */
START_TEST(a_string_ends_with_its_frame)
{
        Buffer out = BUFFER_INIT(LINK_FRAME_MAX);
        LinkBye bye = { .reason = link_string("abc") };
        uint8_t *data;
        size_t size;
        Frame frame;

        ck_assert_int_eq(frame_put_bye(&out, &bye), 0);
        size = buffer_size(&out);
        ck_assert_int_eq(frame_put_bye(&out, &bye), 0);
        data = buffer_head(&out);
        memset(data + size, 'x', buffer_size(&out) - size);
        put_le16(data + size - 5, 4);
        put_le64(data + 8, checksum64_pair(data, 8, data + LINK_FRAME_HEADER_SIZE, size - LINK_FRAME_HEADER_SIZE));
        ck_assert_int_eq(decode_exact(data, buffer_size(&out), &frame), -EBADMSG);
        buffer_done(&out);
}
END_TEST

static LinkString repeated(char c, size_t size)
{
        static char bytes[LINK_BODY_MAX + 1];

        memset(bytes, c, sizeof bytes);
        return (LinkString) { bytes, size };
}

START_TEST(strings_are_judged_before_they_are_sent)
{
        Buffer out = BUFFER_INIT(LINK_FRAME_MAX);
        LinkState state = { .name = link_string("refused"), .keys = { "REASON=\0", 8 } };
        LinkHello hello = {
                .version_min = 1, .version_max = 1, .role = LINK_ROLE_SENDER, .node = link_string("")
        };
        LinkBye bye = { .reason = repeated('x', LINK_BODY_MAX - FRAME_BYE_SIZE - 2) };

        ck_assert_int_eq(frame_put_state(&out, &state), -EINVAL);
        state.keys = link_string("REASON=x\r\n");
        ck_assert_int_eq(frame_put_state(&out, &state), -EINVAL);
        state = (LinkState) { .name = link_string("two words") };
        ck_assert_int_eq(frame_put_state(&out, &state), -EINVAL);
        ck_assert_int_eq(frame_put_hello(&out, &hello), -EINVAL);
        hello.node = repeated('x', NODE_NAME_MAX + 1);
        ck_assert_int_eq(frame_put_hello(&out, &hello), -EINVAL);
        ck_assert_uint_eq(buffer_size(&out), 0);
        ck_assert_int_eq(frame_put_bye(&out, &bye), 0);
        bye.reason.size++;
        ck_assert_int_eq(frame_put_bye(&out, &bye), -EMSGSIZE);
        ck_assert_uint_eq(buffer_size(&out), LINK_FRAME_HEADER_SIZE + LINK_BODY_MAX);
        bye.reason = (LinkString) { NULL, 0 };
        while (frame_put_bye(&out, &bye) == 0)
                ;
        ck_assert_int_eq(frame_put_bye(&out, &bye), -ENOBUFS);
        buffer_done(&out);
}
END_TEST

static Batch make_batch(uint8_t *payload, size_t size, bool random)
{
        uint32_t state = 1;
        Batch batch = { .first = 1,
                        .last = 1,
                        .count = 1,
                        .size = (uint32_t) size,
                        .origin = BATCH_ORIGIN_LOCAL,
                        .payload = payload };

        for (size_t i = 0; i < size; i++) {
                state = state * 1664525U + 1013904223U;
                payload[i] = random ? (uint8_t) (state >> 24) : "audit"[i % 5];
        }
        batch_seal(&batch);
        return batch;
}

static const struct {
        size_t size;
        bool random;
        bool shrinks;
} payloads[] = {
        { 1, false, false }, { 20, false, false }, { 1000, false, true }, { 1000, true, false },
        { BATCH_PAYLOAD_MAX, false, true }, { BATCH_PAYLOAD_MAX, true, false },
};

START_TEST(compresses_only_what_shrinks)
{
        static uint8_t payload[BATCH_PAYLOAD_MAX];
        Batch batch = make_batch(payload, payloads[_i].size, payloads[_i].random);
        Buffer out = BUFFER_INIT(LINK_FRAME_MAX), scratch = BUFFER_INIT(BATCH_PAYLOAD_MAX);
        ZSTD_CCtx *compressor = ZSTD_createCCtx();
        ZSTD_DCtx *decompressor = ZSTD_createDCtx();
        const char *why = NULL;
        Frame frame;

        ck_assert_int_eq(frame_put_batch_compressed(&out, &batch, compressor), 0);
        ck_assert_int_eq(buffer_size(&out) < FRAME_BATCH_PAYLOAD + batch.size, payloads[_i].shrinks);
        ck_assert_int_eq(frame_decode(buffer_head(&out), buffer_size(&out), &frame, &why), 1);
        ck_assert_uint_eq(frame.size, buffer_size(&out));
        if (payloads[_i].shrinks) {
                Frame copy = frame;

                ck_assert_int_eq(frame_open_batch(&copy, NULL, &scratch, &why), -EBADMSG);
        }
        ck_assert_int_eq(frame_open_batch(&frame, decompressor, &scratch, &why), 0);
        ck_assert_uint_eq(frame.batch.checksum, batch.checksum);
        ck_assert_mem_eq(frame.batch.payload, payload, batch.size);
        ZSTD_freeCCtx(compressor);
        ZSTD_freeDCtx(decompressor);
        buffer_done(&out);
        buffer_done(&scratch);
}
END_TEST

START_TEST(nothing_is_nothing_compressed)
{
        Buffer out = BUFFER_INIT(LINK_FRAME_MAX), small = BUFFER_INIT(FRAME_BATCH_PAYLOAD);
        Batch batch = make_batch((uint8_t *) "", 0, false);
        ZSTD_CCtx *compressor = ZSTD_createCCtx();
        LinkHello hello = { .version_min = 1, .version_max = 1, .role = LINK_ROLE_SUBSCRIBER, .node = link_string("a\x7f") };
        static uint8_t payload[1000];

        batch.last = batch.first - 1;
        batch.count = 0;
        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch_compressed(&out, &batch, compressor), 0);
        ck_assert_uint_eq(buffer_size(&out), FRAME_BATCH_PAYLOAD);
        batch = make_batch(payload, sizeof payload, false);
        ck_assert_int_eq(frame_put_batch_compressed(&small, &batch, compressor), -ENOBUFS);
        ck_assert_int_eq(frame_put_hello(&out, &hello), -EINVAL);
        ck_assert_uint_eq(link_string(NULL).size, 0);
        ck_assert_str_eq(frame_unexpected(0), frame_unexpected(_FRAME_MAX));
        ZSTD_freeCCtx(compressor);
        buffer_done(&out);
        buffer_done(&small);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("frame");
        TCase *tcase = tcase_create("frame");

        tcase_add_test(tcase, vectors_decode_and_encode_to_the_same_bytes);
        tcase_add_test(tcase, named_values_give_the_vectors);
        tcase_add_test(tcase, every_truncation_needs_more_bytes);
        tcase_add_test(tcase, every_flipped_bit_is_noticed);
        tcase_add_test(tcase, what_is_refused_is_refused_early);
        tcase_add_test(tcase, a_string_ends_with_its_frame);
        tcase_add_test(tcase, strings_are_judged_before_they_are_sent);
        tcase_add_loop_test(tcase, compresses_only_what_shrinks, 0, (int) ELEMENTSOF(payloads));
        tcase_add_test(tcase, nothing_is_nothing_compressed);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
