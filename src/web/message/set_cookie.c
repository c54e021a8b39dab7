/* Cookies of a response. What is careful is the default. */
#include "base/room.h"
#include "http/cookie.h"
#include "web/message/mistake.h"

#include <errno.h>
#include <string.h>

static int put_cookie(tepal_res *res, const struct caller *caller, const char *value,
                      const struct cookie_attributes *attributes)
{
    long len = cookie_write(NULL, 0, caller->field, value, attributes);
    if (len < 0)
        return response_refuse(
            res, mistake(res->req, TEPAL_EFIELD, caller->call,
                         "the cookie \"%.100s\" has a forbidden character in its name, "
                         "its value or an attribute: \"%.200s\"",
                         caller->field, value));
    const char *fault = cookie_fault(caller->field, attributes);
    if (fault)
        return response_refuse(res, mistake(res->req, TEPAL_EFIELD, caller->call,
                                            "browsers would drop the cookie \"%.100s\": %s",
                                            caller->field, fault));
    char *text = request_alloc_text(res->req, (size_t)len + 1);
    if (!text)
        return response_refuse(res, res->req->error);
    cookie_write(text, (size_t)len + 1, caller->field, value, attributes);
    return response_put_value(res, &(struct caller){ caller->call, "Set-Cookie" }, text,
                              (size_t)len, true);
}

static enum cookie_same_site same_site_of(tepal_same_site same_site)
{
    switch (same_site) {
    case TEPAL_SAME_SITE_STRICT:
        return COOKIE_SAME_SITE_STRICT;
    case TEPAL_SAME_SITE_NONE:
        return COOKIE_SAME_SITE_NONE;
    case TEPAL_SAME_SITE_UNSET:
        return COOKIE_SAME_SITE_UNSET;
    default:
        return COOKIE_SAME_SITE_LAX;
    }
}

/* Secure by the request's scheme; and where the cookie would be dropped without, as the client may
 * have come by HTTPS to a proxy that does not say so. */
static struct cookie_attributes attributes_of(tepal_req *req, const char *name,
                                              const tepal_cookie_options *options)
{
    bool must_be_secure = options->same_site == TEPAL_SAME_SITE_NONE || options->partitioned ||
                          cookie_name_is_secure(name);
    return (struct cookie_attributes){
        .domain = options->domain,
        .path = options->path ? options->path : "/",
        .max_age = options->max_age_s,
        .has_max_age = options->max_age_s != 0,
        .secure =
            !options->insecure && (must_be_secure || strcmp(tepal_req_scheme(req), "https") == 0),
        .http_only = !options->script,
        .partitioned = options->partitioned,
        .same_site = same_site_of(options->same_site),
    };
}

/* Whether the cookie can be set, as far as its attributes do not matter. Returns 0, or an error. */
static int check_cookie(tepal_res *res, const struct caller *caller, const char *value,
                        const tepal_cookie_options *options)
{
    int rc = response_check_put(res, caller, value);
    if (rc == 0 && room_check(caller->call, options->later, sizeof(options->later)) < 0)
        rc = response_refuse(res, mistake_said(res->req, -EINVAL));
    return rc;
}

static const tepal_cookie_options no_options;

int tepal_res_set_cookie(tepal_res *res, const char *name, const char *value,
                         const tepal_cookie_options *options)
{
    const struct caller caller = { "tepal_res_set_cookie", name };
    options = options ? options : &no_options;
    int rc = check_cookie(res, &caller, value, options);
    if (rc < 0)
        return rc;
    struct cookie_attributes attributes = attributes_of(res->req, name, options);
    return put_cookie(res, &caller, value, &attributes);
}

int tepal_res_remove_cookie(tepal_res *res, const char *name, const tepal_cookie_options *options)
{
    const struct caller caller = { "tepal_res_remove_cookie", name };
    options = options ? options : &no_options;
    int rc = check_cookie(res, &caller, "", options);
    if (rc < 0)
        return rc;
    struct cookie_attributes attributes = attributes_of(res->req, name, options);
    attributes.max_age = attributes.expires = 0;
    attributes.has_max_age = attributes.has_expires = true;
    return put_cookie(res, &caller, "", &attributes);
}
