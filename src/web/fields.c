/* The status and the fields of a response. What is set here has been checked, so what is sent is
 * well formed. */
#include "http/cookie.h"
#include "http/field.h"
#include "web/mistake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tepal_res_status(const tepal_res *res)
{
    return response_is_usable(res, "tepal_res_status", false) ? res->status : -EINVAL;
}

int response_refuse(tepal_res *res, int error)
{
    if (res->error == 0)
        res->error = error;
    return error;
}

/* Said, as the result is easily overlooked. */
int response_sent_already(const tepal_res *res, const char *call, const char *what)
{
    mistake_say_once(res->req, ONCE_SENT, call,
                     "%.100s is left as it is: the head of the response was sent before, with the "
                     "first tepal_write()",
                     what);
    return TEPAL_ESENT;
}

int tepal_res_set_status(tepal_res *res, int status, const char *reason)
{
    static const char call[] = "tepal_res_set_status";
    if (!response_is_usable(res, call, false))
        return -EINVAL;
    if (res->head_sent)
        return response_sent_already(res, call, "the status");
    if (status < 200 || status > 999) {
        mistake_say(res->req, call, "status %d is not 200 to 999", status);
        return -EINVAL;
    }
    if (reason && !http_is_field_value(reason, strlen(reason))) {
        mistake_say(res->req, call, "the reason \"%.200s\" has a forbidden character", reason);
        return -EINVAL;
    }
    if (reason && !(reason = tepal_req_strdup(res->req, reason)))
        return res->req->error;
    res->status = status;
    res->reason = reason;
    return 0;
}

/* Fields that decide where a message ends are the server's own business. */
static bool is_framing(enum http_field id)
{
    return id == HTTP_FIELD_CONTENT_LENGTH || id == HTTP_FIELD_TRANSFER_ENCODING ||
           id == HTTP_FIELD_CONNECTION || id == HTTP_FIELD_KEEP_ALIVE || id == HTTP_FIELD_UPGRADE;
}

static bool has_name(const struct res_field *field, const char *name, size_t len)
{
    return http_same_name(field->name, field->name_len, name, len);
}

static void remove_fields(tepal_res *res, const char *name, size_t len)
{
    struct res_field **at = &res->fields;
    res->last = NULL;
    while (*at) {
        if (has_name(*at, name, len)) {
            res->fields_size -= (*at)->name_len + (*at)->value_len + 4;
            *at = (*at)->next;
        } else {
            res->last = *at;
            at = &(*at)->next;
        }
    }
}

static int append_field(tepal_res *res, const char *name, const char *value, size_t value_len)
{
    size_t name_len = strlen(name);
    struct res_field *field = request_alloc(res->req, sizeof(*field));
    char *copy = field ? tepal_req_strdup(res->req, name) : NULL;
    if (!copy)
        return response_refuse(res, res->req->error);
    *field = (struct res_field){ .name = copy,
                                 .value = value,
                                 .name_len = (uint32_t)name_len,
                                 .value_len = (uint32_t)value_len };
    if (res->last)
        res->last->next = field;
    else
        res->fields = field;
    res->last = field;
    res->fields_size += name_len + value_len + 4;
    return 0;
}

/* What is wrong with a field; NULL: nothing. */
static const char *fault_of(const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (name_len == 0)
        return "has no name";
    if (!http_is_token(name, name_len))
        return "has a forbidden character in its name";
    if (!http_is_field_value(value, value_len))
        return "has a forbidden character in its value";
    return value_len > UINT16_MAX ? "is longer than 65535 octets" : NULL;
}

/* Sets or adds a field whose value lives with the request. */
static int put(tepal_res *res, const struct caller *caller, const char *value, size_t value_len,
               bool add)
{
    const char *name = caller->field;
    size_t name_len = strlen(name);
    enum http_field id = http_field_id(name, name_len);
    const char *fault = fault_of(name, name_len, value, value_len);
    if (UNLIKELY(fault != NULL))
        return response_refuse(res,
                               mistake(res->req, TEPAL_EFIELD, caller->call,
                                       "the field \"%.100s\" %s: \"%.200s\"", name, fault, value));
    if (is_framing(id)) {
        mistake_say_once(res->req, ONCE_FRAMING, caller->call,
                         "%s is not set: the server writes it itself", name);
        return -EINVAL;
    }
    if (id == HTTP_FIELD_CONTENT_TYPE) {
        res->content_type = value;
        res->type_len = value_len;
        return 0;
    }
    if (!add)
        remove_fields(res, name, name_len);
    res->own_date |= id == HTTP_FIELD_DATE;
    res->own_server |= id == HTTP_FIELD_SERVER;
    return append_field(res, name, value, value_len);
}

/* Whether a field can be set that has this name and this value, or the format of it. Returns 0, or
 * an error. */
static int check_put(tepal_res *res, const struct caller *caller, const char *value)
{
    char what[128];
    if (!response_is_usable(res, caller->call, false))
        return -EINVAL;
    if (UNLIKELY(res->head_sent))
        return response_sent_already(res, caller->call,
                                     caller->field ? caller->field : "the field");
    if (UNLIKELY(!caller->field))
        return response_refuse(res, mistake_null(res->req, caller->call, "the name"));
    if (LIKELY(value != NULL))
        return 0;
    snprintf(what, sizeof(what), "the value of %.100s", caller->field);
    return response_refuse(res, mistake_null(res->req, caller->call, what));
}

