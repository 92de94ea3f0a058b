/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A checkpoint says: at that time the chain of that store, at that seq, was this. So when somebody has written a store
 * again, or cut it, an entry with that chain is not in it any more. A signature in the store itself proves that only as far as
 * it has not been removed, too; so each names the one before, and the last ones are kept by those who delivered.
 */

#include "tool/verify/evidence.h"
#include "basic/unix.h"
#include "tool/reason.h"

#include <dirent.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdio.h>

/* Of receipts, and by far. */
#define FILE_MAX (16U * 1024U * 1024U)
#define NOTE_BEGIN "audit-relay/"

/* --- What is given --- */

static char *read_file(const char *path, size_t *ret_size)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *text = NULL;
        int r = fd < 0 ? -errno : read_text(fd, FILE_MAX + 1, &text, ret_size);

        if (r >= 0 && *ret_size > FILE_MAX)
                r = -EFBIG;
        if (r >= 0)
                return TAKE_PTR(text);
        fprintf(stderr, "Cannot read %s: %s\n", path, tool_reason(r));
        return NULL;
}

int evidence_add_key(Evidence *evidence, const char *text)
{
        VerifierKey *keys = reallocarray(evidence->keys, evidence->n_keys + 1, sizeof *keys);
        _cleanup_(freep) char *file = NULL;
        size_t size;
        int r;

        if (!keys)
                return -ENOMEM;
        evidence->keys = keys;
        r = verifier_key_parse(text, &keys[evidence->n_keys]);
        if (r < 0 && access(text, F_OK) == 0) {
                file = read_file(text, &size);
                if (!file)
                        return -EIO;
                r = verifier_key_parse(file, &keys[evidence->n_keys]);
        }
        if (r < 0) {
                fprintf(stderr, "\"%s\" is no verifier key (NAME+ID+BASE64), and no file with one: \"audit-relay cert verifier NAME\" "
                                "prints it on the collector\n", text);
                return r;
        }
        evidence->n_keys++;
        return 0;
}

/* Returns 1 when one of the keys has signed it; 0: it does not say so; -EBADMSG. */
static int judge_note(const Evidence *evidence, const char *text, size_t size, Note *ret)
{
        int r = -ENOKEY;

        for (size_t i = 0; i < evidence->n_keys && r == -ENOKEY; i++)
                r = verifier_key_verify(&evidence->keys[i], text, size, ret);
        return r == 0 ? 1 : r == -ENOKEY ? 0 : r;
}

/* What the client wrote before a note: up to which seq of its own stream it is. */
static void parse_receipt(const char *text, const char *note, EvidenceNote *ret)
{
        const char *line = note;
        char id[33];
        size_t size = sizeof ret->stream;
        int end = 0;

        if (line > text)
                line--;
        while (line > text && line[-1] != '\n')
                line--;
        if (sscanf(line, "# stream %32[0-9a-f] up to %" SCNu64 "%n", id, &ret->stream_seq, &end) != 2 || line + end + 1 != note ||
            gnutls_hex2bin(id, strlen(id), &ret->stream, &size) < 0 || size != sizeof ret->stream)
                ret->stream_seq = 0;
}

static int keep_note(Evidence *evidence, const EvidenceNote *note, const char *path)
{
        size_t allocated = MAX(2 * evidence->allocated, (size_t) 64);
        EvidenceNote *notes;
        char *copy;

        if (evidence->n_notes == evidence->allocated) {
                notes = reallocarray(evidence->notes, allocated, sizeof *notes);
                if (!notes)
                        return -ENOMEM;
                evidence->notes = notes;
                evidence->allocated = allocated;
        }
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        evidence->notes[evidence->n_notes] = *note;
        evidence->notes[evidence->n_notes++].path = copy;
        return 0;
}

/* Where the next note begins, at or behind p; NULL: nowhere. */
static const char *next_note(const char *text, const char *p)
{
        while ((p = strstr(p, NOTE_BEGIN)) && p != text && p[-1] != '\n')
                p++;
        return p;
}

int evidence_add_file(Evidence *evidence, const char *path)
{
        size_t size, broken = 0, n = 0;
        _cleanup_(freep) char *text = read_file(path, &size);
        const char *next;
        int r;

        if (!text)
                return -EIO;
        for (const char *p = next_note(text, text); p; p = next) {
                EvidenceNote note = { .stream_seq = 0 };

                next = next_note(text, p + 1);
                r = judge_note(evidence, p, (size_t) ((next ? next : text + size) - p), &note.note);
                parse_receipt(text, p, &note);
                if (r > 0)
                        r = keep_note(evidence, &note, path);
                else if (r == 0)
                        evidence->foreign++;
                else
                        broken++;
                if (r == -ENOMEM)
                        return r;
                n++;
        }
        if (broken > 0)
                fprintf(stderr, "%s: %zu of %zu checkpoints are cut off or changed, and left out: compare with another copy\n", path, broken, n);
        return 0;
}

