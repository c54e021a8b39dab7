/* JSON written straight from a format: see tepal_jsonf() in tepal/res.h. */
#ifndef TEPAL_WEB_JSON_FORMAT_H
#define TEPAL_WEB_JSON_FORMAT_H

#include <tepal/req.h>

#include <stdarg.h>

/* What was wrong with a call, for its author. */
struct json_format_fault {
    char why[120];
    bool is_null; /* it is a value that is NULL */
    size_t at;    /* octets of the format that were read */
};

/* Writes the JSON to the request's arena. Returns 0; -EILSEQ for a string that is no UTF-8 text;
 * -EDOM for a real that is no number; -EINVAL for a bad format, or a value that cannot be written;
 * with *fault filled in; or -ENOMEM when the arena had no out->len octets. Values that the format
 * takes over are released in any case, but for those behind the place where the format is bad. */
int json_format(tepal_req *req, tepal_bytes *out, const char *format, va_list args,
                struct json_format_fault *fault);

#endif
