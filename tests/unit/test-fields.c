/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "lib/fields.h"

#include <libaudit.h>

static RecordSlice slice(const char *text)
{
        return (RecordSlice) { (const uint8_t *) text, strlen(text) };
}

static const struct {
        const char *text, *name, *value; /* NULL: not there */
} fields[] = {
        { "arch=c000003e syscall=59 success=yes", "arch", "c000003e" },
        { "arch=c000003e syscall=59 success=yes", "syscall", "59" },
        { "arch=c000003e syscall=59 success=yes", "success", "yes" },
        { "arch=c000003e syscall=59 success=yes", "sys", NULL },
        { "arch=c000003e syscall=59 success=yes", "call", NULL },
        { "comm=\"a b=c\" b=d", "b", "d" },
        { "comm=\"a\" exe=\"/bin/a\"", "exe", "/bin/a" },
        { "comm=\"\" exe=x", "comm", "" },
        { "comm=\"unended exe=x", "exe", "x" },
        { "a= b=2", "a", "" },
        { "a= b=2", "b", "2" },
        { "a", "a", NULL },
        { "a b", "b", NULL },
        { "", "a", NULL },
        { "=x a=1", "a", "1" },
        { "  a=1", "a", "1" },
        { "a=1 a=2", "a", "1" },
        { "pid=1 msg='op=login acct=\"root\" addr=192.0.2.1 res=failed'", "op", "login" },
        { "pid=1 msg='op=login acct=\"root\" addr=192.0.2.1 res=failed'", "acct", "root" },
        { "pid=1 msg='op=login acct=\"root\" addr=192.0.2.1 res=failed'", "addr", "192.0.2.1" },
        { "pid=1 msg='op=login acct=\"root\" addr=192.0.2.1 res=failed'", "res", "failed" },
        { "pid=1 msg='op=login acct=\"root\" addr=192.0.2.1 res=failed'", "msg", NULL },
        { "a='b'", "a", "'b'" },
        { "key=(null)", "key", "(null)" },
        { "uid=0\x1dUID=\"root\"", "uid", "0" },
        { "uid=0\x1dUID=\"root\"", "UID", NULL },
};

START_TEST(fields_are_found)
{
        Field field;
        bool found = field_find(slice(fields[_i].text), fields[_i].name, &field);

        ck_assert_int_eq(found, fields[_i].value != NULL);
        if (!found)
                return;
        ck_assert_uint_eq(field.value.size, strlen(fields[_i].value));
        ck_assert_mem_eq(field.value.data, fields[_i].value, field.value.size);
}
END_TEST

static const struct {
        int type;
        const char *text;
        bool matches; /* "mine" or "two words" */
} keyed[] = {
        { AUDIT_SYSCALL, "arch=1 key=\"mine\"", true },
        { AUDIT_SYSCALL, "arch=1 key=\"minee\"", false },
        { AUDIT_SYSCALL, "arch=1 key=\"min\"", false },
        { AUDIT_SYSCALL, "arch=1 key=(null)", false },
        { AUDIT_SYSCALL, "arch=1", false },
        { AUDIT_SYSCALL, "arch=1 key=\"two words\"", true },
        /* "two words" */
        { AUDIT_SYSCALL, "arch=1 key=74776F20776F726473", true },
        { AUDIT_SYSCALL, "arch=1 key=74776f20776f726473", true },
        /* other\1mine, mine\1other, a\1mine\1b, other\1min, \1mine */
        { AUDIT_SYSCALL, "arch=1 key=6F74686572016D696E65", true },
        { AUDIT_SYSCALL, "arch=1 key=6D696E65016F74686572", true },
        { AUDIT_SYSCALL, "arch=1 key=61016D696E650162", true },
        { AUDIT_SYSCALL, "arch=1 key=6F74686572016D696E", false },
        { AUDIT_SYSCALL, "arch=1 key=016D696E65", true },
        /* not hexadecimal, odd */
        { AUDIT_SYSCALL, "arch=1 key=6D696E6", false },
        { AUDIT_SYSCALL, "arch=1 key=mine", false },
        { AUDIT_URINGOP, "uring_op=1 key=\"mine\"", true },
        { AUDIT_CONFIG_CHANGE, "op=add_rule key=\"mine\" list=4", true },
        /* A program's words are no key. */
        { AUDIT_USER, "pid=1 msg='key=\"mine\"'", false },
        { AUDIT_PATH, "name=\"x\" key=\"mine\"", false },
        /* Nor is what auditd adds. */
        { AUDIT_SYSCALL, "arch=1\x1dkey=\"mine\"", false },
};

START_TEST(keys_are_matched)
{
        Keys keys = { 0 };

        ck_assert_int_eq(keys_add(&keys, "two words"), 0);
        ck_assert_int_eq(keys_add(&keys, "mine"), 0);
        ck_assert_int_eq(keys_match(&keys, (uint32_t) keyed[_i].type, slice(keyed[_i].text)),
                         keyed[_i].matches);
        keys_done(&keys);
}
END_TEST

START_TEST(keys_have_bounds)
{
        char long_one[KEY_MAX + 2];
        Keys keys = { 0 };

        memset(long_one, 'k', sizeof long_one - 1);
        long_one[KEY_MAX + 1] = '\0';
        ck_assert_int_eq(keys_add(&keys, ""), -EINVAL);
        ck_assert_int_eq(keys_add(&keys, long_one), -EINVAL);
        for (unsigned i = 0; i < KEYS_MAX; i++)
                ck_assert_int_eq(keys_add(&keys, long_one + 1), 0);
        ck_assert_int_eq(keys_add(&keys, "one more"), -EINVAL);
        keys_done(&keys);
}
END_TEST

START_TEST(types_have_numbers)
{
        ck_assert_uint_eq(type_number(slice("SYSCALL")), AUDIT_SYSCALL);
        ck_assert_uint_eq(type_number(slice("EOE")), AUDIT_EOE);
        ck_assert_uint_eq(type_number(slice("UNKNOWN[1999]")), 1999);
        ck_assert_uint_eq(type_number(slice("NO_SUCH_TYPE")), 0);
        ck_assert_uint_eq(type_number(slice("")), 0);
        ck_assert_uint_eq(
                type_number(slice(
                        "A_NAME_THAT_IS_LONGER_THAN_ANY_TYPE_HAS_EVER_HAD_AND_EVER_WILL_HAVE_IN_AUDIT")),
                0);
}
END_TEST

START_TEST(hexadecimal_is_decoded)
{
        uint8_t out[4];

        ck_assert_int_eq(field_decode(slice("00ffAa"), out, sizeof out), 3);
        ck_assert_mem_eq(out, "\x00\xff\xaa", 3);
        ck_assert_int_eq(field_decode(slice(""), out, sizeof out), 0);
        ck_assert_int_eq(field_decode(slice("0"), out, sizeof out), -EINVAL);
        ck_assert_int_eq(field_decode(slice("0g"), out, sizeof out), -EINVAL);
        ck_assert_int_eq(field_decode(slice("0011223344"), out, sizeof out), -ENOBUFS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("fields");
        TCase *tc = tcase_create("fields");

        tcase_add_loop_test(tc, fields_are_found, 0, ELEMENTSOF(fields));
        tcase_add_loop_test(tc, keys_are_matched, 0, ELEMENTSOF(keyed));
        tcase_add_test(tc, keys_have_bounds);
        tcase_add_test(tc, types_have_numbers);
        tcase_add_test(tc, hexadecimal_is_decoded);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
