/* The only file that knows PCRE2. */
#include "web/routing/segment_regex.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* The JIT's own stack; memory that has not been needed is not taken. */
enum { STACK_FIRST = 32 * 1024, STACK_MAX = 512 * 1024 };

struct segment_matcher {
    pcre2_match_context *context;
    pcre2_jit_stack *stack; /* NULL: there is no JIT */
    pcre2_match_data *data;
    uint32_t n_groups; /* that data has room for */
};

struct segment_regex {
    pcre2_code *code;
    char why[160];
    size_t n_variables;
    struct {
        uint32_t group;
        bool is_int;
    } variables[PATTERN_MAX_VARIABLES];
};

/* --- The matcher ------------------------------------------------------------------------------ */

struct segment_matcher *segment_matcher_new(void)
{
    struct segment_matcher *matcher = mem_zalloc(sizeof(*matcher));
    if (!matcher)
        return NULL;
    matcher->context = pcre2_match_context_create(NULL);
    if (!matcher->context) {
        mem_free(matcher);
        return NULL;
    }
    pcre2_set_match_limit(matcher->context, SEGMENT_REGEX_MATCH_LIMIT);
    pcre2_set_heap_limit(matcher->context, SEGMENT_REGEX_MAX_KIB);
    matcher->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MAX, NULL);
    if (matcher->stack)
        pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    return matcher;
}

void segment_matcher_free(struct segment_matcher *matcher)
{
    if (!matcher)
        return;
    pcre2_match_data_free(matcher->data);
    pcre2_jit_stack_free(matcher->stack);
    pcre2_match_context_free(matcher->context);
    mem_free(matcher);
}

/* Makes room for the groups of the expression. */
static int fit_matcher(struct segment_matcher *matcher, const pcre2_code *code)
{
    uint32_t n = 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &n);
    if (matcher->data && n + 1 <= matcher->n_groups)
        return 0;
    pcre2_match_data *data = pcre2_match_data_create(n + 1, NULL);
    if (!data)
        return -ENOMEM;
    pcre2_match_data_free(matcher->data);
    matcher->data = data;
    matcher->n_groups = n + 1;
    return 0;
}

/* --- An expression ---------------------------------------------------------------------------- */

/* Finds the number of each variable's group. */
static int find_groups(struct segment_regex *regex, const struct pattern_segment *segment)
{
    for (size_t i = 0; i < segment->n_pieces; i++) {
        if (!segment->pieces[i].variable)
            continue;
        char name[32];
        snprintf(name, sizeof(name), "tepal%zu", i);
        /* One that is the whole segment is in no group of ours. */
        int group = segment->n_pieces == 1
                        ? 0
                        : pcre2_substring_number_from_name(regex->code, (PCRE2_SPTR)name);
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

int segment_regex_new(struct segment_regex **out, struct segment_matcher *matcher,
                      const struct pattern_segment *segment, const char **why)
{
    struct segment_regex *regex = *out = mem_zalloc(sizeof(*regex));
    if (!regex)
        return -ENOMEM;
    *why = regex->why;
    if (!pieces_are_right(regex, segment) || !(regex->code = compile(regex, segment->text)))
        return TEPAL_EPATTERN;
    /* Without JIT (not on this CPU, or no executable memory) it is slower, and right. */
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    if (fit_matcher(matcher, regex->code) < 0)
        return -ENOMEM;
    snprintf(regex->why, sizeof(regex->why), "a regular expression hides its variable");
    return find_groups(regex, segment);
}

void segment_regex_free(struct segment_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    mem_free(regex);
}

/* --- A match ---------------------------------------------------------------------------------- */

static int run(const struct segment_regex *regex, struct segment_matcher *matcher, tepal_bytes text)
{
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.len, 0, 0, matcher->data,
                         matcher->context);
    /* The JIT's stack is small; the interpreter takes memory as it needs it. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.len, 0, PCRE2_NO_JIT,
                         matcher->data, matcher->context);
    if (rc == PCRE2_ERROR_NOMEMORY)
        return -ENOMEM;
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT)
        return TEPAL_EPATTERN;
    return rc >= 0; /* text that is no UTF-8 matches nothing */
}

/* What the group has matched in the text; nothing when it took no part. \K can put the beginning
 * behind the end. */
static tepal_bytes value_of_group(const struct segment_matcher *matcher, tepal_bytes text,
                                  uint32_t group)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(matcher->data) + 2 * (size_t)group;
    bool is_set = ends[0] != PCRE2_UNSET && ends[0] <= ends[1];
    return (tepal_bytes){ .data = is_set ? text.data + ends[0] : text.data,
                          .len = is_set ? ends[1] - ends[0] : 0 };
}

int segment_regex_match(const struct segment_regex *regex, struct segment_matcher *matcher,
                        tepal_bytes text, tepal_bytes *values, size_t room)
{
    if (regex->n_variables > room)
        return 0;
    int rc = run(regex, matcher, text);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; i < regex->n_variables; i++) {
        values[i] = value_of_group(matcher, text, regex->variables[i].group);
        if (regex->variables[i].is_int && !pattern_is_int(values[i]))
            return 0;
    }
    return (int)regex->n_variables;
}
