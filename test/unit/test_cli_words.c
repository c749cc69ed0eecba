/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command line: quoting, escapes, what is wrong and where. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/words.h"
#include "common/base/prng.h"

static struct words parse(const char *line)
{
    struct words words;
    ck_assert_msg(words_parse(line, strlen(line), &words), "%s: %s", line, words.error);
    return words;
}

static void expect_words(const char *line, size_t count, const char *const *expected)
{
    struct words words = parse(line);
    ck_assert_uint_eq(words.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq((const char *)words.items[i].bytes, expected[i]);
    }
    words_free(&words);
}

static void expect_error(const char *line, size_t at)
{
    struct words words;
    ck_assert_msg(!words_parse(line, strlen(line), &words), "%s", line);
    ck_assert_ptr_nonnull(words.error);
    ck_assert_uint_eq(words.error_at, at);
    words_free(&words);
}

START_TEST(words_are_split_at_blanks)
{
    expect_words("", 0, NULL);
    expect_words(" \t\r\n", 0, NULL);
    expect_words("get a\n", 2, (const char *[]){"get", "a"});
    expect_words("  set\tkey   value  \r\n", 3, (const char *[]){"set", "key", "value"});
}
END_TEST

START_TEST(quotes_hold_words_together)
{
    expect_words("set k \"a b\"", 3, (const char *[]){"set", "k", "a b"});
    expect_words("set k 'a \"b\" \\n'", 3, (const char *[]){"set", "k", "a \"b\" \\n"});
    expect_words("set k \"say \\\"hi\\\"\"", 3, (const char *[]){"set", "k", "say \"hi\""});
    expect_words("a\"b c\"d'e f'", 1, (const char *[]){"ab cde f"});
    expect_words("set k \"\"", 3, (const char *[]){"set", "k", ""});
}
END_TEST

START_TEST(comments_end_a_line)
{
    expect_words("# nothing", 0, NULL);
    expect_words("get a # the first", 2, (const char *[]){"get", "a"});
    expect_words("get a#b", 2, (const char *[]){"get", "a#b"});
    expect_words("get \"#a\" \\#b", 3, (const char *[]){"get", "#a", "#b"});
}
END_TEST

START_TEST(escapes_are_bytes)
{
    struct words words = parse("set k \\x00\\xfFz\\n\\t\\\\\\ x");
    ck_assert_uint_eq(words.count, 3);
    ck_assert_uint_eq(words.items[2].size, 8);
    ck_assert_mem_eq(words.items[2].bytes, "\0\377z\n\t\\ x", 8);
    ck_assert(words.items[2].quoted);
    ck_assert(!words.items[1].quoted);
    words_free(&words);
}
END_TEST

/* A dash is stdin; a quoted one is a dash. */
START_TEST(quoted_words_say_so)
{
    struct words words = parse("set - \"-\" '-' \\x2d");
    const bool expected[] = {false, false, true, true, true};
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(words.items[i].quoted, expected[i]);
    }
    ck_assert(word_is(&words.items[4], "-"));
    ck_assert(!word_is(&words.items[0], "se"));
    words_free(&words);
}
END_TEST

START_TEST(errors_say_where)
{
    expect_error("get \"oops", 4);
    expect_error("get 'oops", 4);
    expect_error("get a\\", 5);
    expect_error("get \\q", 4);
    expect_error("get \"a\\x4\"", 6);
    expect_error("get \\xg0", 4);
}
END_TEST

/* Whatever is printed can be typed again: for all bytes, and random ones. */
START_TEST(escaped_words_read_back)
{
    struct prng prng;
    prng_seed(&prng, 1);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t bytes[64];
        const size_t size = (size_t)prng_below(&prng, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] =
                (uint8_t)(round < 1000 ? prng_below(&prng, 256) : prng_between(&prng, 0x1c, 0x80));
        }
        char *text = word_escape(bytes, size);
        struct words words = parse(text);
        ck_assert_uint_eq(words.count, 1);
        ck_assert_uint_eq(words.items[0].size, size);
        ck_assert_mem_eq(words.items[0].bytes, bytes, size);
        words_free(&words);
        free(text);
    }
}
END_TEST

static void expect_escaped(const char *bytes, size_t size, const char *expected)
{
    char *text = word_escape((const uint8_t *)bytes, size);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(escaping_leaves_what_can_be_read)
{
    expect_escaped("plain", 5, "plain");
    expect_escaped("a b", 3, "\"a b\"");
    expect_escaped("", 0, "\"\"");
    expect_escaped("-", 1, "\"-\"");
    expect_escaped("a\nb\"", 4, "\"a\\nb\\\"\"");
    expect_escaped("\0\377", 2, "\"\\x00\\xff\"");
    expect_escaped("gr\303\274n", 5, "gr\303\274n");          /* UTF-8 stays */
    expect_escaped("\342\202\254", 3, "\342\202\254");        /* three bytes of it */
    expect_escaped("\300\200", 2, "\"\\xc0\\x80\"");          /* overlong */
    expect_escaped("\302\233", 2, "\"\\xc2\\x9b\"");          /* a control character */
    expect_escaped("\355\240\200", 3, "\"\\xed\\xa0\\x80\""); /* a surrogate */
    expect_escaped("\303", 1, "\"\\xc3\"");                   /* cut */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_words");
    TCase *tests = tcase_create("cli_words");
    tcase_add_test(tests, words_are_split_at_blanks);
    tcase_add_test(tests, quotes_hold_words_together);
    tcase_add_test(tests, comments_end_a_line);
    tcase_add_test(tests, escapes_are_bytes);
    tcase_add_test(tests, quoted_words_say_so);
    tcase_add_test(tests, errors_say_where);
    tcase_add_test(tests, escaped_words_read_back);
    tcase_add_test(tests, escaping_leaves_what_can_be_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
