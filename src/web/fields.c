/* The status and the fields of a response. What is set here has been checked, so what is sent is
 * well formed. */
#include "base/log.h"
#include "http/cookie.h"
#include "http/field.h"
#include "web/request.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

int tepal_res_status(const tepal_res *res)
{
    return res ? res->status : -EINVAL;
}

/* Makes the response one that must not be sent, and says so. */
static int refuse(tepal_res *res, int error)
{
    if (res->error == 0)
        res->error = error;
    return error;
}

int tepal_res_set_status(tepal_res *res, int status, const char *reason)
{
    if (!res || status < 200 || status > 999)
        return -EINVAL;
    if (res->head_sent)
        return TEPAL_ESENT;
    if (reason && !http_is_field_value(reason, strlen(reason)))
        return -EINVAL;
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
        return refuse(res, res->req->error);
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

/* Sets or adds a field whose value lives with the request. */
static int put(tepal_res *res, const char *name, const char *value, size_t value_len, bool add)
{
    size_t name_len = strlen(name);
    enum http_field id = http_field_id(name, name_len);
    if (!http_is_token(name, name_len) || !http_is_field_value(value, value_len) ||
        value_len > UINT16_MAX)
        return refuse(res, TEPAL_EFIELD);
    if (is_framing(id))
        return -EINVAL;
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

static int put_formatted(tepal_res *res, const char *name, const char *format, va_list args,
                         bool add)
{
    if (!res || !name || !format)
        return -EINVAL;
    if (res->head_sent)
        return TEPAL_ESENT;
    size_t len;
    char *value = request_vprintf(res->req, &len, format, args);
    return value ? put(res, name, value, len, add) : refuse(res, res->req->error);
}

int tepal_res_header(tepal_res *res, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = put_formatted(res, name, format, args, false);
    va_end(args);
    return rc;
}

int tepal_res_add_header(tepal_res *res, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = put_formatted(res, name, format, args, true);
    va_end(args);
    return rc;
}

const char *tepal_res_get_header(const tepal_res *res, const char *name)
{
    size_t len = strlen(name);
    if (!res)
        return NULL;
    if (http_field_id(name, len) == HTTP_FIELD_CONTENT_TYPE)
        return res->content_type;
    for (const struct res_field *field = res->fields; field; field = field->next)
        if (has_name(field, name, len))
            return field->value;
    return NULL;
}

static int put_cookie(tepal_res *res, const char *name, const char *value,
                      const struct cookie_attributes *attributes)
{
    if (res->head_sent)
        return TEPAL_ESENT;
    long len = cookie_write(NULL, 0, name, value, attributes);
    if (len < 0)
        return refuse(res, TEPAL_EFIELD);
    const char *fault = cookie_fault(name, attributes);
    if (fault) {
        tepal_log(TEPAL_LOG_WARNING, "%s %s: the cookie %s is not set, browsers would drop it: %s",
                  tepal_req_method(res->req), tepal_req_target(res->req), name, fault);
        return -EINVAL;
    }
    char *text = request_alloc_text(res->req, (size_t)len + 1);
    if (!text)
        return refuse(res, res->req->error);
    cookie_write(text, (size_t)len + 1, name, value, attributes);
    return put(res, "Set-Cookie", text, (size_t)len, true);
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

int tepal_res_cookie(tepal_res *res, const char *name, const char *value,
                     const tepal_cookie_options *options)
{
    if (!res)
        return -EINVAL;
    struct cookie_attributes attributes = attributes_of(options);
    return put_cookie(res, name, value, &attributes);
}

int tepal_res_delete_cookie(tepal_res *res, const char *name, const tepal_cookie_options *options)
{
    if (!res)
        return -EINVAL;
    struct cookie_attributes attributes = attributes_of(options);
    attributes.secure |= name && cookie_name_is_secure(name);
    attributes.max_age = attributes.expires = 0;
    attributes.has_max_age = attributes.has_expires = true;
    return put_cookie(res, name, "", &attributes);
}

void tepal_res_set_close(tepal_res *res)
{
    if (res)
        res->close = true;
}

int tepal_res_set_length(tepal_res *res, uint64_t length)
{
    if (!res)
        return -EINVAL;
    if (res->head_sent)
        return TEPAL_ESENT;
    res->has_length = true;
    res->declared = length;
    return 0;
}
