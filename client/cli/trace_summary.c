/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/trace_summary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/os/clock.h"

struct sentence {
    char *text;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *sentence, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(sentence->text + sentence->used,
                                  TRACE_SUMMARY_MAX - sentence->used, format, arguments);
    va_end(arguments);
    sentence->used += written > 0 ? (size_t)written : 0;
    if (sentence->used >= TRACE_SUMMARY_MAX) {
        sentence->used = TRACE_SUMMARY_MAX - 1;
    }
}

static double milliseconds(uint64_t ns)
{
    return (double)ns / NANOSECONDS_PER_MILLISECOND;
}

/* Both ends of a session are ops as well, of requests without a number. */
static const char *kind_of(const struct trace_explanation *explanation)
{
    if (explanation->request_number != 0) {
        return "operation";
    }
    return explanation->session == 0 ? "register" : "unregister";
}

static void say_request(struct sentence *sentence, const struct trace_explanation *explanation)
{
    if (explanation->request_number != 0) {
        say(sentence, ": request %" PRIu64 " of session %" PRIu64, explanation->request_number,
            explanation->session);
    } else if (explanation->session != 0) {
        say(sentence, ": closes session %" PRIu64, explanation->session);
    } else {
        say(sentence, ": opens a session");
    }
    say(sentence, ", client %04x", (unsigned)(explanation->client_id_low & 0xffff));
}

/* Why nobody tells of a reply, or of a commit. Writes into `text` if it needs to. */
static const char *reason(const struct trace_names *names,
                          const struct trace_explanation *explanation, bool primary_answers,
                          char *text, size_t size)
{
    const char *what = primary_answers ? "was started since" : "does not answer";
    if (explanation->primary >= names->replica_count ||
        (primary_answers && !explanation->primary_restarted)) {
        return "no replica remembers it";
    }
    (void)snprintf(text, size, "replica %" PRIu32 " %s", names->replica_ids[explanation->primary],
                   what);
    return text;
}

static void say_end(struct sentence *sentence, const struct trace_names *names,
                    const struct trace_explanation *explanation, bool primary_answers)
{
    char text[64];
    if (explanation->answered) {
        say(sentence, ", answered after %.3f ms",
            milliseconds(explanation->reply_ns - explanation->begin_ns));
    } else if (explanation->committed) {
        say(sentence, ", committed");
    } else {
        say(sentence, ", not committed as far as any replica remembers");
    }
    if (explanation->view_changed) {
        say(sentence, ", through a view change");
    }
    if (explanation->no_quorum) {
        say(sentence, explanation->view_changed ? " (the primary heard from no quorum)"
                                                : ", while the primary heard from no quorum");
    } else if (explanation->view_changed && explanation->silence_ns > 0) {
        say(sentence, " (primary silent for %.1f ms)", milliseconds(explanation->silence_ns));
    }
    if (explanation->committed && !explanation->answered) {
        say(sentence, "; the reply is not remembered: %s",
            reason(names, explanation, primary_answers, text, sizeof text));
    }
}

const char *trace_summary(const struct trace_names *names, uint64_t op_number,
                          const struct trace_explanation *explanation, bool primary_answers,
                          char text[TRACE_SUMMARY_MAX])
{
    struct sentence sentence = {.text = text};
    say(&sentence, "op %" PRIu64, op_number);
    if (explanation->request_known) {
        say_request(&sentence, explanation);
    }
    say_end(&sentence, names, explanation, primary_answers);
    return text;
}

static void set_bool(json_t *object, const char *name, bool value)
{
    (void)json_object_set_new(object, name, value ? json_true() : json_false());
}

json_t *trace_summary_json(const struct trace_names *names, uint64_t op_number,
                           const struct trace_explanation *explanation, bool primary_answers)
{
    char text[64];
    json_t *object = json_object();
    json_set_text(object, "kind", "operation");
    json_set_u64(object, "op", op_number);
    if (explanation->request_known) {
        json_set_text(object, "request_kind", kind_of(explanation));
        json_set_hex(object, "client", explanation->client_id_low);
        json_set_u64(object, "session", explanation->session);
        json_set_u64(object, "request", explanation->request_number);
    }
    const uint64_t took_ns = explanation->reply_ns - explanation->begin_ns;
    (void)json_object_set_new(object, "duration_us",
                              explanation->answered
                                  ? json_real((double)took_ns / NANOSECONDS_PER_MICROSECOND)
                                  : json_null());
    set_bool(object, "committed", explanation->committed);
    set_bool(object, "answered", explanation->answered);
    if (explanation->committed && !explanation->answered) {
        json_set_text(object, "reply_missing",
                      reason(names, explanation, primary_answers, text, sizeof text));
    }
    set_bool(object, "view_changed", explanation->view_changed);
    set_bool(object, "no_quorum", explanation->no_quorum);
    return object;
}
