/* Responses. They live as long as their request, and are never freed by the program.
 *
 * A call that makes one returns NULL when memory is short or its arguments are wrong: a status that
 * is not 200 to 999, NULL for a text (also for a %s), a format that cannot be printed. The calls
 * that change one return -EINVAL then. Either is recorded on the request, so that the answer is a
 * 500, and said in the log, with the request, the call and the value: "GET /x: tepal_redirect:
 * location is NULL". A NULL that is there because another call has failed before is not said again,
 * and the answer is that call's. What a request that is NULL does is said in req.h. NULL for the
 * response is accepted: by the calls that change one or tell of it, -EINVAL or NULL.
 *
 * A response is for its own request. One that is kept longer, or is another request's, is not sent
 * (500) nor changed (-EINVAL), and the log says so. A stream may be written to by any task until
 * the handler returns: what is being written then still becomes a part of it, unless the request
 * has been cancelled (-ECANCELED). None of these calls suspends, but for those that say so. */
#ifndef TEPAL_RES_H
#define TEPAL_RES_H

#include <tepal/app.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Making a response ------------------------------------------------------------------------ */

/* Text, and HTML, both in UTF-8: as it is, whatever is in it; it is copied. The calls that end in f
 * format it as printf does. What a client sent stands behind "%s": as a format, here and wherever
 * one is asked for, text in the memory of the request is refused when there is a '%' in it, and
 * -Wformat-security finds it earlier. Here, in fields and wherever tepal formats for machines, the
 * decimal point of a real is a point, whatever locale the program has set. With NULL for a %s the
 * response is NULL: "(null)" is not sent.
 *
 * tepal_htmlf() escapes what its conversions print (& < > " '), so that what a client sent cannot
 * become markup; the format itself is markup and is left alone. A value of an attribute stands in
 * quotes: <a title="%s">. Markup that was made elsewhere does not go through it but through
 * tepal_html(), and tepal_html_escape() is not needed. NULL for a %s prints nothing there, unless a
 * call has failed before, whose NULL it then is: the response is NULL. All conversions of printf()
 * work but %n and those with numbered arguments (%1$s), which are mistakes. */
TEPAL_API tepal_res *tepal_text(tepal_req *req, int status, const char *text);
TEPAL_API tepal_res *tepal_textf(tepal_req *req, int status, const char *format, ...)
    TEPAL_PRINTF(3, 4);
TEPAL_API tepal_res *tepal_html(tepal_req *req, int status, const char *markup);
TEPAL_API tepal_res *tepal_htmlf(tepal_req *req, int status, const char *format, ...)
    TEPAL_PRINTF(3, 4);

/* Octets, which are copied; content_type NULL is "application/octet-stream". Not to copy them:
 * tepal_res_lend_body(). */
TEPAL_API tepal_res *tepal_data(tepal_req *req, int status, const char *content_type,
                                const void *data, size_t len);

/* A response without a body, such as 204. */
TEPAL_API tepal_res *tepal_empty(tepal_req *req, int status);

/* A JSON value, whose reference the call takes over: of a value that is kept, or that is the
 * body's, give json_incref(). Who does not is told in the log, and what is small, or the body's, is
 * not freed while others use it. NULL is a failure of whatever made it, so that json_pack() can
 * stand in the call. A real is written as the shortest text that reads back as the same real:
 * 19.99, 1.0, 1e22. Strings must be UTF-8 (-EILSEQ recorded), and the value not nested over 2048
 * deep (-EINVAL). It is written in one go, some 10 ms for each MiB: larger ones are better made
 * piece by piece, see tepal_stream(). */
TEPAL_API tepal_res *tepal_json(tepal_req *req, int status, json_t *value);

/* JSON written straight from a format, without building a value. The format is that of jansson's
 * json_pack(): {s:s, s:i}, [..], s s? s# s% i I f b n o O, and ':', ',' and spaces between; one
 * more, S, is a NUL-terminated string that is JSON already. Strings must be UTF-8, reals are
 * written as by tepal_json(). NULL, with -EILSEQ for a bad string, -EDOM for a real that is not
 * finite, or -EINVAL for a bad format, a negative length, or a NULL where s? or a value is not
 * meant, recorded (the answer is a 500), and the log says which call it was, and what of its
 * format. */
TEPAL_API tepal_res *tepal_jsonf(tepal_req *req, int status, const char *format, ...);

/* 301, 302, 303, 307 or 308 to a location, whose characters that do not belong in a URL are
 * encoded. */
TEPAL_API tepal_res *tepal_redirect(tepal_req *req, int status, const char *location);

/* An error page: HTML, JSON ({"status": 404, "error": "..."}) or text, by the request's Accept,
 * which its Vary field says; see tepal_app_set_error_pages(). detail is the message; NULL is the
 * reason phrase of the status. */
TEPAL_API tepal_res *tepal_error(tepal_req *req, int status, const char *detail);
TEPAL_API tepal_res *tepal_errorf(tepal_req *req, int status, const char *format, ...)
    TEPAL_PRINTF(3, 4);

