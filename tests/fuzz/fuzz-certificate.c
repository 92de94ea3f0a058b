/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Anything as a peer's certificate, or as the names in one. The first byte's bits: 0: the rest is the certificate, else a list of
 * names, each its kind, its size and its bytes; 1: we are the server. Whatever it says, each name it speaks for is printable, it
 * speaks for those and for no other, and to be refused it has a sentence that can be shown.
 *
 * Bit 2: the rest is a collector's checkpoint, or a verifier key. What is taken for a checkpoint is written the same again, but for
 * lines of later versions; nobody without the key has signed it.
 */

#include "fuzz.h"
#include "runtime/signing.h"
#include "runtime/tls-private.h"

#include <strings.h>

#define NAMES_MAX 32U

static gnutls_x509_crt_t certificate_of_names(const uint8_t *data, size_t size)
{
        static const gnutls_x509_subject_alt_name_t kinds[] = {
                GNUTLS_SAN_DNSNAME, GNUTLS_SAN_RFC822NAME, GNUTLS_SAN_URI, GNUTLS_SAN_IPADDRESS, GNUTLS_SAN_DN,
        };
        gnutls_x509_crt_t certificate;

        CHECK(gnutls_x509_crt_init(&certificate) == 0);
        for (unsigned i = 0; i < NAMES_MAX && size >= 2; i++) {
                size_t n = MIN((size_t) data[1], size - 2);

                if (data[0] >= 250)
                        (void) gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, data + 2,
                                                             (unsigned) n);
                else
                        (void) gnutls_x509_crt_set_subject_alt_name(certificate, kinds[data[0] % ELEMENTSOF(kinds)],
                                                                    data + 2, (unsigned) n, GNUTLS_FSAN_APPEND);
                data += 2 + n;
                size -= 2 + n;
        }
        return certificate;
}

static gnutls_x509_crt_t certificate_of_bytes(const uint8_t *data, size_t size)
{
        gnutls_datum_t datum = { (unsigned char *) data, (unsigned) size };
        gnutls_x509_crt_t certificate;

        CHECK(gnutls_x509_crt_init(&certificate) == 0);
        if (gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_DER) >= 0)
                return certificate;
        gnutls_x509_crt_deinit(certificate);
        return NULL;
}

static bool is_there(const TlsSession *session, const char *name)
{
        for (unsigned i = 0;; i++) {
                _cleanup_(freep) char *dns = tls_certificate_dns_name(session->peer, i);

                if (!dns || strcasecmp(dns, name) == 0)
                        return dns;
        }
}

static void check_names(const TlsSession *session)
{
        for (unsigned i = 0;; i++) {
                _cleanup_(freep) char *name = tls_certificate_dns_name(session->peer, i);

                if (!name)
                        break;
                CHECK(i > 0 || strcmp(name, session->peer_name) == 0);
                CHECK(name[0] != '\0' && strlen(name) < 256);
                for (const char *p = name; *p; p++)
                        CHECK(*p > ' ' && *p <= '~');
                CHECK(tls_session_speaks_for(session, name));
                /* A name that was cut is none. */
                name[strlen(name) - 1] = '\0';
                CHECK(!tls_session_speaks_for(session, name) || is_there(session, name));
        }
        CHECK(!tls_session_speaks_for(session, ""));
        CHECK(!tls_session_speaks_for(session, "a name with blanks"));
}

/* Nobody trusts it: the reason is a sentence, whatever stands in the certificate. */
static void check_refusal(TlsSession *session)
{
        Tls tls = { .ca_path = (char *) "/ca.pem" };
        char *why = NULL;

        CHECK(gnutls_x509_trust_list_init(&tls.trust, 0) == 0);
        CHECK(tls_session_judge(session, &tls, &why) == -EACCES && why);
        CHECK(strlen(why) < 2048);
        for (const char *p = why; *p; p++)
                CHECK(*p >= ' ' && *p <= '~');
        free(why);
        gnutls_x509_trust_list_deinit(tls.trust, 1);
}

#define VERIFIER "log1.example.org+182af122+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

static void check_note(const char *text, size_t size)
{
        char again[NOTE_MAX];
        Note note, same;
        VerifierKey key;
        IndexEntry entry;
        uint8_t signature[SIGNATURE_SIZE] = { 0 };

        CHECK(verifier_key_parse(VERIFIER, &key) == 0);
        if (note_parse(text, size, &note) == 0) {
                CHECK(note.size < size && strlen(note.name) > 0);
                (void) note_signature(text, size, key.name, key.id, signature);
                CHECK(verifier_key_verify(&key, text, size, &same) <= 0);
                same = note;
                note_format(&same, again);
                CHECK(same.size <= note.size && memcmp(again, text, same.size) == 0);
                note_to_entry(&note, key.id, signature, &entry);
                note_from_entry(&entry, note.name, &same);
                CHECK(same.seq == note.seq && same.number == note.number);
        } else {
                CHECK(verifier_key_verify(&key, text, size, &same) == -EBADMSG);
        }
}

static void check_verifier_key(const uint8_t *data, size_t size)
{
        char *text = strndup((const char *) data, size), again[VERIFIER_KEY_MAX];
        VerifierKey key, same;

        CHECK(text);
        if (verifier_key_parse(text, &key) == 0) {
                verifier_key_format(&key, again);
                CHECK(verifier_key_parse(again, &same) == 0 && strcmp(same.name, key.name) == 0);
        }
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        TlsSession session = { .server = true };

        if (size == 0)
                return 0;
        if (data[0] & 4) {
                check_note((const char *) data + 1, size - 1);
                check_verifier_key(data + 1, size - 1);
                return 0;
        }
        session.peer = data[0] & 1 ? certificate_of_names(data + 1, size - 1) : certificate_of_bytes(data + 1, size - 1);
        if (!session.peer)
                return 0;
        session.server = data[0] & 2;
        CHECK(gnutls_init(&session.gnutls, session.server ? GNUTLS_SERVER : GNUTLS_CLIENT) == 0);
        session.peer_name = tls_certificate_dns_name(session.peer, 0);
        check_names(&session);
        check_refusal(&session);
        free(session.peer_name);
        gnutls_x509_crt_deinit(session.peer);
        gnutls_deinit(session.gnutls);
        return 0;
}