int evidence_add_directory(Evidence *evidence, const char *path)
{
        struct dirent **entries;
        int n = scandir(path, &entries, NULL, alphasort), r = 0;

        if (n < 0) {
                fprintf(stderr, "Cannot read %s: %s\n", path, tool_reason(errno));
                return -errno;
        }
        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *file = NULL;

                if (r == 0 && entries[i]->d_name[0] != '.')
                        r = asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? -ENOMEM
                                                                                   : evidence_add_file(evidence, file);
                free(entries[i]);
        }
        free(entries);
        return r;
}

void evidence_done(Evidence *evidence)
{
        for (size_t i = 0; i < evidence->n_notes; i++)
                free(evidence->notes[i].path);
        free(evidence->notes);
        free(evidence->keys);
        *evidence = (Evidence) { 0 };
}

/* --- A store --- */

static int compare_heads(const void *a, const void *b)
{
        const EvidenceNote *x = a, *y = b;

        return memcmp(x->note.head, y->note.head, SHA256_SIZE);
}

void evidence_begin(Evidence *evidence, void (*found)(const Proof *proof, void *userdata), void *userdata)
{
        if (evidence->n_notes > 0)
                qsort(evidence->notes, evidence->n_notes, sizeof *evidence->notes, compare_heads);
        for (size_t i = 0; i < evidence->n_notes; i++)
                evidence->notes[i].seen = false;
        evidence->last.kind = 0;
        evidence->checkpoints = evidence->signed_seq = evidence->signed_sec = 0;
        evidence->found = found;
        evidence->userdata = userdata;
}

