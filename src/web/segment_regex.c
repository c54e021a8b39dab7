/* The only file that knows PCRE2. */
#include "web/segment_regex.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct segment_regex {
    pcre2_code *code;
    pcre2_match_data *data; /* no match suspends, so one is enough */
    pcre2_match_context *context;
    char why[160];
    size_t n_variables;
    struct {
        uint32_t group;
        bool is_int;
    } variables[PATTERN_MAX_VARIABLES];
};

/* Finds the number of each variable's group. */
static int find_groups(struct segment_regex *regex, const struct pattern_segment *segment)
{
    for (size_t i = 0; i < segment->n_pieces; i++) {
        if (!segment->pieces[i].variable)
            continue;
        char name[32];
        snprintf(name, sizeof(name), "tepal%zu", i);
        int group = pcre2_substring_number_from_name(regex->code, (PCRE2_SPTR)name);
        if (group < 0)
            return TEPAL_EPATTERN;
        regex->variables[regex->n_variables].group = (uint32_t)group;
        regex->variables[regex->n_variables++].is_int = segment->pieces[i].is_int;
    }
    return 0;
}

static pcre2_code *compile(struct segment_regex *regex, const char *text)
{
    int error;
    PCRE2_SIZE where;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL,
                                     &error, &where, NULL);
    if (!code) {
        char message[120];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof(message));
        snprintf(regex->why, sizeof(regex->why), "bad regular expression: %s", message);
    }
    return code;
}

/* Whether each variable's expression is one by itself, as "a)(b" is not. */
static bool pieces_are_right(struct segment_regex *regex, const struct pattern_segment *segment)
{
    for (size_t i = 0; i < segment->n_pieces; i++) {
        if (!segment->pieces[i].regex)
            continue;
        pcre2_code *code = compile(regex, segment->pieces[i].regex);
        if (!code)
            return false;
        pcre2_code_free(code);
    }
    return true;
}

int segment_regex_new(struct segment_regex **out, const struct pattern_segment *segment,
                      const char **why)
{
    struct segment_regex *regex = *out = mem_zalloc(sizeof(*regex));
    if (!regex)
        return -ENOMEM;
    *why = regex->why;
    if (!pieces_are_right(regex, segment) || !(regex->code = compile(regex, segment->text)))
        return TEPAL_EPATTERN;
    /* Without JIT (not on this CPU, or no executable memory) it is slower, and right. */
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    regex->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (!regex->data || !regex->context)
        return -ENOMEM;
    pcre2_set_match_limit(regex->context, SEGMENT_REGEX_MATCH_LIMIT);
    snprintf(regex->why, sizeof(regex->why), "a regular expression hides its variable");
    return find_groups(regex, segment);
}

void segment_regex_free(struct segment_regex *regex)
{
    if (!regex)
        return;
    pcre2_match_context_free(regex->context);
    pcre2_match_data_free(regex->data);
    pcre2_code_free(regex->code);
    mem_free(regex);
}

int segment_regex_match(const struct segment_regex *regex, tepal_bytes text, tepal_bytes *values,
                        size_t room, bool (*is_int)(tepal_bytes))
{
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.len, 0, 0, regex->data,
                         regex->context);
    /* The JIT's stack is small; the interpreter takes memory as it needs it. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.len, 0, PCRE2_NO_JIT, regex->data,
                         regex->context);
    if (rc < 0 || regex->n_variables > room)
        return 0;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->data);
    for (size_t i = 0; i < regex->n_variables; i++) {
        uint32_t group = regex->variables[i].group;
        bool unset = ends[2 * group] == PCRE2_UNSET;
        values[i].data = unset ? text.data : text.data + ends[2 * group];
        values[i].len = unset ? 0 : ends[2 * group + 1] - ends[2 * group];
        if (regex->variables[i].is_int && !is_int(values[i]))
            return 0;
    }
    return (int)regex->n_variables;
}
