/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay verify: whether stores are whole. It reads, and writes nothing but what it says. */

#include "tool/store-directories.h"
#include "tool/reason.h"
#include "tool/terminal.h"
#include "tool/tool.h"
#include "tool/verify/report.h"

#include <getopt.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define EXIT_DAMAGED 3
#define EXIT_GAPS 4
/* Of the progress bar. */
#define BAR_WIDTH 40U

enum { OPTION_JSON = 256, OPTION_KEY, OPTION_CHECKPOINT, OPTION_RECEIPTS };

typedef struct Verification {
        Evidence evidence;
        bool json;
        Report **reports;
        size_t n;
        Report *current;
        unsigned shown; /* thousandths, of the progress bar */
        bool failed;
        bool missing; /* a store of which there is a checkpoint */
} Verification;

static void help(void)
{
        printf("Usage: audit-relay verify [OPTION...] [DIRECTORY...]\n"
               "\n"
               "Whether stores are whole: a collector's, a sender's, or a copy; also while they are written to. All of\n"
               "text, index and chain is read. Nothing is repaired, nothing deleted. DIRECTORY: a store, or a folder of\n"
               "nodes' stores (Layout=by-node); by default those of this host.\n"
               "\n"
               "  --key=KEY          Look at the signatures, by this verifier key (\"audit-relay cert verifier NAME\"), or the one\n"
               "                     in this file; may be repeated\n"
               "  --checkpoint=FILE  Compare with the checkpoints in FILE, which were kept elsewhere; may be repeated\n"
               "  --receipts=DIR     Compare with those that a client keeps, in all files of DIR; may be repeated\n"
               "  --json             What was found as JSON\n"
               "  --help             This text\n"
               "\n"
               "Exit status: 0 intact; 1 it did not work; 2 the command line is wrong; 3 damaged; 4 intact, but records\n"
               "were lost before they came here, and gap records say so.\n");
}

/* --- One store --- */

/* Fails only for an algorithm that the library does not have. */
static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest);

        assert(r == 0);
        (void) r;
}

static void on_finding(const VerifyFinding *finding, void *userdata)
{
        Verification *verification = userdata;

        report_finding(finding, verification->current);
}

static void on_batch(const IndexEntry *entry, const VerifyStream *stream, const uint8_t *payload, void *userdata)
{
        Verification *verification = userdata;

        report_batch(entry, stream, payload, verification->current);
}

static void on_chained(const uint8_t chain[static SHA256_SIZE], uint64_t seq, void *userdata)
{
        Verification *verification = userdata;

        evidence_chained(&verification->evidence, chain, seq);
}

static void on_checkpoint(const IndexEntry *entry, void *userdata)
{
        Verification *verification = userdata;

        evidence_checkpoint(&verification->evidence, entry);
}

static void on_progress(unsigned done, void *userdata)
{
        static const char bar[] = "########################################";
        Verification *verification = userdata;
        int full = (int) (done * BAR_WIDTH / 1000);

        if (done == verification->shown)
                return;
        verification->shown = done;
        terminal_progress("%s [%-*.*s] %u%%", verification->current->directory, (int) BAR_WIDTH, full, bar, done / 10);
}

static int verify_one(Verification *verification, Disk *disk)
{
        const VerifyHandler handler = {
                .finding = on_finding,
                .batch = on_batch,
                .chained = on_chained,
                .checkpoint = on_checkpoint,
                .progress = on_progress,
        };
        Report *report = verification->current;
        Evidence *evidence = &verification->evidence;
        int r;

        verification->shown = 0;
        evidence_begin(evidence, report_proof, report);
        r = store_verify(disk, sha256, &handler, verification, &report->result);
        terminal_progress_end();
        if (r < 0)
                return r;
        evidence_end(evidence, &report->result);
        report->checkpoints = evidence->checkpoints;
        report->signed_seq = evidence->signed_seq;
        report->signed_sec = evidence->signed_sec;
        report->has_keys = evidence->n_keys > 0;
        return report->no_memory ? -ENOMEM : 0;
}

/* 1; 0: no store is there; or a negative errno. */
static int verify_directory(const char *directory, void *userdata)
{
        Verification *verification = userdata;
        _cleanup_(report_freep) Report *report = NULL;
        _cleanup_(disk_freep) Disk *disk = NULL;
        Report **reports;
        int r = disk_open(directory, &disk);

        if (r == 0)
                r = report_new(directory, &report);
        if (r == 0) {
                verification->current = report;
                r = verify_one(verification, disk);
        }
        if (r == -ENODATA)
                return 0;
        if (r < 0) {
                fprintf(stderr, "Cannot verify %s: %s\n", directory,
                        r == -EPROTONOSUPPORT ? "it was written by a newer version; use that one's audit-relay" : tool_reason(r));
                verification->failed = true;
                return 1;
        }
        reports = reallocarray(verification->reports, verification->n + 1, sizeof *reports);
        if (!reports)
                return -ENOMEM;
        verification->reports = reports;
        reports[verification->n++] = TAKE_PTR(report);
        return 1;
}

/* --- All of them --- */

