# SPDX-License-Identifier: LGPL-2.1-or-later
"""The seeded bugs: what somebody might write by mistake, and the one test that must notice. seed.py puts them into copies of the
sources, run.py runs the tests. A bug that no test catches shows what the tests do not see: then write that test.
"""

import typing


class Edit(typing.NamedTuple):
    path: str
    right: str  # as it is in the file, but for white space
    broken: str


class Bug(typing.NamedTuple):
    name: str
    test: str
    case: str | None  # None: the program's exit status
    edits: list
    arguments: tuple = ()


def bug(name, test, case, path, right, broken, *more):
    """more: further (path, right, broken) of the same bug."""
    return Bug(name, test, case, [Edit(f'src/{p}', r, b) for p, r, b in ((path, right, broken), *more)])


def simulated(name, path, right, broken, *more, histories=150):
    return bug(name, 'simulate', None, path, right, broken, *more)._replace(arguments=(f'--histories={histories}', '--seed=1'))


SYNC = 'r = job->disk->sync(job->disk, job->handles[i]);'
CRASH = ('test-store-crash', 'nothing_acked_is_lost')
FAULTS = ('test-store-faults', 'every_call_may_fail')
INLET_TLS = 'test-inlet-tls'
RING_CRASH = ('test-ring-crash', 'a_crash_at_any_step_loses_and_repeats_nothing')

