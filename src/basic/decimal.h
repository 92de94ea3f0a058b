/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decimal numbers in text, eight digits at a time: every line of every hop has two. */

#include "basic/bytes.h"
#include "basic/macro.h"

static inline bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

/* How many of eight bytes, the first of which is the lowest, are digits before the first that is none. */
static inline unsigned decimal_leading(uint64_t bytes)
{
        uint64_t digits = bytes ^ UINT64_C(0x3030303030303030);
        /* The highest bit of each byte above 9. A carry spoils only bytes behind one that is none. */
        uint64_t others = (digits | (digits + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);

        return others == 0 ? 8 : (unsigned) __builtin_ctzll(others) / 8;
}

/* The value of the first n of eight bytes, 1 to 8, all of them digits: pairs, then fours, then all at once. */
static inline uint64_t decimal_value(uint64_t bytes, unsigned n)
{
        /* Zeros take the place before them. */
        uint64_t d = (bytes ^ UINT64_C(0x3030303030303030)) << (8 * (8 - n));

        d = (d * 10 + (d >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
        d = (d * 100 + (d >> 16)) & UINT64_C(0x0000ffff0000ffff);
        return (d * 10000 + (d >> 32)) & UINT32_MAX;
}

/* Takes the digits that a text begins with. Returns what follows them; NULL when there is none, or when they are
 * above 2^64 - 1. */
static inline const uint8_t *decimal_take(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
        static const uint32_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };
        const uint8_t *begin = p;
        uint64_t value = 0;
        unsigned n = 8;

        /* Sixteen digits at most, which fit. */
        while (n == 8 && end - p >= 8 && p - begin < 16) {
                uint64_t bytes = get_le64(p);

                n = decimal_leading(bytes);
                if (n > 0)
                        value = value * powers[n] + decimal_value(bytes, n);
                p += n;
        }
        for (; p < end && is_digit(*p); p++)
                if (__builtin_mul_overflow(value, 10U, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value))
                        return NULL;
        *ret = value;
        return p > begin ? p : NULL;
}
