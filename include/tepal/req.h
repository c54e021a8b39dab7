/* Requests. Everything that these calls return lives as long as the request: until its response has
 * been sent. Text has no NUL in it: what a peer sends with one is refused with 400 before. Asking
 * for the same again takes no more memory.
 *
 * So nothing of a request is kept beyond it, the request itself included: that memory is used for
 * the next one, and a pointer shows somebody else's data. A library that was built with
 * AddressSanitizer (make sanitize) names the line that does it; with TEPAL_DEBUG=1 what has ended
 * is overwritten with 0xdd.
 *
 * A name that is NULL is nowhere: the getters return NULL or an empty list, and the log says so.
 * The same holds for a key, and for the places that a tepal_req_each_ call is given. A request that
 * is NULL is a mistake of the handler that runs: the log says so with that handler's request and
 * the call, the call returns NULL, false, 0 or -EINVAL, and the handler's answer is a 500 unless it
 * returns another one. Where the calling task is no handler's, the program ends with a message that
 * names the call. */
#ifndef TEPAL_REQ_H
#define TEPAL_REQ_H

#include <tepal/app.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- The head (none of these suspends) -------------------------------------------------------- */

/* The method, such as "GET"; case-sensitive (RFC 9110 section 9.1). "UNKNOWN" where a request could
 * not be read so far. Of one that could not be read to the end of its head, which only middlewares
 * see, target, version and fields are what came before the fault; "/" and HTTP/1.0 where that was
 * nothing. */
TEPAL_API const char *tepal_req_method(const tepal_req *req);

/* The path, decoded: UTF-8, such as "/hello/wo rld"; "/" for a request that could not be read. NULL
 * when memory is short. */
TEPAL_API const char *tepal_req_path(tepal_req *req);

/* The target as it was sent (RFC 9112 section 3.2), such as "/hello/wo%20rld?x=1". A target that no
 * handler sees is answered with 400: one with control characters, spaces, '#' or octets over 127;
 * whose path or query is not UTF-8 when decoded, or has an encoded NUL; whose path has a '%' that
 * begins no code, or an encoded line end. What browsers send unencoded, such as | ^ { } [ ] and the
 * backquote, and a lone '%' in the query, stands for itself. A URI of another scheme than the
 * connection's is answered with 421. */
TEPAL_API const char *tepal_req_target(const tepal_req *req);

/* The query as it was sent, without '?'; "" when there is none. */
TEPAL_API const char *tepal_req_query_string(tepal_req *req);

/* The first value of a name in the query, decoded, or NULL; and a list of all its values, which
 * ends with NULL: the list is empty when there is none, and NULL itself only when memory is short
 * (which is recorded). */
TEPAL_API const char *tepal_req_query(tepal_req *req, const char *name);
TEPAL_API const char *const *tepal_req_query_all(tepal_req *req, const char *name);

/* The value of a header field (any case), or NULL. A field that is repeated has its values joined
 * by ", " (RFC 9110 section 5.3), Cookie by "; ". And the list of them, one for each field. */
TEPAL_API const char *tepal_req_header(tepal_req *req, const char *name);
TEPAL_API const char *const *tepal_req_header_all(tepal_req *req, const char *name);

/* The value of a cookie, the first of several with the name; or NULL. */
TEPAL_API const char *tepal_req_cookie(tepal_req *req, const char *name);

/* Goes through the query, the fields or the cookies, in order; names are as they were sent:
 * size_t at = 0; while (tepal_req_each_header(req, &at, &pair)) ... */
TEPAL_API bool tepal_req_each_query(tepal_req *req, size_t *at, tepal_pair *pair);
TEPAL_API bool tepal_req_each_header(tepal_req *req, size_t *at, tepal_pair *pair);
TEPAL_API bool tepal_req_each_cookie(tepal_req *req, size_t *at, tepal_pair *pair);

