/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the three parts of the oracle share: the accounts. */

#include "sim.h"

#define EPOCHS_MAX 256U

typedef struct Accepted {
        uint64_t number; /* 0: a gap record */
        uint64_t line;   /* checksum of the line */
        uint64_t own;    /* seq under which remote's store had it; 0: not seen there */
        unsigned seen;   /* a bit for each collector in whose store it is */
        bool rolled;     /* gone with its client's disk, and no collector had it */
        bool forgotten;  /* its client's disk was set back to before it */
        bool cloned;     /* two clients have it */
} Accepted;

/* The life of a ring. */
typedef struct Epoch {
        unsigned client;
        StreamId stream;
        Accepted *records; /* [seq - 1] */
        uint64_t newest, allocated;
        uint64_t base;     /* the kernel's records before it */
        uint64_t numbered; /* records among them */
        uint64_t last_number;
        uint64_t told; /* dropped, by its gap records */
        bool died;
} Epoch;

/* Where a record was accepted. */
typedef struct Place {
        size_t epoch;
        uint64_t seq;
} Place;

extern Epoch oracle_epochs[EPOCHS_MAX];
extern size_t oracle_n_epochs;
extern uint64_t oracle_deaths[SIM_CLIENTS_MAX], oracle_deaths_to_tell[SIM_CLIENTS_MAX]; /* by identity */
extern uint64_t oracle_clean_ends;

static inline Accepted *oracle_record(Place place)
{
        return &oracle_epochs[place.epoch].records[place.seq - 1];
}

static inline bool oracle_before(Place a, Place b)
{
        return a.epoch < b.epoch || (a.epoch == b.epoch && a.seq < b.seq);
}

/* What a line says. */
bool oracle_contains(const uint8_t *line, size_t size, const char *word);
uint64_t oracle_find_number(const uint8_t *line, size_t size, const char *word);
bool oracle_is_gap(const uint8_t *line, size_t size);
/* The record that a line is. Of equal gap records one that `collector` has not been seen to have. Returns
 * whether somebody accepted it. */
bool oracle_find(const uint8_t *line, size_t size, unsigned collector, Place *ret);

/* A stream's last seq that a keeper said it has; the keeper is set back to it; calls found() for each stream
 * of which one said something. */
uint64_t oracle_promised(const StreamId *stream, unsigned keeper);
/* The ring's life that has that stream, or NULL. */
Epoch *oracle_epoch(const StreamId *stream);
void oracle_promise_less(const StreamId *stream, unsigned keeper, uint64_t seq);
void oracle_promises(unsigned keeper, void (*found)(const StreamId *stream, uint64_t seq, void *userdata),
                     void *userdata);

/* --- sim-history.c --- */

void history_begin(void);
void history_done(void);
/* Whether all of first..last may be told as lost: a collector that was restored lost it; or it was deleted under a stream that
 * this one took the place of, and a collector was restored since, so that nobody knows who has it; or a full remote deleted it,
 * which did not know for certain that a collector has it. */
bool history_lost(const StreamId *stream, uint64_t first, uint64_t last);
/* The stream was begun in place of another, or took the place of that again: up to here it repeats what
 * was held; 0: neither. */
uint64_t history_repeats(const StreamId *stream);
/* Whether the stream was begun in place of `before`, directly or not. */
bool history_follows(const StreamId *stream, const StreamId *before);
/* How many of first..last must not be with that collector as records: another one had them, and the client
 * knew. */
uint64_t history_too_much(unsigned collector, const StreamId *stream, uint64_t first, uint64_t last);
/* The record was in a store that was restored to what was before it: under which stream and seq; NULL: not.
 * `ret_known`: nothing that happened since can have made its client forget it. */
const StreamId *history_dropped(Place place, uint64_t *ret_seq, bool *ret_known);
/* As what the client delivers to collectors. */
const StreamId *history_stream(unsigned client);
/* Calls found() for each gap record about deaths in the client's store: its seq, and how many of oracle_deaths_to_tell it tells. */
void history_deaths(unsigned client, void (*found)(uint64_t seq, uint64_t deaths, void *userdata), void *userdata);
void history_count(Verdict *verdict);
