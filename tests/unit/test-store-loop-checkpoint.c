/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checkpoints in the loop: signed, durable, and then with those who delivered; on a real directory. */

#include "check-main.h"
#include "capture.h"
#include "intake-fixture.h"
#include "runtime/log.h"
#include "runtime/signing.h"
#include "runtime/store-loop.h"

#include <gnutls/crypto.h>
#include <stdio.h>

static char directory[64], store_directory[80];
static Capture capture;
static State *state;
static sd_event *event;
static StoreLoop *loop;
static SigningKey *key;
static unsigned n_signed;
static int sign_error;

static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        ck_assert_int_eq(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest), 0);
}

static int on_sign(StoreLoop *store, const StoreHead *head, uint64_t now_usec, IndexEntry *ret_entry, char *ret_note,
                   void *userdata)
{
        n_signed++;
        return sign_error < 0 ? sign_error : signing_key_sign(key, head, now_usec, ret_entry, ret_note);
}

static const IntakeHandler intake_handler = { .flush = on_flush };
static const StoreLoopHandler store_handler = { .sign = on_sign };

static void open_loop(void)
{
        StoreLoopOptions options = {
                .directory = store_directory,
                .store = { .hash = sha256, .segment_size_max = 1024 * 1024 },
                .state = state,
                .conditions = { "disk_low", "disk_full", "disk_error", "store_damaged" },
                .node = "log1",
                .name = "log1",
                .intake = &intake_handler,
                .window = LINK_WINDOW_DEFAULT,
                /* The first one comes when there is something, a second one not in this test. */
                .checkpoint_usec = 3600 * USEC_PER_SEC,
                .handler = &store_handler,
        };

        ck_assert_int_eq(store_loop_new(event, &options, &loop), 0);
        intake = store_loop_intake(loop);
}

static void setup(void)
{
        char path[128], *pem = NULL, *why = NULL;

        scratch_make(directory);
        (void) snprintf(store_directory, sizeof store_directory, "%s/store", directory);
        (void) snprintf(path, sizeof path, "%s/sign.pem", directory);
        ck_assert_int_eq(signing_key_generate(&pem, &why), 0);
        scratch_write(directory, "sign.pem", pem);
        free(pem);
        ck_assert_int_eq(signing_key_load(path, "log1", &key, &why), 0);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(state_new(directory, "aggregator", &state), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
        open_loop();
}

static void teardown(void)
{
        store_loop_free(loop);
        signing_key_free(key);
        state = state_free(state);
        event = sd_event_unref(event);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

static void run_until_checkpoints(uint64_t n)
{
        StoreFacts facts;

        do {
                ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
                store_loop_facts(loop, &facts);
        } while (facts.checkpoints < n);
}

START_TEST(those_who_delivered_have_a_receipt)
{
        static char longest[8192];
        Peer peer, late, silent;
        Frame frame;
        StoreHead head;
        Note note;

        peer_open(&silent, 2, "owner");
        peer_open(&peer, 1, "owner");
        (void) peer_send(&peer);
        run_until_checkpoints(1);
        ck_assert_uint_eq(n_signed, 1);
        (void) peer_take(&peer, FRAME_WELCOME);
        (void) peer_take(&peer, FRAME_ACK);
        frame = peer_take(&peer, FRAME_RECEIPT);
        ck_assert_uint_eq(frame.receipt.seq, 1);
        ck_assert_int_eq(verifier_key_verify(signing_key_verifier(key), frame.receipt.note.data, frame.receipt.note.size, &note),
                         0);
        ck_assert_uint_eq(note.seq, 1);
        ck_assert_uint_eq(note.number, 1);
        /* What it speaks of is in the index. */
        ck_assert(store_head(store_loop_store(loop), &head));
        ck_assert_mem_eq(head.last.checkpoint.head, note.head, SHA256_SIZE);
        ck_assert(stream_id_equal(&head.stream, &note.store));
        /* Who has nothing here yet gets none. */
        (void) peer_take(&silent, FRAME_WELCOME);
        ck_assert_uint_eq(buffer_size(&silent.output), 0);
        peer_close(&silent);
        /* A session that came behind it, too. */
        intake_cover(intake);
        peer_open(&late, 3, "owner");
        (void) peer_take(&late, FRAME_WELCOME);
        intake_receipt(intake, "note\n");
        ck_assert_uint_eq(buffer_size(&late.output), 0);
        ck_assert_uint_eq(peer_take(&peer, FRAME_RECEIPT).receipt.seq, 1);
        /* Nor one that has ended, or does not read. */
        memset(longest, 'x', sizeof longest - 1);
        for (unsigned i = 0; i < 1024 && peer.session.receiver.state == LINK_RECEIVER_CONNECTED; i++) {
                intake_cover(intake);
                intake_receipt(intake, longest);
        }
        ck_assert_int_eq(peer.session.receiver.state, LINK_RECEIVER_ENDED);
        intake_cover(intake);
        intake_receipt(intake, "note\n");
        peer_close(&late);
        peer_close(&peer);
}
END_TEST

START_TEST(the_next_start_goes_on)
{
        Peer peer;
        StoreHead head;
        uint8_t digest[SHA256_SIZE];
        IndexEntry first;

        peer_open(&peer, 1, "owner");
        (void) peer_send(&peer);
        run_until_checkpoints(1);
        ck_assert(store_head(store_loop_store(loop), &head));
        first = head.last;
        peer_close(&peer);
        store_loop_free(loop);
        open_loop();
        ck_assert(store_head(store_loop_store(loop), &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 1);
        peer_open(&peer, 2, "owner");
        (void) peer_send(&peer);
        run_until_checkpoints(1);
        ck_assert(store_head(store_loop_store(loop), &head));
        ck_assert_uint_eq(head.last.checkpoint.serial, 2);
        ck_assert_uint_eq(head.last.checkpoint.seq, 2);
        sha256(first.checkpoint.signature, SIGNATURE_SIZE, digest);
        ck_assert_mem_eq(head.last.checkpoint.previous, digest, SHA256_SIZE);
        peer_close(&peer);
}
END_TEST

/* Records are taken all the same; and it is not asked each second. */
START_TEST(a_key_that_does_not_sign)
{
        Peer peer;
        StoreFacts facts;

        sign_error = -EIO;
        peer_open(&peer, 1, "owner");
        (void) peer_send(&peer);
        while (n_signed == 0)
                ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        (void) peer_take(&peer, FRAME_WELCOME);
        (void) peer_take(&peer, FRAME_ACK);
        ck_assert_uint_eq(buffer_size(&peer.output), 0);
        store_loop_facts(loop, &facts);
        ck_assert_uint_eq(facts.checkpoints, 0);
        peer_close(&peer);
        sign_error = 0;
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-loop-checkpoint");
        TCase *tcase = tcase_create("store-loop-checkpoint");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, those_who_delivered_have_a_receipt);
        tcase_add_test(tcase, the_next_start_goes_on);
        tcase_add_test(tcase, a_key_that_does_not_sign);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