/* What a variable of the route's pattern matched, decoded, or NULL when the pattern has none of
 * that name; the log says so once for each route, when it is the handler that asks. */
TEPAL_API const char *tepal_req_match(const tepal_req *req, const char *name);

/* The same for an int variable; 0 when there is none of that name. */
TEPAL_API int64_t tepal_req_match_int(const tepal_req *req, const char *name);

/* The pattern of the route, such as "/hello/{name}"; NULL where none matched. Good as a label in
 * metrics. */
TEPAL_API const char *tepal_req_pattern(const tepal_req *req);

/* The argument of the route, NULL where it has none, or no route matched. */
TEPAL_API void *tepal_req_arg(const tepal_req *req);

/* The Host the client asked for, with its port if it sent one; the address of the server when it
 * sent none (HTTP/1.0). */
TEPAL_API const char *tepal_req_host(tepal_req *req);

/* The IP address of the peer; "" on a Unix socket. Forwarded fields are not looked at: anybody can
 * send them. */
TEPAL_API const char *tepal_req_remote(tepal_req *req);

/* "http" or "https". */
TEPAL_API const char *tepal_req_scheme(const tepal_req *req);

/* The version: 10 for HTTP/1.0, 11 for HTTP/1.1. */
TEPAL_API int tepal_req_version(const tepal_req *req);

/* The media type without parameters, in lower case; "application/octet-stream" when there is none
 * or it is malformed. NULL when memory is short. */
TEPAL_API const char *tepal_req_content_type(tepal_req *req);

/* The declared length of the body, 0 when there is none; TEPAL_UNKNOWN when it is chunked. */
TEPAL_API uint64_t tepal_req_content_length(const tepal_req *req);

TEPAL_API tepal_app *tepal_req_app(const tepal_req *req);

/* --- State ------------------------------------------------------------------------------------ */

/* Keeps value under the key for this request; returns 0 or a negative error: -EINVAL, recorded, for
 * a key that is NULL. */
TEPAL_API int tepal_req_set_state(tepal_req *req, const tepal_key *key, const void *value);

/* The request's value of the key, else the application's, else NULL. */
TEPAL_API void *tepal_req_state(const tepal_req *req, const tepal_key *key);

/* --- The body ------------------------------------------------------------------------------------
 *
 * It is read when it is asked for, and not before. A call that fails returns NULL or a negative
 * error and records the cause: TEPAL_EBODY_SIZE (413), TEPAL_EMESSAGE (400: bad chunks),
 * TEPAL_ECLOSED (400: the client stopped in the middle), -ETIMEDOUT (408: nothing came for
 * body_timeout_ms, or too little by min_body_rate; 504: the task's own deadline), -ENOBUFS (503:
 * max_memory), TEPAL_EREQUEST_MEMORY (413), TEPAL_EJSON and TEPAL_ECHARSET (400).
 * A handler that returns NULL then is answered with it. */

/* The next piece of the body; it is valid until the next call. Suspends. Returns 1, 0 at the
 * end, or a negative error. max_body does not apply: the handler decides what is too much. A
 * read that the task's own deadline has ended (-ETIMEDOUT), or that found another task reading
 * (-EBUSY), can be made again, and then takes back what was recorded; a client that was silent
 * for too long is -ETIMEDOUT once, and TEPAL_ECLOSED from then on. -EINVAL, recorded, when piece
 * is NULL. A client that waits for 100 (Continue) gets it when its body is waited for, unless a
 * response has begun. */
TEPAL_API int tepal_req_read(tepal_req *req, tepal_bytes *piece);

/* The whole body, at most max_body octets, with a NUL behind; the same again on the next call.
 * Suspends. NULL on failure, or when tepal_req_read() has taken a part of it. */
TEPAL_API const tepal_bytes *tepal_req_body(tepal_req *req);

/* The whole body as text: UTF-8 without NUL. Suspends. NULL on failure. */
TEPAL_API const char *tepal_req_text(tepal_req *req);

