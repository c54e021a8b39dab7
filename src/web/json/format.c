/* The writer behind tepal_jsonf(): one walk over the format, octets out. */
#include "web/json/format.h"

#include "web/json/owner.h"
#include "web/json/writer.h"
#include "web/message/mistake.h"

#include <tepal/res.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NESTING = 64 };

/* No text lies so low: a pointer there is a number that was passed where a string belongs. */
enum { LOWEST_ADDRESS = 4096 };

/* Not zeroed as a whole: the counters are set when they are needed. */
struct format {
    struct json_writer w;
    const char *text, *at; /* the format, and what of it is to come */
    struct json_format_fault *fault;
    const tepal_req *req;
    bool bad;               /* the format itself: what follows cannot be understood */
    char open[MAX_NESTING]; /* what has been opened: '{' or '[' */
    size_t depth;
    size_t n[MAX_NESTING + 1]; /* values so far at each depth; in an object, keys count too */
};

/* Keeps the first error, and what it is of. */
static void __attribute__((format(printf, 3, 4)))
fault(struct format *f, int error, const char *why, ...)
{
    if (f->w.error != 0)
        return;
    va_list args;
    va_start(args, why);
    vsnprintf(f->fault->why, sizeof(f->fault->why), why, args);
    va_end(args);
    f->fault->at = (size_t)(f->at - f->text);
    json_writer_fail(&f->w, error);
}

static void bad_format(struct format *f, const char *why)
{
    fault(f, -EINVAL, "bad format: %s", why);
    json_writer_fail(&f->w, -EINVAL);
    f->bad = true;
}

/* Says what the last thing that was written has made fail. */
static void explain(struct format *f, const char *why)
{
    int error = f->w.error;
    if (error == 0 || error == -ENOMEM || f->fault->why[0])
        return;
    f->w.error = 0;
    fault(f, error, "%s", why);
}

static void put_text(struct format *f, const char *text)
{
    json_put(&f->w, text, strlen(text));
}

/* --- Structure -------------------------------------------------------------------------------- */

/* Writes what stands between the last thing and the next one. */
static void put_separator(struct format *f)
{
    size_t n = f->n[f->depth]++;
    if (f->depth == 0) {
        if (n > 0)
            bad_format(f, "a second value");
    } else if (f->open[f->depth - 1] == '{' && n % 2 == 1) {
        json_put_char(&f->w, ':');
    } else if (n > 0) {
        json_put_char(&f->w, ',');
    }
}

static bool wants_key(const struct format *f)
{
    return f->depth > 0 && f->open[f->depth - 1] == '{' && f->n[f->depth] % 2 == 0;
}

static void open_value(struct format *f, char c)
{
    if (wants_key(f)) {
        bad_format(f, "a key must be a string");
        return;
    }
    if (f->depth == MAX_NESTING) {
        bad_format(f, "nested over 64 deep");
        return;
    }
    put_separator(f);
    f->open[f->depth++] = c;
    f->n[f->depth] = 0;
    json_put_char(&f->w, c);
}

static void close_value(struct format *f, char c)
{
    if (f->depth == 0 || f->open[f->depth - 1] != (c == '}' ? '{' : '[')) {
        bad_format(f, "closed, but not opened");
        return;
    }
    if (c == '}' && f->n[f->depth] % 2 == 1) {
        bad_format(f, "a key without a value");
        return;
    }
    f->depth--;
    json_put_char(&f->w, c);
}

/* --- Values ----------------------------------------------------------------------------------- */

/* Whether a string that the caller passed can be one. */
static bool is_string(struct format *f, const char *text)
{
    f->fault->is_null |= !text && f->w.error == 0;
    if (!text)
        fault(f, -EINVAL, "a string is NULL (s? takes it as null)");
    else if ((uintptr_t)text < LOWEST_ADDRESS)
        fault(f, -EINVAL, "a string is %zu, which is no address", (size_t)(uintptr_t)text);
    else
        return true;
    return false;
}

/* A string with what may follow its s: '?' (may be NULL), '#' (an int length), '%' (a size_t). */
static void string_value(struct format *f, bool key, va_list *args)
{
    const char *text = va_arg(*args, const char *);
    bool nullable = *f->at == '?';
    f->at += nullable;
    if (nullable && key) {
        bad_format(f, "a key must be a string");
        return;
    }
    char kind = *f->at;
    long long len = -1;
    if (kind == '#')
        len = va_arg(*args, int);
    else if (kind == '%')
        len = (long long)va_arg(*args, size_t);
    bool has_length = kind == '#' || kind == '%';
    f->at += has_length;
    if (!text && nullable) {
        put_text(f, "null");
    } else if (is_string(f, text)) {
        if (has_length && len < 0)
            fault(f, -EINVAL, "the length of a string is %lld", len);
        else if (f->w.error == 0)
            json_put_string(&f->w, text, has_length ? (size_t)len : strlen(text));
        explain(f, "a string is not UTF-8");
    }
}

