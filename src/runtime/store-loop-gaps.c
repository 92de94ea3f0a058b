/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/store-loop-gaps.h"
#include "record/record.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int append(Store *store, const RecordGap *gap, uint64_t now_usec)
{
        uint8_t line[RECORD_LINE_MAX];
        Batch batch = {
                .first = 1,
                .last = 1,
                .count = 1,
                .size = (uint32_t) record_gap(gap, line),
                .origin = BATCH_ORIGIN_LOCAL,
                .reason = BATCH_RECORDS,
                .payload = line,
        };

        batch_seal(&batch);
        return store_append_own(store, &batch, now_usec);
}

/* Realtime of the boot; how far it is off, the clock's corrections since then decide. */
static uint64_t boot_usec(uint64_t now_usec)
{
        struct timespec up = { 0 };
        uint64_t up_usec;

        (void) clock_gettime(CLOCK_BOOTTIME, &up);
        up_usec = (uint64_t) up.tv_sec * USEC_PER_SEC + (uint64_t) up.tv_nsec / 1000;
        return now_usec > up_usec ? now_usec - up_usec : 0;
}

static int write_machine_death(StoreGaps *gaps, Store *store, RecordGap *gap, uint64_t now_usec)
{
        uint64_t since = gaps->report.last_usec, until = boot_usec(now_usec);
        char detail[128];
        int r;

        (void) snprintf(detail, sizeof detail,
                        "since=%" PRIu64 ".%03" PRIu64 " until=%" PRIu64 ".%03" PRIu64, since / USEC_PER_SEC,
                        since % USEC_PER_SEC / USEC_PER_MSEC, until / USEC_PER_SEC,
                        until % USEC_PER_SEC / USEC_PER_MSEC);
        gap->where = "machine";
        gap->reason = "machine-death";
        gap->at_least = true;
        gap->detail = detail;
        r = append(store, gap, now_usec);
        if (r >= 0)
                log_message(LOG_WARNING, MESSAGE_ID_GAP, "REASON=machine-death",
                            "The machine went down without a clean end: records between the last one "
                            "received and the boot may be lost (%s)", detail);
        return r;
}

static int write_damage(const StoreDamage *damage, Store *store, RecordGap *gap, uint64_t now_usec)
{
        StoreStatus status;
        char stream[33];
        int r;

        store_status(store, &status);
        stream_id_format(&status.stream, stream);
        gap->where = "store";
        gap->reason = "store-damaged";
        gap->stream = stream;
        gap->first = damage->first;
        gap->last = damage->last;
        gap->lost = damage->last - damage->first + 1;
        r = append(store, gap, now_usec);
        if (r >= 0)
                log_message(LOG_ERR, MESSAGE_ID_SEGMENT_DAMAGED, NULL,
                            "Segment %020" PRIu64 " is damaged: records %" PRIu64 " to %" PRIu64
                            " cannot be read any more; its files are left unchanged",
                            damage->segment, damage->first, damage->last);
        return r;
}

static int write_one(StoreGaps *gaps, Store *store, uint64_t now_usec)
{
        size_t i = gaps->written;
        RecordGap gap = {
                .node = gaps->node,
                .time = record_time(now_usec, i + 1),
        };

        if (gaps->machine_death && i == 0)
                return write_machine_death(gaps, store, &gap, now_usec);
        return write_damage(&gaps->report.damages[i - gaps->machine_death], store, &gap, now_usec);
}

int store_gaps_write(StoreGaps *gaps, Store *store, uint64_t now_usec)
{
        size_t n = gaps->report.n_damages + gaps->machine_death, before = gaps->written;

        for (; gaps->written < n; gaps->written++) {
                int r = write_one(gaps, store, now_usec);

                if (r < 0)
                        return r;
        }
        return gaps->written > before;
}

void store_gaps_commit_begin(StoreGaps *gaps)
{
        gaps->submitted = gaps->written;
}

void store_gaps_commit_end(StoreGaps *gaps, int error)
{
        if (error == 0)
                gaps->durable = gaps->submitted;
        else
                gaps->written = gaps->submitted = gaps->durable;
}

bool store_gaps_told(const StoreGaps *gaps)
{
        return gaps->durable == gaps->report.n_damages + gaps->machine_death;
}

void store_gaps_done(StoreGaps *gaps)
{
        store_report_done(&gaps->report);
}
