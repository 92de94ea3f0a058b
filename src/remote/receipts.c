/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each receipt is appended by one small write, without a sync: what a crash takes of the last one, the next replaces, and
 * whoever reads begins anew at each note. A receipt that cannot be kept costs nothing but itself.
 */

#include "remote/receipts.h"
#include "runtime/config.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/signing.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define LOG_USEC (60 * USEC_PER_SEC)

struct Receipts {
        char *path; /* of the folder */
        VerifierKey *keys;
        size_t n_keys;
        uint64_t taken_usec; /* monotonic, the last one */
        uint64_t kept, refused;
        uint64_t refused_logged_usec, failed_logged_usec;
};

int receipts_new(const char *directory, char *const *keys, Receipts **ret)
{
        _cleanup_(receipts_freep) Receipts *receipts = calloc(1, sizeof *receipts);
        int r;

        if (!receipts)
                return -ENOMEM;
        receipts->keys = calloc(strings_count(keys) + 1, sizeof *receipts->keys);
        if (!receipts->keys || asprintf(&receipts->path, "%s/receipts", directory) < 0)
                return -ENOMEM;
        for (; keys && *keys; keys++) {
                r = verifier_key_parse(*keys, &receipts->keys[receipts->n_keys++]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(receipts);
        return 0;
}

Receipts *receipts_free(Receipts *receipts)
{
        if (!receipts)
                return NULL;
        free(receipts->path);
        free(receipts->keys);
        free(receipts);
        return NULL;
}

/* NULL: it may be kept; or a sentence. */
static const char *judge(const Receipts *receipts, const LinkString *text)
{
        Note note;
        int r = text->size < NOTE_MAX ? note_parse(text->data, text->size, &note) : -EBADMSG;

        if (r < 0)
                return "it is no checkpoint";
        if (receipts->n_keys == 0)
                return NULL;
        for (size_t i = 0; i < receipts->n_keys; i++) {
                r = verifier_key_verify(&receipts->keys[i], text->data, text->size, &note);
                if (r != -ENOKEY)
                        break;
        }
        return r == -ENOKEY ? "no key in VerifierKey= has signed it" : r < 0 ? "its signature is wrong" : NULL;
}

static int append(int directory, const char *collector, const char *text, size_t size)
{
        _cleanup_(close_fdp) int fd = openat(directory, collector, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                                             0640);
        char before[NODE_NAME_MAX + 2];
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if ((uint64_t) st.st_size + size > RECEIPTS_FILE_MAX) {
                (void) snprintf(before, sizeof before, "%s~", collector);
                if (renameat(directory, collector, directory, before) < 0)
                        return -errno;
                return append(directory, collector, text, size);
        }
        n = write(fd, text, size);
        return n < 0 ? -errno : (size_t) n < size ? -ENOSPC : 0;
}

static int keep(const Receipts *receipts, const char *collector, const StreamId *stream, const LinkReceipt *receipt)
{
        _cleanup_(close_fdp) int directory = -EBADF;
        char text[NOTE_MAX + 128], id[33];
        int n;

        if (mkdir(receipts->path, 0750) < 0 && errno != EEXIST)
                return -errno;
        directory = open(receipts->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return -errno;
        if (!node_name_is_valid(collector) || collector[0] == '.')
                return -EINVAL;
        stream_id_format(stream, id);
        n = snprintf(text, sizeof text, "\n# stream %s up to %" PRIu64 "\n%.*s", id, receipt->seq, (int) receipt->note.size,
                     receipt->note.data);
        return n < 0 || (size_t) n >= sizeof text ? -EMSGSIZE : append(directory, collector, text, (size_t) n);
}

void receipts_take(Receipts *receipts, const char *collector, const StreamId *stream, const LinkReceipt *receipt)
{
        uint64_t now = monotonic_usec();
        const char *why;
        char field[NODE_NAME_MAX + 16];
        int r;

        if (receipts->taken_usec > 0 && now - receipts->taken_usec < RECEIPTS_INTERVAL_USEC)
                return;
        receipts->taken_usec = now;
        why = judge(receipts, &receipt->note);
        if (why) {
                receipts->refused++;
                (void) snprintf(field, sizeof field, "PEER=%s", collector);
                if (log_limit(&receipts->refused_logged_usec, LOG_USEC))
                        log_message(LOG_WARNING, MESSAGE_ID_RECEIPT_REFUSED, field,
                                    "The receipt of collector %s is not kept: %s", collector, why);
                return;
        }
        r = keep(receipts, collector, stream, receipt);
        receipts->kept += r >= 0;
        if (r < 0 && log_limit(&receipts->failed_logged_usec, LOG_USEC))
                log_warning("The receipt of collector %s cannot be kept: %s", collector, strerror(-r));
}

void receipts_status(const Receipts *receipts, State *state)
{
        status_counter(state, "receipts", NULL, receipts->kept, "Signed checkpoints of collectors that were kept");
        status_counter(state, "receipts_refused", NULL, receipts->refused,
                       "Those that were not: no key in VerifierKey= has signed them");
}
