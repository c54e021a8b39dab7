/* The access log: a line for each response, by a format of aiohttp's atoms.
 *
 * %% a percent sign, %a the peer's address, %t the time, %P the process, %r the request line, %s
 * the status, %b the octets of the body, %O all octets of the response, %T seconds, %Tf seconds
 * with fraction, %D microseconds, %X how it ended (X: it was broken off, +: the connection goes on,
 * -: it ends), %{NAME}i a request field, %{NAME}o a response field, %{NAME}e an environment
 * variable. What is not there is "-".
 */
#ifndef TEPAL_WEB_SERVER_ACCESS_LOG_H
#define TEPAL_WEB_SERVER_ACCESS_LOG_H

#include <tepal/app.h>

#include <stdint.h>
#include <sys/types.h>

#define ACCESS_LOG_DEFAULT "%a %t \"%r\" %s %b \"%{Referer}i\" \"%{User-Agent}i\""

/* The longest line; what is longer is cut. */
enum { ACCESS_LOG_LINE_MAX = 8192 };

struct access_log;
struct addr_peer;
struct message;

/* A log that writes to the descriptor. Atoms that are unknown are a line in the log and stand for
 * themselves. Returns 0, or a negative errno when memory or descriptors are short. */
int access_log_new(struct access_log **log, const char *format, int fd);

/* NULL is allowed. */
void access_log_free(struct access_log *log);

/* Takes the line of a response that has been sent; rc is what response_send() has said. */
void access_log_write(struct access_log *log, tepal_req *req, const tepal_res *res, int rc);

/* An answer that was made without a request. */
struct bare_answer {
    const struct addr_peer *peer;
    const struct message *message; /* as far as it has come; NULL: nothing has */
    tepal_bytes unread;            /* see struct exchange */
    int64_t elapsed_us;
    int status;
    ssize_t sent; /* octets, or a negative error */
};

/* The same for one of those. */
void access_log_write_bare(struct access_log *log, const struct bare_answer *answer);

#endif
