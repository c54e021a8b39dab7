/* The status and the fields of a response. What is set here has been checked, so what is sent is
 * well formed. */
#include "http/field.h"
#include "http/octet.h"
#include "web/message/mistake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tepal_res_status(const tepal_res *res)
{
    return response_is_usable(res, "tepal_res_status", false) ? res->head.status : -EINVAL;
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
    res->head.status = status;
    res->head.reason = reason;
    return 0;
}

/* Fields that decide where a message ends are the server's own business. */
static bool is_framing(enum http_field id)
{
    return id == HTTP_FIELD_CONTENT_LENGTH || id == HTTP_FIELD_TRANSFER_ENCODING ||
           id == HTTP_FIELD_CONNECTION || id == HTTP_FIELD_KEEP_ALIVE || id == HTTP_FIELD_UPGRADE;
}

static int refuse_framing(const tepal_res *res, const struct caller *caller)
{
    mistake_say_once(res->req, ONCE_FRAMING, caller->call,
                     "%s is left as it is: the server writes it itself", caller->field);
    return -EINVAL;
}

static bool has_name(const struct response_field *field, const char *name, size_t len)
{
    return http_same_name(field->name, field->name_len, name, len);
}

/* Returns whether there was one. */
static bool remove_fields(tepal_res *res, const char *name, size_t len)
{
    struct response_field **at = &res->head.fields;
    bool found = false;
    res->head.last = NULL;
    while (*at) {
        if (has_name(*at, name, len)) {
            found = true;
            res->head.fields_size -= (*at)->name_len + (*at)->value_len + 4;
            *at = (*at)->next;
        } else {
            res->head.last = *at;
            at = &(*at)->next;
        }
    }
    return found;
}

static int append_field(tepal_res *res, const char *name, const char *value, size_t value_len)
{
    size_t name_len = strlen(name);
    struct response_field *field = request_alloc(res->req, sizeof(*field));
    char *copy = field ? tepal_req_strdup(res->req, name) : NULL;
    if (!copy)
        return response_refuse(res, res->req->error);
    *field = (struct response_field){ .name = copy,
                                      .value = value,
                                      .name_len = (uint32_t)name_len,
                                      .value_len = (uint32_t)value_len };
    if (res->head.last)
        res->head.last->next = field;
    else
        res->head.fields = field;
    res->head.last = field;
    res->head.fields_size += name_len + value_len + 4;
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

int response_put_value(tepal_res *res, const struct caller *caller, const char *value,
                       size_t value_len, bool add)
{
    const char *name = caller->field;
    size_t name_len = strlen(name);
    enum http_field id = http_field_id(name, name_len);
    const char *fault = fault_of(name, name_len, value, value_len);
    if (UNLIKELY(fault != NULL))
        return response_refuse(res,
                               mistake(res->req, TEPAL_EFIELD, caller->call,
                                       "the field \"%.100s\" %s: \"%.200s\"", name, fault, value));
    if (is_framing(id))
        return refuse_framing(res, caller);
    if (id == HTTP_FIELD_CONTENT_TYPE) {
        res->head.content_type = value;
        res->head.type_len = value_len;
        return 0;
    }
    if (!add)
        remove_fields(res, name, name_len);
    res->head.own_date |= id == HTTP_FIELD_DATE;
    res->head.own_server |= id == HTTP_FIELD_SERVER;
    return append_field(res, name, value, value_len);
}

int response_check_put(tepal_res *res, const struct caller *caller, const char *value)
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
    int rc = response_check_put(res, caller, format);
    if (rc < 0)
        return rc;
    char *value = request_vprintf(res->req, caller, &len, format, args);
    return value ? response_put_value(res, caller, value, len, add)
                 : response_refuse(res, res->req->error);
}

static int put_copy(tepal_res *res, const struct caller *caller, const char *value, bool add)
{
    int rc = response_check_put(res, caller, value);
    if (rc < 0)
        return rc;
    char *copy = tepal_req_strdup(res->req, value);
    return copy ? response_put_value(res, caller, copy, strlen(copy), add)
                : response_refuse(res, res->req->error);
}

int response_put(tepal_res *res, const char *call, const char *name, const char *value)
{
    char *copy = tepal_req_strdup(res->req, value);
    return copy ? response_put_value(res, &(struct caller){ call, name }, copy, strlen(copy), false)
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
        return res->head.content_type;
    for (const struct response_field *field = res->head.fields; field; field = field->next)
        if (has_name(field, name, len))
            return field->value;
    return NULL;
}

int tepal_res_add_headers(tepal_res *res, const tepal_pair *headers)
{
    static const char call[] = "tepal_res_add_headers";
    int rc = 0;
    for (; rc == 0 && headers && headers->name; headers++)
        rc = put_copy(res, &(struct caller){ call, headers->name }, headers->value, true);
    return rc;
}