/* The error page for a negative error (any other is a mistake: 500), the same as for returning NULL
 * when it is the one that is recorded. It is logged for 5xx and not shown: 413, 400, 408 for what
 * is the client's fault (see req.h), 504 for -ETIME, and -ETIMEDOUT of anything else, 503 for
 * -EBUSY, -EAGAIN, -EMFILE, -ECANCELED and -ENOBUFS, 500 for the rest. */
TEPAL_API tepal_res *tepal_fail(tepal_req *req, int error);

/* --- Fields and status ------------------------------------------------------------------------ */

/* The status, and changing it; reason NULL is the usual phrase. Returns 0, -EINVAL for a status
 * that is not 200 to 999 (1xx is no answer) or a reason with control characters (the response stays
 * as it is, and the log says so), TEPAL_ESENT. */
TEPAL_API int tepal_res_status(const tepal_res *res);
TEPAL_API int tepal_res_set_status(tepal_res *res, int status, const char *reason);

/* Sets a field, in the place of those with the same name. The value is copied, or formatted.
 * Returns 0, TEPAL_EFIELD for a name that is no token, or a value with control characters or of
 * more than 65535 octets, -EINVAL for NULL as name, value or a %s (in all these the whole response
 * becomes a 500: nothing of it is sent), TEPAL_ESENT when the head has been sent (logged once for
 * each route), or -EINVAL for a field that the server writes itself (Content-Length,
 * Transfer-Encoding, Connection, Keep-Alive, Upgrade: see tepal_res_set_length() and
 * tepal_res_set_close()). */
TEPAL_API int tepal_res_set_header(tepal_res *res, const char *name, const char *value);
TEPAL_API int tepal_res_set_headerf(tepal_res *res, const char *name, const char *format, ...)
    TEPAL_PRINTF(3, 4);

/* The same, besides those that are there. */
TEPAL_API int tepal_res_add_header(tepal_res *res, const char *name, const char *value);
TEPAL_API int tepal_res_add_headerf(tepal_res *res, const char *name, const char *format, ...)
    TEPAL_PRINTF(3, 4);

/* Adds a list of fields, which ends with { 0 }; NULL is none. What comes before one that is refused
 * is added. */
TEPAL_API int tepal_res_add_headers(tepal_res *res, const tepal_pair *headers);

/* Adds elements to a field whose value is a list (Vary, Allow, Cache-Control) if they are not
 * there, in any case: tepal_res_add_to_list(res, "Vary", "Origin"). Returns as
 * tepal_res_set_header(). */
TEPAL_API int tepal_res_add_to_list(tepal_res *res, const char *name, const char *value);

/* Takes all fields with this name away. Returns 1 if there was one, else 0; -EINVAL or TEPAL_ESENT
 * as above. Without a Date or Server of its own a response has the server's. */
TEPAL_API int tepal_res_remove_header(tepal_res *res, const char *name);

/* The value of the first field with this name, or NULL; and going through all, as
 * tepal_req_each_header() does, Content-Type first. Fields that the server writes itself (Date,
 * Server, Content-Length, ...) are not there. */
TEPAL_API const char *tepal_res_header(const tepal_res *res, const char *name);
TEPAL_API bool tepal_res_each_header(const tepal_res *res, size_t *at, tepal_pair *pair);

/* Whether its head has been sent, so that none of this can be changed any more. */
TEPAL_API bool tepal_res_is_sent(const tepal_res *res);

typedef enum tepal_same_site {
    TEPAL_SAME_SITE_DEFAULT, /* Lax */
    TEPAL_SAME_SITE_LAX,
    TEPAL_SAME_SITE_STRICT,
    TEPAL_SAME_SITE_NONE,
    TEPAL_SAME_SITE_UNSET, /* the attribute is left out */
} tepal_same_site;

/* The defaults are the careful ones: Secure where the request came by HTTPS, HttpOnly,
 * SameSite=Lax. */
typedef struct tepal_cookie_options {
    const char *path;   /* default "/" */
    const char *domain; /* default: only the host that sent it */
    int64_t max_age_s;  /* default: until the browser ends; under 0: it is forgotten at once */
    tepal_same_site same_site;
    bool insecure; /* never Secure: the cookie is sent over http, too */
    bool script;   /* not HttpOnly: scripts of the page may read it */
    bool partitioned;
    uint64_t later[4];
} tepal_cookie_options;

/* Sets a cookie (RFC 6265). TEPAL_SAME_SITE_NONE, partitioned, and names that begin with __Secure-
 * or __Host- make it Secure however the request came, as browsers drop it without; a __Host- name
 * has no domain, and the path "/". Returns 0, TEPAL_EFIELD when a name, value or attribute has
 * characters that are not allowed there, and for what browsers drop (one that must be Secure and is
 * .insecure, a __Host- name with a domain); -EINVAL for NULL as name or value, and for options that
 * are not initialised (in all these the response becomes a 500); or TEPAL_ESENT. */
