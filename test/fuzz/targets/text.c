/* SPDX-License-Identifier: Apache-2.0 */
/* What people write: configuration files, lists of addresses, lines of the REPL. The first byte
 * says which. */
#include <stdio.h>
#include <unistd.h>

#include "client/cli/commands.h"
#include "client/cli/words.h"
#include "client/lib/cluster_list.h"
#include "common/settings/settings.h"
#include "test/fuzz/targets/target.h"

enum { TEXT_MAX = 4096 };

static void read_configuration(const uint8_t *bytes, size_t size, enum setting_program program)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/dev/shm/viewstamp-fuzz-%d.conf", (int)getpid());
    FILE *file = fopen(path, "w");
    FUZZ_EXPECT(file != NULL);
    FUZZ_EXPECT(fwrite(bytes, 1, size, file) == size);
    FUZZ_EXPECT(fclose(file) == 0);
    struct settings settings = {.program = program};
    settings_read_file(&settings, path);
    settings_apply_defaults(&settings);
    FUZZ_EXPECT(unlink(path) == 0);
    settings_free(&settings);
}

static void read_list(const uint8_t *bytes, size_t size)
{
    char text[TEXT_MAX + 1];
    char message[256] = "";
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (!cluster_list_check(text, message, sizeof message)) {
        FUZZ_EXPECT(message[0] != '\0'); /* why not */
    }
}

/* A word that was read is written such that it is read again. */
static void write_again(const struct word *word)
{
    struct words words;
    char *escaped = word_escape(word->bytes, word->size);
    FUZZ_EXPECT(words_parse(escaped, strlen(escaped), &words));
    FUZZ_EXPECT(words.count == 1);
    FUZZ_EXPECT(words.items[0].size == word->size);
    FUZZ_EXPECT(memcmp(words.items[0].bytes, word->bytes, word->size) == 0);
    words_free(&words);
    free(escaped);
}

static void read_line(const uint8_t *bytes, size_t size)
{
    struct words words;
    if (words_parse((const char *)bytes, size, &words)) {
        for (size_t i = 0; i < words.count; i++) {
            write_again(&words.items[i]);
        }
        if (words.count > 0) {
            (void)command_find(&words.items[0]);
        }
    } else {
        FUZZ_EXPECT(words.error != NULL);
        FUZZ_EXPECT(words.error_at <= size);
    }
    words_free(&words);
    (void)words_parse_begun((const char *)bytes, size, &words);
    words_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    if (size > TEXT_MAX) {
        return 0;
    }
    switch (input_below(&input, 4)) {
    case 0:
        read_configuration(input.bytes, input.size, SETTING_SERVER);
        break;
    case 1:
        read_configuration(input.bytes, input.size, SETTING_CLIENT);
        break;
    case 2:
        read_list(input.bytes, input.size);
        break;
    default:
        read_line(input.bytes, input.size);
        break;
    }
    return 0;
}