/* The whole body as JSON; the request owns it. Nested max_json_depth deep at most, and what it
 * takes is counted before it is made: more than is left of max_request_memory is
 * TEPAL_EREQUEST_MEMORY. One of over 32 KiB is made and freed in steps, between which other tasks
 * have their turn. A byte order mark before it is ignored. Any content type is accepted. Suspends.
 * NULL on failure, -EBUSY while another task of the request makes it. */
TEPAL_API json_t *tepal_req_json(tepal_req *req);

/* --- What lives with the request -------------------------------------------------------------- */

/* Memory that is freed with the request: aligned for any type, and zeroed. NULL when
 * max_request_memory or the system's memory is used up; that is recorded. */
TEPAL_API void *tepal_req_alloc(tepal_req *req, size_t size);

/* A copy of a string, and formatted text, with the same lifetime. NULL as above, and when the
 * string or a %s is NULL: that is recorded, too. */
TEPAL_API char *tepal_req_strdup(tepal_req *req, const char *s);
TEPAL_API char *tepal_req_printf(tepal_req *req, const char *format, ...) TEPAL_PRINTF(2, 3);

/* Calls fn(arg) when the request ends, whatever happens; the latest first: after the handler has
 * returned, so arg is no variable on its stack (-EINVAL). Returns 0, or a negative error, and then
 * fn has been called already. */
TEPAL_API int tepal_req_defer(tepal_req *req, void (*fn)(void *arg), const void *arg);

/* tepal_on_response() for this request alone; called before those of the application. Returns 0,
 * -ENOMEM or TEPAL_EREQUEST_MEMORY, or TEPAL_ESENT when they have been called already. */
TEPAL_API int tepal_req_on_response(tepal_req *req, tepal_res_hook *hook, const void *arg);

/* A group for tasks of this request: they are cancelled and joined when the handler has returned.
 * NULL when memory is short. */
TEPAL_API tepal_group *tepal_req_group(tepal_req *req);

/* The URL path of the route with this name. The values of its variables are a list of pairs that
 * ends with { 0 }; NULL is none: tepal_req_url(req, "user", (tepal_pair[]){ { "id", "7" }, { 0 }
 * }). Values are encoded. NULL when the name or a value is missing or NULL: logged, and recorded. A
 * value that the pattern has no variable for is left out, and logged once. */
TEPAL_API const char *tepal_req_url(tepal_req *req, const char *name, const tepal_pair *variables);

/* --- Failures ------------------------------------------------------------------------------------
 *
 * A call that fails records the cause on the request: a handler that returns NULL is answered with
 * it. A later cause replaces an earlier one, so that what is tried in place of what has failed has
 * the last word. But -ECANCELED replaces none, and a call that fails only because it was given NULL
 * leaves the cause of that NULL alone: tepal_text(req, 200, tepal_req_text(req)) is a 400 or 413 if
 * need be. */

/* Records an answer, an error page as by tepal_error(), and returns NULL, whatever pointer the
 * caller is to return: return tepal_reject(req, 403, "not yours"); for helpers deep below a
 * handler. In C++ it needs a cast. detail NULL is the phrase of the status. */
TEPAL_API void *tepal_reject(tepal_req *req, int status, const char *detail);
TEPAL_API void *tepal_rejectf(tepal_req *req, int status, const char *format, ...)
    TEPAL_PRINTF(3, 4);

/* The cause that is recorded (0: none); with the status that it would be answered with, and the
 * detail of that page. TEPAL_EREJECTED is that of tepal_reject(). */
typedef struct tepal_failure {
    int error, status;
    const char *detail;
    uint64_t later[2];
} tepal_failure;
TEPAL_API int tepal_req_error(const tepal_req *req);
TEPAL_API tepal_failure tepal_req_failure(const tepal_req *req);

#ifdef __cplusplus
}
#endif
#endif