static int verify_root(Verification *verification, const char *directory)
{
        int r = verify_directory(directory, verification), n = 0;

        if (r >= 0)
                n = store_directories_nodes(directory, verify_directory, verification);
        if (n == -EACCES && verification->failed)
                return 0; /* for the same reason, which was said */
        if (r < 0 || n < 0) {
                fprintf(stderr, "Cannot verify %s: %s\n", directory, tool_reason(r < 0 ? r : n));
                verification->failed = true;
                return 0;
        }
        return r + n;
}

static void verify_default(Verification *verification)
{
        struct stat st;
        int n = 0;

        for (const char *const *directory = store_directories_default; *directory; directory++)
                if (stat(*directory, &st) == 0)
                        n += verify_root(verification, *directory);
        if (n > 0 || verification->failed)
                return;
        fprintf(stderr, "There is no store on this host: name a directory\n");
        verification->failed = true;
}

static void verify_named(Verification *verification, char *const *directories)
{
        for (; *directories; directories++)
                if (verify_root(verification, *directories) == 0 && !verification->failed) {
                        fprintf(stderr, "There is no store in %s: check the path\n", *directories);
                        verification->failed = true;
                }
}

static void on_rest(const Proof *proof, void *userdata)
{
        Verification *verification = userdata;

        verification->missing = true;
        report_print_rest(proof, stderr);
}

/* Of the kept checkpoints, those that said nothing here. */
static void check_rest(Verification *verification)
{
        Evidence *evidence = &verification->evidence;

        if (evidence->foreign > 0)
                fprintf(stderr, "%" PRIu64 " of the checkpoints are signed by none of these keys, and were left out: give all of them by --key=\n",
                        evidence->foreign);
        evidence_rest(evidence, on_rest, verification);
}

static int print(const Verification *verification)
{
        int r = 0;

        if (verification->json)
                report_print_json(verification->reports, verification->n, stdout);
        for (size_t i = 0; !verification->json && r == 0 && i < verification->n; i++) {
                if (i > 0)
                        putchar('\n');
                r = report_print(verification->reports[i], stdout);
        }
        if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
                r = -errno;
        if (r < 0)
                fprintf(stderr, "Cannot write to standard output: %s\n", tool_reason(r));
        return r;
}

static int judge(const Verification *verification)
{
        ReportVerdict worst = verification->missing ? REPORT_DAMAGED : REPORT_INTACT;

        for (size_t i = 0; i < verification->n; i++)
                worst = MAX(worst, report_verdict(verification->reports[i]));
        if (worst == REPORT_DAMAGED)
                return EXIT_DAMAGED;
        if (verification->failed)
                return TOOL_EXIT_FAILURE;
        return worst == REPORT_GAPS ? EXIT_GAPS : EXIT_SUCCESS;
}

/* Keys first, whatever the order of the options is. */
static int add_evidence(Verification *verification, int option, const char *argument, bool keys)
{
        Evidence *evidence = &verification->evidence;

        if (keys)
                return option == OPTION_KEY ? evidence_add_key(evidence, argument) : 0;
        if (option == OPTION_CHECKPOINT)
                return evidence_add_file(evidence, argument);
        return option == OPTION_RECEIPTS ? evidence_add_directory(evidence, argument) : 0;
}

/* Returns 1 to go on; 0 when help was asked for; -EINVAL: a wrong option; or another negative errno. */
static int parse_options(int argc, char **argv, Verification *verification, bool keys)
{
        static const struct option table[] = {
                { "help", no_argument, NULL, 'h' },
                { "json", no_argument, NULL, OPTION_JSON },
                { "key", required_argument, NULL, OPTION_KEY },
                { "checkpoint", required_argument, NULL, OPTION_CHECKPOINT },
                { "receipts", required_argument, NULL, OPTION_RECEIPTS },
                { 0 },
        };
        int c, r = 1;

        optind = 0;
        while (r > 0 && (c = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
                if (c == 'h')
                        return 0;
                if (c == '?')
                        return -EINVAL;
                verification->json = verification->json || c == OPTION_JSON;
                if (c == OPTION_JSON)
                        continue;
                if (!keys && c != OPTION_KEY && verification->evidence.n_keys == 0) {
                        fprintf(stderr, "--checkpoint= and --receipts= need --key=, by which they are signed\n");
                        return -EINVAL;
                }
                r = add_evidence(verification, c, optarg, keys) < 0 ? -EIO : 1;
        }
        return r;
}

static int run(Verification *verification, char *const *directories)
{
        if (*directories)
                verify_named(verification, directories);
        else
                verify_default(verification);
        check_rest(verification);
        return print(verification) < 0 ? TOOL_EXIT_FAILURE : judge(verification);
}

int verb_verify(int argc, char **argv)
{
        Verification verification = { .json = false };
        int r = parse_options(argc, argv, &verification, true);

        if (r > 0)
                r = parse_options(argc, argv, &verification, false);
        if (r == 0)
                help();
        if (r > 0)
                r = run(&verification, argv + optind);
        else if (r < 0)
                r = r == -EINVAL ? TOOL_EXIT_USAGE : TOOL_EXIT_FAILURE;
        for (size_t i = 0; i < verification.n; i++)
                report_free(verification.reports[i]);
        free(verification.reports);
        evidence_done(&verification.evidence);
        return r;
}