static void raw_value(struct format *f, const char *text)
{
    if (is_string(f, text))
        put_text(f, text);
}

static void json_value(struct format *f, json_t *value, bool steal)
{
    size_t before = f->w.len;
    f->fault->is_null |= !value && f->w.error == 0;
    if (f->w.error == 0)
        json_put_value(&f->w, value);
    explain(f, !value ? "a json_t is NULL" : "a json_t is nested too deep, or has what is no JSON");
    if (steal)
        json_drop_given(f->req, "tepal_jsonf", value, f->w.len - before);
}

static void scalar(struct format *f, char c, va_list *args)
{
    bool key = wants_key(f);
    if (key && c != 's') {
        bad_format(f, "a key must be a string");
        return;
    }
    put_separator(f);
    switch (c) {
    case 's':
        string_value(f, key, args);
        break;
    case 'S':
        raw_value(f, va_arg(*args, const char *));
        break;
    case 'i':
        json_put_integer(&f->w, va_arg(*args, int));
        break;
    case 'I':
        json_put_integer(&f->w, va_arg(*args, json_int_t));
        break;
    case 'f':
        json_put_real(&f->w, va_arg(*args, double));
        explain(f, "a real is not finite");
        break;
    case 'b':
        put_text(f, va_arg(*args, int) ? "true" : "false");
        break;
    case 'n':
        put_text(f, "null");
        break;
    case 'o':
    case 'O':
        json_value(f, va_arg(*args, json_t *), c == 'o');
        break;
    default:
        bad_format(f, "an unknown character");
    }
}

int json_format(tepal_req *req, tepal_bytes *out, const char *format, va_list args,
                struct json_format_fault *fault)
{
    struct format f;
    va_list rest;
    f.req = req;
    f.text = f.at = format;
    f.fault = fault;
    f.bad = false;
    f.depth = f.n[0] = 0;
    fault->why[0] = '\0';
    fault->is_null = false;
    /* A failure is told at the end: values that are given away must be released in any case. */
    json_writer_init(&f.w, &req->arena);
    va_copy(rest, args);
    while (*f.at && !f.bad) {
        char c = *f.at++;
        if (c == '{' || c == '[')
            open_value(&f, c);
        else if (c == '}' || c == ']')
            close_value(&f, c);
        else if (c != ' ' && c != ':' && c != ',' && c != '\n' && c != '\t')
            scalar(&f, c, &rest);
    }
    va_end(rest);
    if (!f.bad && (f.depth > 0 || f.n[0] != 1))
        bad_format(&f, f.depth > 0 ? "opened, but not closed" : "no value");
    *out = (tepal_bytes){ .data = f.w.data, .len = f.w.len };
    return f.w.error;
}

/* Tells the author of a call what was wrong with it, unless it was given what a call has returned
 * that has failed before. */
static int blame(tepal_req *req, int error, const char *format,
                 const struct json_format_fault *fault)
{
    if (fault->is_null && req->error < 0)
        return req->error;
    return mistake(req, error, "tepal_jsonf", "%s, at %zu of the format \"%s\"", fault->why,
                   fault->at, format);
}

/* There is no request: the values that are given away are released all the same. */
static NO_INLINE void drop_given(const char *format, va_list args)
{
    tepal_bytes text;
    struct json_format_fault fault;
    (void)json_format(mistake_no_request("tepal_jsonf"), &text, format, args, &fault);
}

tepal_res *tepal_jsonf(tepal_req *req, int status, const char *format, ...)
{
    tepal_bytes text;
    struct json_format_fault fault;
    va_list args;
    if (UNLIKELY(!format)) {
        mistake_null(req, "tepal_jsonf", "the format");
        return NULL;
    }
    va_start(args, format);
    if (UNLIKELY(!req)) {
        drop_given(format, args);
        va_end(args);
        return NULL;
    }
    int rc = json_format(req, &text, format, args, &fault);
    va_end(args);
    if (rc == -ENOMEM)
        rc = request_no_memory(req, text.len);
    else if (rc < 0)
        rc = blame(req, rc, format, &fault);
    tepal_res *res = rc < 0 ? NULL : response_new(req, status, "tepal_jsonf");
    if (!res)
        return NULL;
    response_set_usual_type(res, &usual_types[USUAL_JSON]);
    res->body = (tepal_bytes){ .data = text.data, .len = text.len };
    return res;
}