void evidence_chained(Evidence *evidence, const uint8_t chain[static SHA256_SIZE], uint64_t seq)
{
        size_t low = 0, high = evidence->n_notes, middle;

        while (low < high) {
                middle = (low + high) / 2;
                if (memcmp(evidence->notes[middle].note.head, chain, SHA256_SIZE) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        /* While nothing came several have the same. */
        for (; low < evidence->n_notes && memcmp(evidence->notes[low].note.head, chain, SHA256_SIZE) == 0; low++)
                if (evidence->notes[low].note.seq == seq)
                        evidence->notes[low].seen = evidence->notes[low].placed = true;
}

static void tell_entry(const Evidence *evidence, ProofKind kind, const IndexEntry *entry, uint64_t first)
{
        evidence->found(
                &(Proof) {
                        .kind = kind,
                        .first = first,
                        .last = entry->checkpoint.seq,
                        .number = entry->checkpoint.serial,
                        .time_sec = entry->checkpoint.time_usec / USEC_PER_SEC,
                        .store = entry->checkpoint.stream,
                },
                evidence->userdata);
}

static bool continues(const Evidence *evidence, const IndexEntry *entry)
{
        const IndexEntry *last = &evidence->last;
        uint8_t digest[SHA256_SIZE];
        int r;

        /* What was before the oldest segment is not here; a copy of the last one is in each header. */
        if (last->kind != INDEX_CHECKPOINT)
                return true;
        r = gnutls_hash_fast(GNUTLS_DIG_SHA256, last->checkpoint.signature, SIGNATURE_SIZE, digest);
        assert(r == 0);
        (void) r;
        return entry->checkpoint.serial == last->checkpoint.serial + 1 &&
               memcmp(entry->checkpoint.previous, digest, SHA256_SIZE) == 0;
}

void evidence_checkpoint(Evidence *evidence, const IndexEntry *entry)
{
        uint64_t first = evidence->last.kind == INDEX_CHECKPOINT ? evidence->last.checkpoint.seq + 1 : 1;
        int r = -ENOKEY;

        evidence->checkpoints++;
        /* In a segment that was replaced it stands again. */
        if (evidence->last.kind == INDEX_CHECKPOINT &&
            memcmp(evidence->last.checkpoint.signature, entry->checkpoint.signature, SIGNATURE_SIZE) == 0)
                return;
        if (!continues(evidence, entry))
                tell_entry(evidence, PROOF_SEQUENCE, entry, first);
        evidence->last = *entry;
        for (size_t i = 0; i < evidence->n_keys && r == -ENOKEY; i++)
                r = verifier_key_verify_entry(&evidence->keys[i], entry);
        if (r == 0) {
                evidence->signed_seq = entry->checkpoint.seq;
                evidence->signed_sec = entry->checkpoint.time_usec / USEC_PER_SEC;
        } else if (r != -ENOKEY) {
                tell_entry(evidence, PROOF_SIGNATURE, entry, first);
        }
}

static bool is_of(const EvidenceNote *kept, const VerifyResult *result)
{
        return kept->seen || stream_id_equal(&kept->note.store, &result->stream) ||
               stream_id_equal(&kept->note.store, &result->first_stream);
}

/* The last seq up to which a checkpoint that was kept is known to be of this store. */
static uint64_t good_before(const Evidence *evidence, uint64_t seq)
{
        uint64_t good = 0;

        for (size_t i = 0; i < evidence->n_notes; i++)
                if (evidence->notes[i].seen && evidence->notes[i].note.seq <= seq)
                        good = MAX(good, evidence->notes[i].note.seq);
        return good;
}

/* One of a kind is enough: the one that tells most. */
static bool tells_more(const Proof *proof, const Proof *than)
{
        return than->number == 0 || (proof->kind == PROOF_TRUNCATED ? proof->last > than->last : proof->last < than->last);
}

static void judge_kept(EvidenceNote *kept, const Evidence *evidence, const VerifyResult *result, Proof worst[static 2])
{
        const Note *note = &kept->note;
        bool truncated = note->seq > result->newest;
        uint64_t newest = result->newest;
        Proof proof = {
                .kind = truncated ? PROOF_TRUNCATED : PROOF_HISTORY,
                .last = note->seq,
                .number = note->number,
                .time_sec = note->time_sec,
                .store = note->store,
                .path = kept->path,
        };

        kept->placed = true;
        /* What it speaks of has been deleted; whether it might be, is another question. */
        if (kept->seen || note->seq < result->oldest)
                return;
        proof.first = truncated ? newest + 1 : good_before(evidence, note->seq) + 1;
        if (tells_more(&proof, &worst[truncated]))
                worst[truncated] = proof;
}

/* Where the checkpoint is, its segment's header names all streams of that time; so one that is named nowhere was left out.
 * Of one that has ended since nothing can be said. */
static void judge_receipt(const EvidenceNote *kept, const VerifyResult *result, Proof *worst)
{
        const VerifyStream *stream = NULL;
        Proof proof = {
                .kind = PROOF_STREAM,
                .last = kept->stream_seq,
                .number = kept->note.number,
                .time_sec = kept->note.time_sec,
                .stream = kept->stream,
                .store = kept->note.store,
                .path = kept->path,
        };

        if (!kept->seen || kept->stream_seq == 0)
                return;
        for (size_t i = 0; i < result->n_streams && !stream; i++)
                if (stream_id_equal(&result->streams[i].id, &kept->stream))
                        stream = &result->streams[i];
        if (stream && (stream->last == 0 || stream->last >= kept->stream_seq))
                return;
        proof.first = stream ? stream->last + 1 : 1;
        if (worst->number == 0 || proof.last - proof.first > worst->last - worst->first)
                *worst = proof;
}

void evidence_end(Evidence *evidence, const VerifyResult *result)
{
        Proof worst[3] = { { .number = 0 } };

        /* Of a spool, which has no chain, nothing is ever signed. */
        if (evidence->n_keys > 0 && evidence->signed_sec == 0 && result->unchained < result->segments)
                evidence->found(&(Proof) { .kind = PROOF_UNSIGNED, .first = result->oldest, .last = result->newest,
                                           .store = result->stream },
                                evidence->userdata);
        for (size_t i = 0; i < evidence->n_notes; i++)
                if (is_of(&evidence->notes[i], result)) {
                        judge_kept(&evidence->notes[i], evidence, result, worst);
                        judge_receipt(&evidence->notes[i], result, &worst[2]);
                }
        for (size_t i = 0; i < ELEMENTSOF(worst); i++)
                if (worst[i].number > 0)
                        evidence->found(&worst[i], evidence->userdata);
}

static int compare_stores(const void *a, const void *b)
{
        const Note *x = &((const EvidenceNote *) a)->note, *y = &((const EvidenceNote *) b)->note;
        int r = memcmp(&x->store, &y->store, sizeof x->store);

        return r != 0 ? r : (x->number > y->number) - (x->number < y->number);
}

void evidence_rest(Evidence *evidence, void (*found)(const Proof *proof, void *userdata), void *userdata)
{
        bool placed = false;

        if (evidence->n_notes > 0)
                qsort(evidence->notes, evidence->n_notes, sizeof *evidence->notes, compare_stores);
        for (size_t i = 0; i < evidence->n_notes; i++) {
                const EvidenceNote *kept = &evidence->notes[i], *next = kept + 1;

                placed = placed || kept->placed;
                if (i + 1 < evidence->n_notes && stream_id_equal(&next->note.store, &kept->note.store))
                        continue;
                if (!placed)
                        found(&(Proof) { .kind = PROOF_STORE, .first = 1, .last = kept->note.seq,
                                         .number = kept->note.number, .time_sec = kept->note.time_sec,
                                         .store = kept->note.store, .path = kept->path },
                              userdata);
                placed = false;
        }
}
