/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The text of a segment, for reading. */

#include "store/store-internal.h"

#include <fcntl.h>

int segment_text_open(Disk *disk, uint64_t first, SegmentText *ret)
{
        char name[STORE_NAME_MAX];
        int handle;

        segment_name(first, ".log", name);
        handle = disk->open(disk, name, O_RDONLY);
        if (handle < 0)
                return handle;
        *ret = (SegmentText) { .plain = handle };
        return 0;
}

void segment_text_close(Disk *disk, SegmentText *text)
{
        if (text->plain >= 0)
                disk->close(disk, text->plain);
        *text = SEGMENT_TEXT_NULL;
}

int segment_text_read(Disk *disk, SegmentText *text, void *data, size_t size, uint64_t offset)
{
        return segment_read(disk, text->plain, data, size, offset);
}