int tepal_res_remove_header(tepal_res *res, const char *name)
{
    const struct caller caller = { "tepal_res_remove_header", name };
    int rc = response_check_put(res, &caller, "");
    if (rc < 0)
        return rc;
    size_t len = strlen(name);
    enum http_field id = http_field_id(name, len);
    if (is_framing(id))
        return refuse_framing(res, &caller);
    if (id == HTTP_FIELD_CONTENT_TYPE) {
        bool was_there = res->head.content_type != NULL;
        res->head.content_type = NULL;
        res->head.type_len = 0;
        return was_there;
    }
    res->head.own_date &= id != HTTP_FIELD_DATE;
    res->head.own_server &= id != HTTP_FIELD_SERVER;
    return remove_fields(res, name, len);
}

bool tepal_res_each_header(const tepal_res *res, size_t *at, tepal_pair *pair)
{
    static const char call[] = "tepal_res_each_header";
    if (!response_is_usable(res, call, false) || !places_are_given(res->req, call, at, pair))
        return false;
    const struct response_field *field = res->head.fields;
    size_t n = *at;
    if (res->head.content_type && n-- == 0) {
        *pair = (tepal_pair){ .name = "Content-Type", .value = res->head.content_type };
        ++*at;
        return true;
    }
    while (field && n-- > 0)
        field = field->next;
    if (!field)
        return false;
    *pair = (tepal_pair){ .name = field->name, .value = field->value };
    ++*at;
    return true;
}

/* Takes the next element off a list (RFC 9110 section 5.6.1), in whose quoted strings commas are
 * none of its own. Returns false at its end; empty elements are left out. */
static bool next_element(const char **rest, const char **element, size_t *len)
{
    while (**rest) {
        const char *p = *element = *rest;
        for (bool quoted = false; *p && (quoted || *p != ','); p++) {
            if (*p == '"')
                quoted = !quoted;
            else if (*p == '\\' && quoted && p[1])
                p++;
        }
        *len = (size_t)(p - *element);
        *rest = *p ? p + 1 : p;
        octet_trim(element, len);
        if (*len > 0)
            return true;
    }
    return false;
}

static bool list_has(const char *list, const char *wanted, size_t wanted_len)
{
    const char *element;
    size_t len;
    while (next_element(&list, &element, &len))
        if (http_same_name(element, len, wanted, wanted_len))
            return true;
    return false;
}

/* Adds one element to the field, behind what is there. */
static int add_element(tepal_res *res, const struct caller *caller, const char *element, size_t len)
{
    size_t name_len = strlen(caller->field);
    struct response_field *last = NULL;
    for (struct response_field *field = res->head.fields; field; field = field->next)
        if (has_name(field, caller->field, name_len)) {
            if (list_has(field->value, element, len))
                return 0;
            last = field;
        }
    size_t before = last && last->value_len > 0 ? last->value_len + 2 : 0;
    char *value = request_alloc_text(res->req, before + len + 1);
    if (!value)
        return response_refuse(res, res->req->error);
    if (before > 0)
        snprintf(value, before + 1, "%s, ", last->value);
    memcpy(value + before, element, len);
    value[before + len] = '\0';
    if (!last)
        return response_put_value(res, caller, value, len, true);
    if (before + len > UINT16_MAX)
        return response_refuse(res, mistake(res->req, TEPAL_EFIELD, caller->call,
                                            "the field \"%.100s\" is longer than 65535 octets",
                                            caller->field));
    res->head.fields_size += before + len - last->value_len;
    last->value = value;
    last->value_len = (uint32_t)(before + len);
    return 0;
}

int tepal_res_add_to_list(tepal_res *res, const char *name, const char *value)
{
    const struct caller caller = { "tepal_res_add_to_list", name };
    int rc = response_check_put(res, &caller, value);
    const char *element;
    size_t len;
    if (rc == 0 && !http_is_field_value(value, strlen(value))) /* which put_copy() says */
        return put_copy(res, &caller, value, true);
    while (rc == 0 && next_element(&value, &element, &len))
        rc = add_element(res, &caller, element, len);
    return rc;
}

bool tepal_res_is_sent(const tepal_res *res)
{
    return response_is_usable(res, "tepal_res_is_sent", false) && res->head_sent;
}

int tepal_res_set_close(tepal_res *res)
{
    if (!response_is_usable(res, "tepal_res_set_close", false))
        return -EINVAL;
    res->head.close = true;
    return 0;
}

int tepal_res_set_length(tepal_res *res, uint64_t length)
{
    static const char call[] = "tepal_res_set_length";
    if (!response_is_usable(res, call, false))
        return -EINVAL;
    if (res->head_sent)
        return response_sent_already(res, call, "the length");
    res->head.has_length = true;
    res->head.length = length;
    return 0;
}