static int put_formatted(tepal_res *res, const struct caller *caller, const char *format,
                         va_list args, bool add)
{
    size_t len;
    int rc = check_put(res, caller, format);
    if (rc < 0)
        return rc;
    char *value = request_vprintf(res->req, caller, &len, format, args);
    return value ? put(res, caller, value, len, add) : response_refuse(res, res->req->error);
}

static int put_copy(tepal_res *res, const struct caller *caller, const char *value, bool add)
{
    int rc = check_put(res, caller, value);
    if (rc < 0)
        return rc;
    char *copy = tepal_req_strdup(res->req, value);
    return copy ? put(res, caller, copy, strlen(copy), add) : response_refuse(res, res->req->error);
}

int response_put(tepal_res *res, const char *call, const char *name, const char *value)
{
    char *copy = tepal_req_strdup(res->req, value);
    return copy ? put(res, &(struct caller){ call, name }, copy, strlen(copy), false)
                : response_refuse(res, res->req->error);
}

int tepal_res_set_header(tepal_res *res, const char *name, const char *value)
{
    return put_copy(res, &(struct caller){ "tepal_res_set_header", name }, value, false);
}

int tepal_res_add_header(tepal_res *res, const char *name, const char *value)
{
    return put_copy(res, &(struct caller){ "tepal_res_add_header", name }, value, true);
}

int tepal_res_set_headerf(tepal_res *res, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc =
        put_formatted(res, &(struct caller){ "tepal_res_set_headerf", name }, format, args, false);
    va_end(args);
    return rc;
}

int tepal_res_add_headerf(tepal_res *res, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc =
        put_formatted(res, &(struct caller){ "tepal_res_add_headerf", name }, format, args, true);
    va_end(args);
    return rc;
}

const char *tepal_res_header(const tepal_res *res, const char *name)
{
    static const char call[] = "tepal_res_header";
    if (!response_is_usable(res, call, false))
        return NULL;
    if (!name) {
        mistake_null(res->req, call, "the name");
        return NULL;
    }
    size_t len = strlen(name);
    if (http_field_id(name, len) == HTTP_FIELD_CONTENT_TYPE)
        return res->content_type;
    for (const struct res_field *field = res->fields; field; field = field->next)
        if (has_name(field, name, len))
            return field->value;
    return NULL;
}

static int put_cookie(tepal_res *res, const struct caller *caller, const char *value,
                      const struct cookie_attributes *attributes)
{
    int rc = check_put(res, caller, value);
    if (rc < 0)
        return rc;
    long len = cookie_write(NULL, 0, caller->field, value, attributes);
    if (len < 0)
        return response_refuse(
            res, mistake(res->req, TEPAL_EFIELD, caller->call,
                         "the cookie \"%.100s\" has a forbidden character in its name, "
                         "its value or an attribute: \"%.200s\"",
                         caller->field, value));
    const char *fault = cookie_fault(caller->field, attributes);
    if (fault) {
        mistake_say(res->req, caller->call,
                    "the cookie \"%.100s\" is not set, browsers would drop it: %s", caller->field,
                    fault);
        return -EINVAL;
    }
    char *text = request_alloc_text(res->req, (size_t)len + 1);
    if (!text)
        return response_refuse(res, res->req->error);
    cookie_write(text, (size_t)len + 1, caller->field, value, attributes);
    return put(res, &(struct caller){ caller->call, "Set-Cookie" }, text, (size_t)len, true);
}

static struct cookie_attributes attributes_of(const tepal_cookie_options *options)
{
    static const tepal_cookie_options none;
    options = options ? options : &none;
    return (struct cookie_attributes){
        .domain = options->domain,
        .path = options->path ? options->path : "/",
        .max_age = options->max_age_s,
        .has_max_age = options->max_age_s != 0,
        .secure = options->secure,
        .http_only = options->http_only,
        .partitioned = options->partitioned,
        .same_site = (enum cookie_same_site)options->same_site,
    };
}

int tepal_res_set_cookie(tepal_res *res, const char *name, const char *value,
                         const tepal_cookie_options *options)
{
    struct cookie_attributes attributes = attributes_of(options);
    return put_cookie(res, &(struct caller){ "tepal_res_set_cookie", name }, value, &attributes);
}

int tepal_res_remove_cookie(tepal_res *res, const char *name, const tepal_cookie_options *options)
{
    struct cookie_attributes attributes = attributes_of(options);
    attributes.secure |= name && cookie_name_is_secure(name);
    attributes.max_age = attributes.expires = 0;
    attributes.has_max_age = attributes.has_expires = true;
    return put_cookie(res, &(struct caller){ "tepal_res_remove_cookie", name }, "", &attributes);
}

void tepal_res_set_close(tepal_res *res)
{
    if (response_is_usable(res, "tepal_res_set_close", false))
        res->close = true;
}

int tepal_res_set_length(tepal_res *res, uint64_t length)
{
    static const char call[] = "tepal_res_set_length";
    if (!response_is_usable(res, call, false))
        return -EINVAL;
    if (res->head_sent)
        return response_sent_already(res, call, "the length");
    res->has_length = true;
    res->declared = length;
    return 0;
}