TEPAL_API int tepal_res_set_cookie(tepal_res *res, const char *name, const char *value,
                                   const tepal_cookie_options *options);

/* Tells the client to forget a cookie; path and domain must be those it was set with. */
TEPAL_API int tepal_res_remove_cookie(tepal_res *res, const char *name,
                                      const tepal_cookie_options *options);

/* Closes the connection after this response; also when its head has been sent, though that cannot
 * say so any more. Returns 0, or -EINVAL. */
TEPAL_API int tepal_res_set_close(tepal_res *res);

/* --- The body as a whole ---------------------------------------------------------------------- */

/* What it is, for middlewares: without a NUL behind it. NULL for a stream. */
TEPAL_API const tepal_bytes *tepal_res_body(const tepal_res *res);

/* Replaces it; the media type stays as it is. _set_body copies the octets. _lend_body does not, as
 * is good for large ones: release(arg) gives them back when the request ends, by when they have
 * been sent or will not be, or when another body takes their place. It is called exactly once,
 * before the call returns where that fails. With NULL for release the octets live at least as long
 * as the request. So a variable on the stack of the handler, or of the task or thread that calls,
 * is refused.
 *     tepal_res *res = tepal_data(req, 200, "image/png", NULL, 0);
 *     tepal_res_lend_body(res, png, len, free, png);
 * Return 0; -EINVAL for NULL as octets, for a stream, and for octets on a stack,
 * TEPAL_EREQUEST_MEMORY, -ENOBUFS or -ENOMEM (in all these the whole response becomes a 500, or 413
 * and 503 as in req.h); or TEPAL_ESENT. */
TEPAL_API int tepal_res_set_body(tepal_res *res, const void *data, size_t len);
TEPAL_API int tepal_res_lend_body(tepal_res *res, const void *data, size_t len,
                                  void (*release)(void *arg), const void *arg);

/* --- Streaming -------------------------------------------------------------------------------- */

/* A response whose body is written piece by piece: chunked, or ended by closing the connection for
 * an HTTP/1.0 client. content_type NULL is "application/octet-stream". */
TEPAL_API tepal_res *tepal_stream(tepal_req *req, int status, const char *content_type);

/* Declares how long the body will be, instead of chunking it. An answer to HEAD and a 304, whose
 * body is not sent, can have the length of what they stand for in this way, also when they were
 * made by tepal_empty(); on any other whole response the length of its body counts, and the log is
 * told of a difference. Returns 0 or TEPAL_ESENT. */
TEPAL_API int tepal_res_set_length(tepal_res *res, uint64_t length);

/* Sends a piece of the body, the head before the first. The response is then the answer to the
 * request: the handler returns it, and fields can no longer be set. Small pieces are collected, and
 * go out together: when there are 16 KiB of them, and at the latest when the task that has written
 * them waits for something else, whatever that is, or ends. So nothing has to be flushed. Suspends
 * while the client is slow, and now and then in any case, so that a loop of writes lets others run.
 * Returns 0; TEPAL_ENOBODY where there is no body (HEAD, 204, 205, 304), when the head has been
 * sent: a proper end, after which the handler returns the response as after any other;
 * TEPAL_ELENGTH for octets beyond the declared length (they are not sent); TEPAL_ESENT when another
 * response to the request has begun, or the handler has returned this one; -EBUSY while another
 * task writes to it; -EINVAL for a response that tepal_stream() has not made, in place of which a
 * 500 is sent; -ETIMEDOUT when the client was too slow (write_timeout_ms, min_write_rate); or an
 * error of the connection (-EPIPE, -ECONNRESET, -ECANCELED: the client is gone, or the server's
 * patience is over). After an error the response is broken off, unless a further piece is written:
 * -ETIMEDOUT of the task's own deadline, and -EBUSY, leave a piece of up to 4096 octets unwritten
 * as a whole, and it can be written again. A loop that goes on and on in spite of errors lets
 * others run, is named in the log, and has to pause: up to 100 ms with each call; 1 ms, after a
 * thousand calls, where there is no body. */
TEPAL_API int tepal_write(tepal_res *res, const void *data, size_t len);

/* The same with text, formatted as by printf. When it could not be made (-ENOMEM; -EINVAL, which is
 * logged, for a format that cannot be printed or NULL for a %s) the response is broken off, or a
 * 500 when nothing of it had been sent. */
TEPAL_API int tepal_writef(tepal_res *res, const char *format, ...) TEPAL_PRINTF(2, 3);

/* --- Help ------------------------------------------------------------------------------------- */

/* A copy of text with & < > " ' as entities, for HTML. It lives with the request. NULL when memory
 * is short or text is NULL: recorded. */
TEPAL_API const char *tepal_html_escape(tepal_req *req, const char *text);

#ifdef __cplusplus
}
#endif
#endif
