/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is taken:
 *
 *      2026-11-22 10:00:30.5     date, time or both; seconds and fractions may be left out; also with a T
 *      10:00                     today
 *      2026-11-22T10:00:00+01:00 with a zone: Z, UTC, +HH:MM
 *      @1763805600.5             seconds since 1970
 *      now today yesterday tomorrow
 *      -1h  +5min  1h 30min ago  from now
 */

#include "tool/log/time.h"
#include "runtime/config.h"

#include <ctype.h>
#include <time.h>

#define DAY_SEC (24 * 3600)

/* Two digits, or four; moves *p behind them. */
static bool take_digits(const char **p, unsigned n, int *ret)
{
        int value = 0;

        for (unsigned i = 0; i < n; i++) {
                if (!isdigit((unsigned char) (*p)[i]))
                        return false;
                value = value * 10 + ((*p)[i] - '0');
        }
        *p += n;
        *ret = value;
        return true;
}

static bool take_char(const char **p, char c)
{
        if (**p != c)
                return false;
        (*p)++;
        return true;
}

/* ".5": microseconds; none are 0. */
static bool take_fraction(const char **p, uint64_t *ret)
{
        uint64_t unit = USEC_PER_SEC;

        *ret = 0;
        if (**p != '.')
                return true;
        (*p)++;
        if (!isdigit((unsigned char) **p))
                return false;
        for (; isdigit((unsigned char) **p); (*p)++) {
                unit /= 10;
                *ret += (uint64_t) (**p - '0') * unit;
        }
        return true;
}

static bool take_date(const char **p, struct tm *tm)
{
        int year, month, day;

        if (!take_digits(p, 4, &year) || !take_char(p, '-') || !take_digits(p, 2, &month) || !take_char(p, '-') ||
            !take_digits(p, 2, &day) || month < 1 || month > 12 || day < 1 || day > 31)
                return false;
        tm->tm_year = year - 1900;
        tm->tm_mon = month - 1;
        tm->tm_mday = day;
        return true;
}

static bool take_clock(const char **p, struct tm *tm, uint64_t *ret_fraction)
{
        *ret_fraction = 0;
        tm->tm_sec = 0;
        if (!take_digits(p, 2, &tm->tm_hour) || !take_char(p, ':') || !take_digits(p, 2, &tm->tm_min))
                return false;
        if (take_char(p, ':') && (!take_digits(p, 2, &tm->tm_sec) || !take_fraction(p, ret_fraction)))
                return false;
        return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* Nothing: local time. */
static bool take_zone(const char **p, bool *ret_local, long *ret_offset)
{
        int hours, minutes;
        char sign;

        *ret_offset = 0;
        *ret_local = false;
        if (**p == '\0') {
                *ret_local = true;
                return true;
        }
        if (take_char(p, 'Z') || take_char(p, 'z'))
                return true;
        *p += **p == ' ';
        if (strcmp(*p, "UTC") == 0) {
                *p += 3;
                return true;
        }
        sign = **p;
        if ((sign != '+' && sign != '-') || !(*p)++ || !take_digits(p, 2, &hours))
                return false;
        (void) take_char(p, ':');
        if (!take_digits(p, 2, &minutes) || hours > 23 || minutes > 59)
                return false;
        *ret_offset = (hours * 3600L + minutes * 60L) * (sign == '-' ? -1 : 1);
        return true;
}

static int to_usec(struct tm *tm, bool local, long offset, uint64_t fraction, uint64_t *ret)
{
        int day = tm->tm_mday;
        time_t t;

        tm->tm_isdst = -1;
        t = local ? mktime(tm) : timegm(tm) - offset;
        /* The 31st of a month that has none is no date. */
        if (t < 0 || tm->tm_mday != day)
                return -EINVAL;
        *ret = (uint64_t) t * USEC_PER_SEC + fraction;
        return 0;
}

static int parse_calendar(const char *text, uint64_t now_usec, uint64_t *ret)
{
        time_t now = (time_t) (now_usec / USEC_PER_SEC);
        bool dated = strlen(text) >= 5 && text[4] == '-', local;
        uint64_t fraction = 0;
        struct tm tm;
        long offset;

        (void) localtime_r(&now, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        if (dated && !take_date(&text, &tm))
                return -EINVAL;
        if (!dated || ((*text == ' ' || *text == 'T' || *text == 't') && isdigit((unsigned char) text[1]))) {
                text += dated;
                if (!take_clock(&text, &tm, &fraction))
                        return -EINVAL;
        }
        if (!take_zone(&text, &local, &offset) || *text != '\0')
                return -EINVAL;
        return to_usec(&tm, local, offset, fraction, ret);
}

/* Midnight, so many days from today. */
static int parse_day(uint64_t now_usec, int days, uint64_t *ret)
{
        time_t now = (time_t) (now_usec / USEC_PER_SEC), t;
        struct tm tm;

        (void) localtime_r(&now, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mday += days;
        tm.tm_isdst = -1;
        t = mktime(&tm);
        if (t < 0)
                return -EINVAL;
        *ret = (uint64_t) t * USEC_PER_SEC;
        return 0;
}

static int parse_epoch(const char *text, uint64_t *ret)
{
        uint64_t seconds = 0, fraction;

        if (!isdigit((unsigned char) *text))
                return -EINVAL;
        for (; isdigit((unsigned char) *text); text++)
                if (__builtin_mul_overflow(seconds, UINT64_C(10), &seconds) ||
                    __builtin_add_overflow(seconds, (uint64_t) (*text - '0'), &seconds))
                        return -EINVAL;
        if (!take_fraction(&text, &fraction) || *text != '\0' ||
            __builtin_mul_overflow(seconds, USEC_PER_SEC, &seconds) ||
            __builtin_add_overflow(seconds, fraction, ret))
                return -EINVAL;
        return 0;
}

/* "-1h", "+1h", "1h ago"; what lies before 1970 is its beginning. */
static int parse_relative(const char *text, uint64_t now_usec, uint64_t *ret)
{
        static const char ago[] = " ago";
        size_t size = strlen(text);
        _cleanup_(freep) char *span = strdup(text);
        bool back = *text == '-';
        uint64_t usec;

        if (!span)
                return -ENOMEM;
        if (size > sizeof ago && strcmp(text + size - (sizeof ago - 1), ago) == 0) {
                span[size - (sizeof ago - 1)] = '\0';
                back = true;
        } else if (*text != '-' && *text != '+') {
                return -EINVAL;
        }
        if (config_parse_usec(NULL, span + (*text == '-' || *text == '+'), &usec) < 0)
                return -EINVAL;
        if (back)
                *ret = now_usec - MIN(usec, now_usec);
        else if (__builtin_add_overflow(now_usec, usec, ret))
                *ret = UINT64_MAX;
        return 0;
}

int log_time_parse(const char *text, uint64_t now_usec, uint64_t *ret)
{
        if (strcmp(text, "now") == 0) {
                *ret = now_usec;
                return 0;
        }
        if (strcmp(text, "today") == 0)
                return parse_day(now_usec, 0, ret);
        if (strcmp(text, "yesterday") == 0)
                return parse_day(now_usec, -1, ret);
        if (strcmp(text, "tomorrow") == 0)
                return parse_day(now_usec, 1, ret);
        if (*text == '@')
                return parse_epoch(text + 1, ret);
        if (parse_relative(text, now_usec, ret) == 0)
                return 0;
        return parse_calendar(text, now_usec, ret);
}
