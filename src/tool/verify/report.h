/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `audit-relay verify` has found in one store, and how it is said. */

#include "tool/verify/evidence.h"

#include <stdio.h>

/* Gaps, and findings, that are shown of one store; what is more is counted. */
#define REPORT_ROWS_MAX 1000U

/* A gap record. */
typedef struct ReportGap {
        uint64_t seq, last_seq; /* own: it is one of these */
        uint64_t time_usec;
        char node[NODE_NAME_MAX + 1];
        char where[16], reason[48], lost[24], count[12];
} ReportGap;

typedef struct ReportFinding {
        VerifyFinding finding;
        StreamId stream;
        char owner[NODE_NAME_MAX + 1];
} ReportFinding;

typedef struct Report {
        char *directory;
        VerifyResult result;
        ReportGap *gaps;
        size_t n_gaps, allocated_gaps;
        uint64_t gaps_more;
        ReportFinding *findings;
        size_t n_findings, allocated_findings;
        uint64_t findings_more;
        Proof *proofs; /* of the evidence; their paths are its */
        size_t n_proofs, allocated_proofs;
        uint64_t checkpoints, signed_seq, signed_sec; /* in the index; up to where, and when the last was signed; 0: none */
        bool has_keys;
        uint64_t unfinished; /* bytes behind what was promised */
        bool no_memory;
} Report;

typedef enum ReportVerdict {
        REPORT_INTACT,
        REPORT_GAPS,
        REPORT_DAMAGED,
} ReportVerdict;

int report_new(const char *directory, Report **ret) _must_check_;
Report *report_free(Report *report);
DEFINE_CLEANUP(Report *, report_free)

/* For VerifyHandler, with the report as userdata. */
void report_finding(const VerifyFinding *finding, void *userdata);
void report_batch(const IndexEntry *entry, const VerifyStream *stream, const uint8_t *payload, void *userdata);

/* For Evidence.found. */
void report_proof(const Proof *proof, void *userdata);

ReportVerdict report_verdict(const Report *report);
/* Returns 0 or -ENOMEM. */
int report_print(const Report *report, FILE *to) _must_check_;
/* A checkpoint that was kept, of a store that was not there. */
void report_print_rest(const Proof *proof, FILE *to);
/* An array of all of them. */
void report_print_json(Report *const *reports, size_t n, FILE *to);
