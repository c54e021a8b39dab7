/* The vocabulary that every room of tepal shares: bytes, errors, "never", and the export mark.
 *
 * Conventions that hold for the whole API, where a comment says nothing else:
 *
 *  - Names: tepal_NOUN(x) gets, tepal_NOUN_set_y() sets, _add_ adds one more, _remove_ takes away,
 *    _each_ goes through all. A name that ends in f takes a format, the same name without f a value
 *    as it is: tepal_log(), tepal_logf(). _error is a number, _error_text a text. Times have their
 *    unit in the name: _ms, _us, _s.
 *  - Results: 0 (or a count, or what was asked for) on success, and a negative number on failure:
 *    -errno, or one of the codes below. A function that returns a pointer returns NULL on failure,
 *    and a getter where there is nothing. The C variable errno is not part of the API.
 *  - Loops: while ((rc = tepal_X_next(x, &item)) > 0). 0 is the end, and less than 0 a failure.
 *    What an item lends is valid until the next call.
 *  - Whose it is: what you get from a call with _new or _open in its name you end with the _close
 *    of its kind. Everything else that you get is lent: it lives as long as the first argument that
 *    it was asked from. Options and texts that you give are needed until the call returns.
 *  - Text is a NUL-terminated const char * without a NUL inside, in UTF-8 where tepal itself writes
 *    it. Octets are given as a const void * and a size_t, and lent as a tepal_bytes or a pointer.
 *  - Options are plain structs: zero means the default, a NULL pointer means all defaults.
 *  - Room for what comes: structs that a program makes, rows of its tables, and structs that are
 *    filled for it end with words named later. They are zero; a member that is added takes its
 *    place from them, so the size never changes. A call that is given options, a row or a job with
 *    other than zero there fails with -EINVAL (what keeps its first error keeps that), and the log
 *    says that they are not initialised, or made for a newer tepal.
 *  - Whoever gives a function to tepal gives an argument with it: a const void *, so that a
 *    constant, a text or a variable needs no cast. The function gets it as a void *, its last
 *    parameter. It is neither copied nor freed.
 *  - A call that may suspend the calling task says "Suspends" in its comment.
 */
#ifndef TEPAL_BASE_H
#define TEPAL_BASE_H

#include <errno.h> /* the numbers that results are made of */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TEPAL_API __attribute__((visibility("default")))
#define TEPAL_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define TEPAL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TEPAL_API
#define TEPAL_PRINTF(text, first)
#define TEPAL_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the headers; tepal_version() is that of the library. */
#define TEPAL_VERSION "0.1.0"

/* For a timeout in an option: no timeout. For a deadline: none. */
#define TEPAL_NEVER INT64_MAX

/* For a count or a size in an option: no limit. */
#define TEPAL_UNLIMITED SIZE_MAX

/* A run of bytes that somebody else owns. Not NUL-terminated unless the call says so. */
typedef struct tepal_bytes {
    const char *data;
    size_t len;
} tepal_bytes;

/* A length that is not known. */
#define TEPAL_UNKNOWN UINT64_MAX

/* A name and a value: of fields, of a query. A list of them ends with a pair whose name is NULL:
 * (tepal_pair[]){ { "Accept", "text/plain" }, { 0 } }. Never gets another member. */
typedef struct tepal_pair {
    const char *name, *value;
} tepal_pair;

/* The key of a value that the program keeps with an application, a request or a task. A key is a
 * constant of the program; its address is what counts, the name is for people:
 * static const tepal_key DB = { "db" }; */
typedef struct tepal_key {
    const char *name;
} tepal_key;

/* Errors of tepal's own, besides -errno. All are below -4096, where no errno reaches. Those of HTTP
 * are in tepal/http_error.h. */
enum tepal_code {
    TEPAL_ECLOSED = -4097,  /* the peer closed the connection before the message was complete */
    TEPAL_EMESSAGE = -4098, /* the peer sent a malformed message */
    TEPAL_ENONAME = -4107,  /* there is no such host name, or it has no address of that family */
    TEPAL_EDNS = -4108,     /* the name servers failed, or did not answer in time */
    TEPAL_ETLS = -4109,     /* TLS failed: the peer violates it, refuses us, or does not speak it */
    TEPAL_ECERTIFICATE = -4110, /* a certificate is not accepted, or unusable */
    TEPAL_ETRUNCATED = -4111,   /* an encrypted connection ended without its proper end */
    TEPAL_ESILENT = -4112, /* the system has given the peer up, which does not answer (ETIMEDOUT) */
    TEPAL_ENOSERVICE = -4113, /* the domain says that it does not have this service */
};

/* The symbolic name of an error number, such as "ECONNREFUSED" or "TEPAL_EBODY_SIZE"; "0" for 0 and
 * positive numbers, "EUNKNOWN" for what has no name. Static storage; never NULL. */
TEPAL_API const char *tepal_code_name(int error);

/* A short English text for an error number, such as "Connection refused". Static storage; never
 * NULL. */
TEPAL_API const char *tepal_code_text(int error);

/* The version of the linked library, such as "0.1.0". Static storage. */
TEPAL_API const char *tepal_version(void);

#ifdef __cplusplus
}
#endif
#endif