BUGS = [
    # --- The store: what is promised is on the disk ---
    bug('ack-before-sync', *CRASH, 'store/commit.c', SYNC, 'r = 0;'),
    bug('sync-of-another-file', *CRASH, 'store/commit.c', SYNC, 'r = job->disk->sync(job->disk, job->handles[0]);'),
    bug('retry-after-eio', *CRASH, 'store/commit.c', SYNC,
        'r = job->disk->sync(job->disk, job->handles[i]); if (r == -EIO) r = job->disk->sync(job->disk, job->handles[i]);'),
    bug('sync-error-ignored', *CRASH, 'store/commit.c', SYNC, '(void) job->disk->sync(job->disk, job->handles[i]); r = 0;'),
    bug('no-directory-sync', *CRASH, 'store/commit.c',
        'return job->directory ? job->disk->sync_directory(job->disk) : 0;', 'return 0;'),
    bug('unsynced-rotation', *CRASH, 'store/commit.c',
        'ret->handles[ret->n_handles++] = store->before.text; ret->handles[ret->n_handles++] = store->before.index;', ';'),
    bug('index-not-synced', *CRASH, 'store/commit.c', 'ret->handles[ret->n_handles++] = store->current.index;', ';'),
    bug('named-before-synced', *CRASH, 'store/commit.c', 'sync_cut(job);',
        'sync_cut(job); if (job->to[0] != 0) (void) job->disk->rename(job->disk, job->from, job->to);',
        ('store/commit.c', 'r = job->disk->rename(job->disk, job->from, job->to);', 'r = 0;')),
    bug('mark-before-sync', *CRASH, 'store/commit.c',
        'entry.commit.text_size = store->durable.text_size;'
        ' entry.commit.index_size = (uint64_t) store->durable.entries * INDEX_ENTRY_SIZE;',
        'entry.commit.text_size = store->written.text_size; entry.commit.last = store->written.last;'
        ' entry.commit.index_size = ((uint64_t) store->written.entries + writer->n) * INDEX_ENTRY_SIZE;'),
    bug('shown-before-durable', 'test-store', 'nothing_is_shown_before_it_is_durable', 'store/reader.c',
        'if (seq == 0 || seq > store->durable.last) return seq == store->durable.last + 1 ? 0 : -ESTALE;',
        'if (seq == 0 || seq > store->written.last) return seq == store->written.last + 1 ? 0 : -ESTALE;'),
    bug('poisoned-segment-written-on', *CRASH, 'store/commit.c', 'segment_end(store);',
        'if (!store->fresh && store->before.text < 0) store->ragged = false; else segment_end(store);'),
    bug('stream-not-stepped-back', 'test-store-trouble', 'a_failed_commit_steps_back', 'store/streams.c', 'stream->written = stream->durable;', ';'),
    bug('cut-not-synced', *CRASH, 'store/commit.c', 'sync_cut(job);', ';'),

    bug('packed-not-synced', *CRASH, 'store/pack.c', 'r = disk->sync(disk, packer.to);', 'r = 0;'),
    bug('plain-gone-before-packed-has-its-name', *CRASH, 'store/pack.c', 'return r < 0 ? r : disk->sync_directory(disk);', 'return r;'),
    bug('packed-last', 'test-store-pack', 'the_oldest_first_and_never_the_last', 'store/pack.c',
        '1 + store->fresh', '1'),
    bug('packed-not-compared', 'test-store-pack', 'zstd_that_errs', 'store/pack.c',
        'memcmp(packer->again, packer->block, size) != 0', 'false'),
    bug('times-of-another-segment', 'test-store-view', 'times_outlive_a_restart', 'store/recovery-segment.c',
        '.span = replay->span,', '.span = BATCH_SPAN_NONE,'),
    bug('followed-before-durable', 'test-store-view', 'following_shows_what_is_durable', 'store/view.c',
        'i = view->mark > 0 || view->follow ? view->mark : n;', 'i = view->follow ? n : view->mark;'),

    # --- The store: what comes back after a crash ---
    bug('torn-tail-not-cut', *CRASH, 'store/recovery-segment.c',
        'r = disk->truncate(disk, files->text, found->replay.text_size);', 'r = 0;'),
    bug('cut-before-the-mark', 'test-store-damage', 'a_rotten_entry_is_reported_and_passed_over', 'store/recovery-segment.c',
        'entry.kind == INDEX_COMMIT && entry.commit.segment == found->first', 'false'),
    bug('tail-not-verified', *CRASH, 'store/recovery-segment.c',
        'if (r > 0 && entry.kind == INDEX_BATCH) r = verify_text(found, files->text, &entry);', ';'),
    bug('tail-not-written-again', 'test-store-damage', 'bytes_left_by_a_failed_sync_are_written_again', 'store/recovery-segment.c',
        'r = segment_write(found->store->disk, handle, found->payload, size, from);', 'r = 0;'),
    bug('explanation-not-carried-over', 'test-store-trouble', 'what_was_explained_stays_when_its_segment_is_replaced', 'store/header.c',
        'if (entry.kind != INDEX_COMMIT) writer_put(writer, &entry);', 'if (entry.kind != INDEX_COMMIT && entry.kind != INDEX_BATCH) writer_put(writer, &entry);'),
    bug('sequence-reset-at-start', *CRASH, 'store/recovery-segment.c',
        'store->written = store->flight = store->durable;',
        'store->durable.last = found->first - 1; store->written = store->flight = store->durable;'),
    bug('positions-forgotten-at-start', *CRASH, 'store/replay.c',
        'stream->durable = (StreamPoint) { entry->batch.received_last, entry->batch.received_checksum };',
        'stream->durable = (StreamPoint) { entry->batch.received_first - 1, 0 };'),
    bug('no-directory-sync-at-start', 'test-store-trouble', 'names_left_unsynced_are_synced_by_the_next_start', 'store/recovery.c', 'r = store->disk->sync_directory(store->disk);', 'r = 0;'),
    bug('index-entry-of-another-place', 'test-index', 'entries_survive_the_round_trip', 'store/index.c',
        'entry.number != number', 'false'),
    bug('index-checksum-not-compared', 'test-index', 'every_flipped_bit_is_noticed', 'store/index.c',
        'get_le64(bytes + OFFSET_CHECKSUM) != entry_checksum(bytes)', 'false'),

    # --- The store: a disk that is full or fails ---
    bug('short-write-ignored', *FAULTS, 'store/segment.c', 'data += n; size -= (size_t) n;', 'data += n; size = 0;'),
    bug('enospc-acked', *CRASH, 'store/store.c', 'r = segment_write_text(store, stored->payload, size);',
        'r = segment_write_text(store, stored->payload, size); if (r == -ENOSPC) r = 0;',
        ('store/segment.c', 'if (r < 0) return r; *allocated = target;', '*allocated = target;')),
    bug('edquot-is-a-failure', 'test-store-trouble', 'no_room_is_an_ordinary_result', 'store/store-internal.h',
        'error == -ENOSPC || error == -EDQUOT || error == -EFBIG', 'error == -ENOSPC || error == -EFBIG'),
    bug('half-a-line-left', 'test-store-trouble', 'half_a_line_does_not_stay', 'store/segment.c', '(void) cut_text(store);', ';'),

    # --- The store: custody and deletion ---
    bug('dropped-and-not-told', 'test-store-policy', 'full_it_drops_the_oldest_and_tells_exactly_what', 'store/custody.c',
        'explain(BATCH_LOST, seq, end, reason > 0 && reason < _INDEX_DELETED_MAX ? deleted_reasons[reason]'
        ' : STORE_DAMAGED_REASON, ret);', 'explain(BATCH_FILTERED, seq, end, "", ret);'),
    bug('dropped-and-not-counted', 'test-store-policy', 'full_it_drops_the_oldest_and_tells_exactly_what', 'store/retention.c',
        'count_dropped(store, i);', ';'),
    bug('acked-log-goes-at-once', 'test-store-policy', 'acked_records_stay_for_their_time', 'store/retention.c',
        '(options->acked_usec == 0 || is_old(store, i, options->acked_usec, now_usec))', 'true'),
    bug('trim-before-ack', 'test-store-custody', 'acked_segments_go', 'store/retention.c',
        'custody_until(store, store->segments[i].first) >= store->segments[i + 1].first - 1',
        'store->segments[i + 1].first - 1 <= store->durable.last'),
    bug('unlink-before-the-entry-is-durable', *CRASH, 'store/commit.c', 'make_job(store, ret_job);',
        'for (size_t i = 0; i < store->n_victims; i++) retention_remove_files(store, &store->segments[i]);'
        ' make_job(store, ret_job);'),
    bug('release-of-what-is-not-durable', 'test-store-trouble', 'nothing_is_released_that_was_not_shown', 'store/reader.c',
        'seq == collector->seq || seq > collector->store->durable.last', 'seq == collector->seq'),
    bug('restored-collector-believed', 'test-store-custody', 'what_is_held_goes_to_a_collector_that_was_set_back', 'store/reader.c',
        'if (seq < collector->seq) custody_set_back(collector, seq);', 'if (seq < collector->seq) return;'),
    bug('old-stream-never-doubted', 'test-store-custody', 'a_restored_collector_makes_the_old_streams_custody_doubtful',
        'store/custody.c', 'store->restart.restart.released = 0;', ';'),
    bug('doubt-not-written-down', 'test-store-custody', 'a_restored_collector_makes_the_old_streams_custody_doubtful',
        'store/custody.c', 'store->restart_unsaved = true;', ';'),
    bug('lost-said-to-be-at-another', 'test-store-custody', 'what_a_collector_lost_is_not_said_to_be_at_another', 'store/custody.c',
        'o->from = MAX(o->from, collector->seq + 1);', ';'),
    bug('custody-told-before-written-down', 'test-store-custody', 'custody_is_told_when_it_is_written_down', 'store/reader.c',
        'if (r <= 0) return r == -ENOENT;', 'if (r < 0) return 1;'),
    bug('clean-end-stands', 'test-store', 'a_clean_end_is_taken_back', 'store/commit.c',
        'store->begin = store->finished || store->n_segments == 0;', 'store->begin = store->n_segments == 0;'),
    bug('broken-connection-settles', 'test-store-owed', 'only_an_orderly_bye_settles', 'runtime/store-loop-owed.c',
        '(bye->code != LINK_BYE_ENDING && bye->code != LINK_BYE_DONE)', 'false'),
    bug('others-custody-sent-twice', 'test-store-custody', 'custody_is_told_when_it_is_written_down', 'store/custody.c',
        'if (seq < oldest_held(store) || other(collector, seq)) return -ENOENT;', 'return seq < oldest_held(store) ? -ENOENT : 1;'),
    bug('loss-not-explained', 'test-store-custody', 'what_is_deleted_unacked_is_told_as_lost', 'store/reader.c',
        'custody_explain(collector, seq, ret);', 'custody_explain(collector, seq, ret); ret->reason = BATCH_FILTERED;'),
    bug('damaged-batch-sent-on', 'test-store-damage', 'damage_that_appears_while_open_is_told_to_the_reader', 'store/reader.c',
        'return batch_payload_intact(ret);', 'return 1;'),
    bug('duplicate-stored', 'test-store', 'batches_come_in_order_from_their_owner', 'store/store.c',
        'received->first != (stream ? stream->written.last : 0) + 1',
        'received->first > (stream ? stream->written.last : 0) + 1'),
    bug('stream-owner-not-checked', 'test-store', 'batches_come_in_order_from_their_owner', 'store/store.c',
        'stream && !may_own(stream, owner)', 'false'),

    # --- The sealed batch and the frames ---
    bug('checksum-without-the-seq', 'test-batch', 'a_moved_range_is_noticed', 'basic/batch.c',
        'return checksum64(header, OFFSET_CHECKSUM);', 'return checksum64(header + OFFSET_COUNT, OFFSET_CHECKSUM - OFFSET_COUNT);',
        ('basic/batch.c', 'batch.checksum != checksum64(header, OFFSET_CHECKSUM)',
         'batch.checksum != checksum64(header + OFFSET_COUNT, OFFSET_CHECKSUM - OFFSET_COUNT)')),
    bug('length-not-bounded', 'test-frame', 'vectors_decode_and_encode_to_the_same_bytes', 'link/frame-decode.c',
        'body_size > (type == FRAME_BATCH ? BATCH_HEADER_SIZE + BATCH_PAYLOAD_MAX : LINK_BODY_MAX)', 'false'),
    bug('string-length-not-bounded', 'test-frame', 'a_string_ends_with_its_frame', 'link/frame-decode.c',
        'size - offset < strings[i].size', 'false'),
    bug('payload-not-compared', 'test-link-receiver', 'another_payload_is_refused', 'link/frame-decode.c',
        '!why && !batch_payload_intact(&frame->batch)', 'false'),

    # --- The link's two machines ---
    bug('window-off-by-one', 'test-link-sender', 'credit_is_overshot_by_less_than_one_batch', 'link/link-sender.c',
        'sender->bytes_sent < sender->credit', 'sender->bytes_sent <= sender->credit'),
    bug('asked-without-end', 'test-link-sender', 'stops_when_the_output_is_full', 'link/link-sender.c',
        'full >= 0 && now_usec >= link_sender_deadline(sender)', 'full == 0 && now_usec >= link_sender_deadline(sender)'),
    bug('credit-not-enforced', 'test-link-receiver', 'a_window_that_is_just_full_is_full', 'link/link-receiver.c',
        'receiver->bytes_received >= receiver->credit', 'receiver->bytes_received > receiver->credit'),
    bug('ack-of-an-old-session', 'test-link-sender', 'only_the_right_frames_in_each_state', 'link/link-sender.c',
        '!allowed(sender->state, frame->type)',
        '!allowed(sender->state, frame->type) && !(frame->type == FRAME_ACK && sender->state == LINK_SENDER_GREETED)'),
    bug('ack-of-what-was-not-sent', 'test-link-sender', 'an_ack_of_what_waits_for_credit_is_refused', 'link/link-sender.c',
        'ack->seq > sender->sent', 'false'),
    bug('another-history-not-noticed', 'test-link-sender', 'judges_where_the_peer_stands', 'link/link-sender.c',
        'return welcome->checksum == 0 || *ret_checksum == 0 || welcome->checksum == *ret_checksum;', 'return 1;'),
    bug('rollback-not-noticed', 'test-link-sender', 'judges_where_the_peer_stands', 'link/link-sender.c',
        'if (welcome->last > range.newest) return 0;', 'if (welcome->last > range.newest) return 1;'),
    bug('duplicate-taken-on-resume', 'test-link-receiver', 'takes_only_the_next_batch', 'link/link-receiver.c',
        'frame->batch.first != receiver->received + 1', 'frame->batch.first > receiver->received + 1'),
    bug('batch-counted-though-not-taken', 'test-link-receiver', 'a_batch_not_taken_leaves_no_trace', 'link/link-receiver.c',
        'receiver->received = received; receiver->bytes_received = bytes;', 'receiver->bytes_received = bytes;'),

    # --- Intake: what is acked when ---
    bug('ack-at-append', 'test-intake', 'acks_once_and_only_after_the_commit', 'runtime/intake.c',
        'stream->open = (Mark) { session->receiver.received, bytes };',
        'stream->open = (Mark) { session->receiver.received, bytes };'
        ' intake_session_ack(session, session->receiver.received, bytes);'),
    bug('ack-of-the-open-group', 'test-intake', 'what_comes_during_a_commit_waits_for_the_next', 'runtime/intake-commit.c',
        'intake_session_ack(session, mark.last, mark.bytes);',
        'intake_session_ack(session, session->receiver.received, session->receiver.bytes_received);'),
    bug('welcome-before-the-old-group-ended', 'test-intake', 'welcome_waits_for_what_a_dead_session_left', 'runtime/intake.c',
        'session->waiting = intake_stream_pending(session->stream);', 'session->waiting = false;'),
    bug('two-sessions-of-one-stream', 'test-intake', 'a_new_session_takes_the_place_of_the_old', 'runtime/intake.c',
        'intake_session_end(old, LINK_BYE_REPLACED, 0, "another session delivers this stream now");', ';'),
    bug('foreign-stream-attached', 'test-intake', 'a_stream_has_one_owner', 'runtime/intake.c',
        'r == -EPERM || (stream && strcmp(stream->owner, session->owner) != 0)', 'false'),
    bug('acked-after-a-failed-commit', 'test-intake', 'a_failed_commit_steps_all_streams_back', 'runtime/intake-commit.c',
        'if (error != 0) { step_back(intake); return; }', ';'),
    bug('sessions-not-told-to-resume', 'test-intake', 'a_failed_commit_steps_all_streams_back', 'runtime/intake-commit.c',
        'intake_end_all(intake, LINK_BYE_RESUME, 1000, "what was not yet durable is forgotten here: send it again");', ';'),
    bug('sigterm-drops', 'test-intake', 'stopped_it_commits_and_acks_but_takes_nothing', 'runtime/intake.c',
        'if (intake->error != 0 || intake->stopped) return -EAGAIN;',
        'if (intake->stopped) { session->stalled = false; session->beat = true; return 0; } if (intake->error != 0) return -EAGAIN;'),
    bug('welcome-with-the-checksum-of-what-was-stored', 'test-intake-prepare', 'what_is_prepared_keeps_the_place_of_what_came', 'runtime/intake.c',
        'r = sink->append(sink, &session->stream->id, session->owner, batch, &stored, now);',
        'Batch other = *batch; other.checksum = stored.checksum;'
        ' r = sink->append(sink, &session->stream->id, session->owner, &other, &stored, now);'),
    bug('bad-content-dropped', 'test-intake', 'bad_content_is_stored_escaped_and_acked', 'runtime/intake.c',
        'r = sink->append(sink, &session->stream->id, session->owner, batch, &stored, now);',
        'r = fault != RECORD_OK ? 0 : sink->append(sink, &session->stream->id, session->owner, batch, &stored, now);'),
    bug('acked-without-room', 'test-intake', 'without_room_nothing_is_taken_and_nothing_forgotten', 'runtime/intake.c',
        'if (r < 0) { intake->error = r; handler->blocked(intake, r); return -EAGAIN; }',
        'if (r < 0) { handler->blocked(intake, r); session->stalled = false; session->appended = true; return 0; }'),
    bug('disk-error-ended-by-silence', 'test-store-loop-disk', 'an_error_ends_only_when_something_was_written',
        'runtime/store-loop-disk.c', 'committed && is_calm(loop, STORE_ERROR)', 'is_calm(loop, STORE_ERROR)'),
    bug('disk-low-flaps', 'test-store-loop-disk', 'low_begins_below_the_limit_and_ends_an_eighth_above', 'runtime/store-loop-disk.c',
        'level->left > level->limit + level->limit / MARGIN_SHARE', 'level->left >= level->limit'),
    bug('loss-not-written-down', 'test-intake', 'what_a_sender_lost_becomes_a_gap_record', 'runtime/intake-content.c',
        'received->reason == BATCH_LOST', 'false'),

    # --- The ring ---
    bug('head-moved-after-reuse', *RING_CRASH, 'ring/ring.c', 'ring_set_word(&ring->file->words.head, head);', 'bug_memory = head;',
        ('ring/ring.c', 'ring_set_word(&ring->file->words.published, ring->pending | copy);',
         'ring_set_word(&ring->file->words.published, ring->pending | copy);'
         ' if (bug_memory > ring_head(ring)) ring_set_word(&ring->file->words.head, bug_memory);')),
    bug('published-before-written', *RING_CRASH, 'ring/ring.c', 'batch_encode(batch, ring->area + ring->begun % ring->size);',
        'ring_set_word(&ring->file->words.published, (ring->begun + ring_entry_size(batch->size)) | ring_copy(ring));'
        ' batch_encode(batch, ring->area + ring->begun % ring->size);'),
    bug('landing-group-not-replayed', *RING_CRASH, 'ring/ring-file.c', '*ring_state(ring) = *ring_published(ring);',
        '*ring_state(ring) = *ring_published(ring); ring_set_word(&ring->file->landing.number, 0);'),
    bug('landing-group-replayed-twice', *RING_CRASH, 'ring/ring-file.c', '*ring_state(ring) = *ring_published(ring);',
        '*ring_state(ring) = *ring_published(ring);'
        ' if (ring_word(&ring->file->landing.number) == ring_published(ring)->landings)'
        ' ring_set_word(&ring->file->landing.number, ring_published(ring)->landings + 1);'),
    bug('half-written-state-kept', *RING_CRASH, 'ring/ring-file.c', '*ring_state(ring) = *ring_published(ring);', ';'),
    bug('seq-and-checksum-move-apart', *RING_CRASH, 'ring/ring-source.c',
        '!(ring_word(&row->turn) & 1)', 'ring_word(&row->turn) & 1'),
    bug('awaited-subscriber-overrun', 'test-ring', 'an_awaited_subscriber_holds_the_ring', 'ring/ring.c',
        'end - head > limit && ring_entry(ring, head, &batch, &next) > 0 && batch.last <= floor',
        'end - head > limit && ring_entry(ring, head, &batch, &next) > 0'),
    bug('producers-position-not-kept', 'test-ring', 'producers_keep_their_position', 'ring/ring-sink.c',
        'ring_publish_word(ring, false);', 'producer->last--; ring_publish_word(ring, false);'),

    # --- Records and the kernel ---
    bug('newline-forges-a-record', 'test-record', 'control_bytes_become_spaces_and_are_counted', 'record/record-format.c',
        "replace(out, size, '\\n')", '0'),
    bug('quote-forges-a-field', 'test-record', 'a_lost_reason_cannot_forge_a_field', 'record/record-own.c',
        "return c > ' ' && c < 0x7f && c != '\"' && c != '\\\\' && c != '\\'' && c != '=';",
        "return c > ' ' && c < 0x7f;"),
    bug('foreign-node-taken', 'test-record', 'lines_are_judged', 'record/record.c',
        'fault == RECORD_OK && (node->size > 0 || prefix.node.size == 0)', 'fault == RECORD_OK && prefix.node.size == 0'),
    bug('newline-forges-a-log-line', 'test-log', 'nobody_forges_a_line', 'runtime/log.c',
        'message[i] = visible(message[i]);', ';'),
    bug('auditd-read-twice', 'test-auditd', 'a_kill_loses_and_repeats_nothing', 'dispatcher/auditd.c',
        'before > 0 && before <= size && checksum64(auditd->peeked, before) == state->auditd_hash ? before : 0', '0'),
    bug('auditd-taken-out-unread', 'test-auditd', 'a_message_may_have_to_wait_for_its_end', 'dispatcher/auditd.c',
        'if (take_out(auditd, fd, (size_t) used) < 0) r = -EIO;', 'if (take_out(auditd, fd, (size_t) size) < 0) r = -EIO;'),
    bug('auditd-filling-is-records', 'test-auditd', 'binary_is_headers_and_texts', 'dispatcher/auditd-stream.c',
        'stream->filling = AUDITD_FILLED;', 'stream->filling = AUDITD_NOT_FILLED;'),
    bug('kernel-types-from-anybody', 'test-lines', 'a_type_that_may_not_be_sent_is_stored_escaped', 'dispatcher/lines.c',
        'fault == RECORD_OK && !record_filter_line(lines->types, room, line)', 'false'),
    bug('kernel-types-by-the-link', 'test-record', 'types_that_may_not_be_sent_are_refused', 'record/record-own.c',
        'if (!record_filter_line(rules->types, p, size)) return RECORD_E_TYPE;', ';'),
    bug('quota-forgets-who-comes-back', 'test-quota', 'under_pressure_a_user_has_a_share', 'dispatcher/quota.c',
        'account->used = account->tokens < full || account->share > 0;', 'account->used = account->tokens < full;'),
    bug('one-user-takes-all-places', 'test-quota', 'a_user_has_so_many_connections', 'dispatcher/quota.c',
        '(all < max / 4 * 3 || own == 0)', 'true'),
    bug('others-forgotten-for-one', 'test-ring', 'who_makes_many_streams_is_forgotten_himself', 'ring/ring-sink.c',
        'row->seen > 0 ? count_rows(state, row->owner) : SIZE_MAX', 'row->seen > 0 ? 1 : SIZE_MAX'),
    bug('producers-take-the-kernels-part', 'test-ring', 'producers_have_but_a_part_of_the_ring', 'ring/ring-sink.c',
        'ring->sink_limit > 0 && status.used >= ring->sink_limit', 'false'),
    bug('serial-gap-not-counted', 'test-kernel-serials', 'missing_serials_are_counted_with_their_range',
        'dispatcher/kernel-serials.c', 'judge_lost(serials, serial, 1);', ';'),
    bug('reordered-is-lost', 'test-kernel-serials', 'what_comes_late_within_the_window_is_not_lost',
        'dispatcher/kernel-serials.c',
        'if (ahead >= KERNEL_WINDOW) advance(serials, serial - KERNEL_WINDOW + 1);', 'advance(serials, serial);'),
    bug('enobufs-ignored', 'test-kernel', 'an_overrun_is_told', 'dispatcher/kernel.c', 'on_overrun(kernel);', ';'),
    bug('line-too-long-split', 'test-lines', 'a_line_that_is_too_long_is_skipped_to_its_own_end', 'dispatcher/lines.c',
        'lines->skipping = true;', ';'),

    # --- Subscribers that are too slow, and filters ---
    bug('limit-not-kept', 'test-feed', 'drop_oldest_keeps_the_limit', 'dispatcher/feed.c',
        'ring_behind(feed->ring, &feed->oldest.cursor) > feed->limit', 'false'),
    bug('hole-closed-before-it-was-told', 'test-feed', 'drop_newest_has_one_hole', 'dispatcher/feed.c',
        'if (feed->hole.seq > 0 || total <= feed->limit) return;',
        'if (total <= feed->limit) { feed->hole.seq = 0; return; } if (feed->hole.seq > 0) return;'),
    bug('dropped-counted-as-often-as-told', 'test-feed', 'drop_oldest_counts_once_what_it_tells_twice', 'dispatcher/told.c',
        'n -= overlap(&told->ranges[i], first, last);', ';'),
    bug('lost-range-forgotten-before-its-ack', 'test-feed', 'drop_newest_tells_the_same_hole_again', 'dispatcher/told.c',
        'told->ranges[n].last <= seq', 'told->ranges[n].first <= seq + 10'),
    bug('ring-compared-with-what-was-filtered', 'test-feed', 'only_what_was_sent_is_compared', 'dispatcher/feed.c',
        'feed->filter || feed->pressure_filter || feed->bounded || seq <= feed->begun', 'feed->bounded'),
    bug('pressure-goes-on', 'test-feed', 'pressure_replaces_the_filter', 'dispatcher/feed.c',
        'feed->pressure_filter && queued > feed->limit / 2', 'feed->pressure_filter && (feed->under_pressure || queued > feed->limit / 2)'),
    bug('filter-shifts-the-boundaries', 'test-feed', 'a_filter_keeps_the_boundaries', 'record/record-filter.c',
        'ret->count = count;', 'ret->count = count; ret->last = ret->first + count;'),
    bug('last-word-wins', 'test-record-filter', 'random_filters_are_the_reference', 'record/record-filter.c',
        '(words->any_wanted ? words->wanted[i] : UINT64_MAX) & ~words->unwanted[i]',
        'words->any_wanted ? words->wanted[i] : ~words->unwanted[i]'),

    # --- Commands ---
    bug('command-before-its-record', 'test-commands', 'a_full_ring', 'dispatcher/commands.c',
        '!commands_record(commands, j)', '(commands_record(commands, j), false)'),
    bug('command-not-granted', 'test-commands', 'refused_without_a_grant_and_recorded', 'dispatcher/commands-judge.c',
        '!is_granted(commands, j)', 'false'),
    bug('command-rate-doubled', 'test-command-policy', 'a_burst_and_then_a_rate', 'dispatcher/command-budget.c',
        'due > now_usec + COMMAND_BURST * COMMAND_INTERVAL_USEC',
        'due > now_usec + 2 * COMMAND_BURST * COMMAND_INTERVAL_USEC'),
    bug('command-surplus-forgotten', 'test-command-policy', 'what_was_too_much_is_told_exactly_and_seldom',
        'dispatcher/command-budget.c', 'client->due_usec <= now_usec && client->untold == 0',
        'client->due_usec <= now_usec'),
    bug('command-feigns-a-condition', 'test-commands', 'a_condition_of_its_own_kind', 'dispatcher/command-verb.c',
        'stpcpy(command->condition, COMMAND_CONDITION_PREFIX)', 'command->condition'),
    bug('command-goes-back-to-its-sender', 'test-commands', 'passed_on_and_answered', 'dispatcher/commands-judge.c',
        'peer != j->peer', 'true'),
    bug('command-of-a-namesake', 'test-commands', 'pausing', 'dispatcher/commands-judge.c',
        '(!found || peer->via == COMMAND_VIA_PUSH)', '!found'),
    bug('command-blocks-the-world', 'test-command-verb', 'addresses', 'dispatcher/command-verb.c',
        'bits == 32 ? PREFIX_MIN_IPV4 : PREFIX_MIN_IPV6', '0U'),
    bug('command-argument-twice', 'test-command-verb', 'what_is_wrong_with_arguments', 'dispatcher/command-verb.c',
        'ret_values[i].data', 'false'),
    bug('group-is-a-user', 'test-command-policy', 'users_and_groups', 'dispatcher/command-policy.c',
        '!grant->group', '(who->uid == grant->id || !grant->group)'),
    bug('number-of-a-dead-process', 'test-command-policy', 'a_process_is_looked_up_only_while_it_lives',
        'dispatcher/command-sender.c', 'pidfd >= 0 && poll(&pollfd, 1, 0) == 0', 'true'),
    bug('sender-is-who-listens', 'test-connection-sender', 'a_connection_knows_its_sender', 'runtime/connection.c',
        '*ret_pid = c->sender.pid;', '*ret_pid = c->peer.pid;'),
    bug('stranger-answers', 'test-gathering', 'only_who_was_asked_and_only_once', 'runtime/gathering.c',
        '!errand || !strike_off(errand, receiver)', '!errand || (!strike_off(errand, receiver) && false)'),
    bug('asker-gone-and-answered', 'test-gathering', 'an_asker_that_left_is_not_answered', 'runtime/gathering.c',
        'errand->command.asker = NULL;', ';'),
    bug('refusal-beats-done', 'test-gathering', 'the_reply_that_tells_most', 'runtime/gathering.c',
        'rank <= errand->rank', 'errand->rank > 0'),

    # --- Peers ---
    bug('certificate-checked-name-not', 'test-tls', 'collector_of_another_name_is_refused', 'runtime/tls-peer.c',
        'strcasecmp(dns, name) == 0', 'true'),
    bug('certificate-of-another-purpose', 'test-tls', 'client_certificate_is_no_collectors', 'runtime/tls-peer.c',
        'gnutls_x509_trust_list_verify_crt2(tls->trust, chain, n_chain, &purpose, 1, 0, ret_status, NULL)',
        'gnutls_x509_trust_list_verify_crt2(tls->trust, chain, n_chain, &purpose, 0, 0, ret_status, NULL)'),
    bug('bye-lost-at-the-end', 'test-connection', 'finish_sends_all_output_first', 'runtime/connection.c',
        'c->state = CONNECTION_FLUSHING;', 'c->state = CONNECTION_FLUSHING; buffer_consume(&c->output, buffer_size(&c->output));'),
    bug('descriptor-leaks-with-a-refused-client', 'test-inlet', 'refused_clients_leave_nothing', 'runtime/connection.c',
        'close_fd(c->fd);', ';'),
    bug('text-acked-when-sent', 'test-text', 'reading_is_the_ack', 'dispatcher/text.c',
        'while (n < text->n_marks && text->marks[n].end <= known) n++;', 'n = text->n_marks; (void) known;'),
    bug('text-output-unbounded', 'test-text', 'the_output_is_bounded', 'dispatcher/text.c',
        'buffer_size(output) < TARGET', 'buffer_size(output) < SIZE_MAX'),
    bug('dead-reader-has-read-all', 'test-outlet-accept', 'the_dead_do_not_read', 'runtime/connection.c',
        'if (poll(&poll_fd, 1, 0) != 0) return -EPIPE;', '(void) poll_fd;'),
    bug('backoff-reset-by-connecting', 'test-outlet', 'only_welcome_resets_the_backoff', 'runtime/outlet-session.c',
        'outlet->established = true;', 'outlet->established = true; outlet->backoff_usec = outlet->options.backoff_min_usec;'),

    # --- All of it together ---
    simulated('step-back-of-the-store-alone', 'runtime/intake-commit.c',
              'if (error != 0) { step_back(intake); return; }', ';'),
    simulated('deleted-unacked', 'store/retention.c',
              'custody_until(store, store->segments[i].first) >= store->segments[i + 1].first - 1',
              'store->segments[i + 1].first - 1 <= store->durable.last'),
    simulated('death-not-told', 'store/commit.c', 'store->begin = store->finished || store->n_segments == 0;', 'store->begin = false;'),
    simulated('clean-end-without-goodbye', 'runtime/store-loop-owed.c',
              'return owed->n == 0 && !owed->unknown && !owed->more;', 'return true;'),
    simulated('lost-told-as-custody', 'store/custody.c', 'o->from = MAX(o->from, collector->seq + 1);', ';', histories=400),
    simulated('welcome-before-the-commit', 'runtime/intake.c', 'session->waiting = intake_stream_pending(session->stream);',
              'session->waiting = false;'),
    # --- Those who come ---
    bug('silent-handshakes-stay', INLET_TLS, 'who_says_nothing_gives_way', 'runtime/admission.c',
        'bool full = admission->n_waiting > 0 && admission->n_served >= admission->options.max;', 'bool full = false;'),
    bug('address-takes-all-handshakes', INLET_TLS, 'who_says_nothing_keeps_nobody_of_another_address_waiting',
        'runtime/admission.c', '&& address->served < admission->options.address_max;', ';'),
    bug('flood-is-kept', INLET_TLS, 'a_flood_of_one_address_is_cut_off', 'runtime/admission.c',
        'if (address->waiting >= ADMISSION_WAITING * admission->options.address_max) {', 'if (false) {'),
    bug('dead-connection-keeps-its-place', 'test-inlet', 'a_returning_peer_takes_the_place_of_its_dead_connection',
        'runtime/inlet.c', 'if (!oldest || (!full &&', 'if (full || !oldest || (!full &&'),
    bug('byte-a-second-for-ever', 'test-inlet', 'a_frame_a_byte_at_a_time', 'runtime/inlet.c',
        'return session->frame_usec != 0 &&', 'return false &&'),

    # --- Stock ends ---
    bug('stock-acked-before-durable', 'test-stock', 'a_record_is_acked_when_it_is_durable', 'stock/stock-receiver.c',
        'r = reply_beats(receiver, output); return r < 0 ? r : n;',
        'r = stock_receiver_durable(receiver, output, receiver->taken, false); return r < 0 ? r : n;'),
    bug('stock-refused-before-what-is-pending', 'test-stock', 'a_full_disk_refuses_behind_what_is_pending',
        'stock/stock-receiver.c', 'if (stock_receiver_pending(receiver)) return 0;', ';'),
    bug('stock-taken-though-not-delivered', 'test-stock', 'what_is_not_taken_is_offered_again', 'stock/stock-receiver.c',
        'if (r < 0) receiver->taken = before;', ';'),
    bug('stock-any-reply-is-an-ack', 'test-stock', 'a_reply_that_fits_nothing_breaks_it', 'stock/stock-sender.c',
        'frame->seq != sender->seq - sender->in_flight', 'false'),
    bug('stock-eoe-passes-first', 'test-stock-feed', 'eoe_passes_with_what_is_before_it', 'remote/stock-feed.c',
        'feed->n == 0', 'true'),
    bug('stock-restart-keeps-its-place', 'test-stock-feed', 'a_restart_in_the_middle_of_a_batch_leaves_nothing_of_it',
        'remote/stock-feed.c', 'feed->offset = 0; feed->cursor = (Cursor) { 0 };', 'feed->cursor = (Cursor) { 0 };'),
]
