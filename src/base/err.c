/* Names and texts of error numbers: one table for tepal's own codes and what has another meaning
 * here, the C library's for errno. */
#include "base/platform.h"

#include <tepal/base.h>
#include <tepal/http_error.h>

#include <string.h>

static const struct {
    int error;
    const char *name, *text;
} own[] = {
    /* "Connection timed out" would be TEPAL_ESILENT; this is a deadline of the program's. */
    { -ETIMEDOUT, "ETIMEDOUT", "timed out" },
    /* "Timer expired": that of tepal_timeout_ms(). */
    { -ETIME, "ETIME", "the time for this step is over" },
    { TEPAL_ECLOSED, "TEPAL_ECLOSED", "the peer closed the connection" },
    { TEPAL_EMESSAGE, "TEPAL_EMESSAGE", "malformed message" },
    { TEPAL_EBODY_SIZE, "TEPAL_EBODY_SIZE", "body too large" },
    { TEPAL_EJSON, "TEPAL_EJSON", "malformed JSON" },
    { TEPAL_ECHARSET, "TEPAL_ECHARSET", "text is not in its charset" },
    { TEPAL_EREQUEST_MEMORY, "TEPAL_EREQUEST_MEMORY", "memory of the request is used up" },
    { TEPAL_ELENGTH, "TEPAL_ELENGTH", "body is not as long as its Content-Length" },
    { TEPAL_EFIELD, "TEPAL_EFIELD", "forbidden character in a field" },
    { TEPAL_ESENT, "TEPAL_ESENT", "the response has been sent already" },
    { TEPAL_EPATTERN, "TEPAL_EPATTERN", "bad route pattern" },
    { TEPAL_ENONAME, "TEPAL_ENONAME", "no such host name" },
    { TEPAL_EDNS, "TEPAL_EDNS", "the name servers failed or did not answer" },
    { TEPAL_ETLS, "TEPAL_ETLS", "TLS failed" },
    { TEPAL_ECERTIFICATE, "TEPAL_ECERTIFICATE", "certificate not accepted" },
    { TEPAL_ETRUNCATED, "TEPAL_ETRUNCATED", "encrypted connection was cut off" },
    { TEPAL_ESILENT, "TEPAL_ESILENT", "the peer does not answer" },
    { TEPAL_ENOSERVICE, "TEPAL_ENOSERVICE", "the domain does not have this service" },
    { TEPAL_ENOBODY, "TEPAL_ENOBODY", "nobody reads this body" },
    { TEPAL_EREJECTED, "TEPAL_EREJECTED", "the request was rejected" },
};

const char *tepal_code_name(int error)
{
    if (error >= 0)
        return "0";
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i].error == error)
            return own[i].name;
    const char *name = error >= -4096 ? strerrorname_np(-error) : NULL;
    return name ? name : "EUNKNOWN";
}

const char *tepal_code_text(int error)
{
    if (error >= 0)
        return "success";
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i].error == error)
            return own[i].text;
    const char *text = error >= -4096 ? strerrordesc_np(-error) : NULL;
    return text ? text : "unknown error";
}

const char *tepal_version(void)
{
    return TEPAL_VERSION;
}
