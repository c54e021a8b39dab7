/* Errors of HTTP: of requests and responses, and of the routes that serve them. */
#ifndef TEPAL_HTTP_ERROR_H
#define TEPAL_HTTP_ERROR_H

/* Beside those of tepal/base.h, with numbers of their own. */
enum tepal_http_code {
    TEPAL_EBODY_SIZE = -4099,      /* the body is larger than max_body */
    TEPAL_EJSON = -4100,           /* the text is not the JSON that was expected */
    TEPAL_ECHARSET = -4101,        /* the text is not in the charset it says */
    TEPAL_EREQUEST_MEMORY = -4102, /* the request used more than max_request_memory */
    TEPAL_ELENGTH = -4103,   /* a response body is not as long as its declared Content-Length */
    TEPAL_EFIELD = -4104,    /* a field name or value has characters that HTTP forbids */
    TEPAL_ESENT = -4105,     /* the head of the response has been sent: too late to change it */
    TEPAL_EPATTERN = -4106,  /* a route pattern is malformed or conflicts with another one */
    TEPAL_ENOBODY = -4130,   /* nobody reads this body (HEAD, 304): writing is over, properly */
    TEPAL_EREJECTED = -4131, /* tepal_reject() has recorded the answer */
};

#endif
