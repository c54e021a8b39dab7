/* The secrets of connections, written to a file for those who debug: lines of the NSS key log
 * format, as OpenSSL makes them. Each line is one write to the end of the file, so that several
 * contexts, processes and programs can share it. */
#include "base/fd.h"
#include "base/log.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whoever can read the file can read the connections; and one that another user has put there is
 * theirs to read. */
static int check_key_log(tepal_tls *tls, int fd, const char *path)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return tls_fail(tls, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return tls_fail(tls, -EINVAL, "%s: " TLS_NOT_REGULAR, path);
    if (file.st_uid != geteuid())
        return tls_fail(tls, -EPERM, "%s: the file is another user's", path);
    if (file.st_mode & (S_IRWXG | S_IRWXO))
        return tls_fail(tls, -EPERM, "%s: others may use the file (chmod 600)", path);
    return 0;
}

int tls_key_log_open(tepal_tls *tls)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const char *path = tls->options.key_log;
    if (!path || !*path)
        return 0;
    int fd = fd_keep(open(path, flags, S_IRUSR | S_IWUSR));
    if (fd < 0)
        return tls_fail(tls, -errno, "%s: %s", path, strerror(errno));
    int rc = check_key_log(tls, fd, path);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    tls->key_log = fd;
    tepal_logf(TEPAL_LOG_WARNING, "the secrets of TLS connections are written to %s", path);
    return 0;
}

static void on_key_log_line(const SSL *ssl, const char *line)
{
    const struct tls_conn *t = SSL_get_app_data(ssl);
    tepal_tls *tls = t->tls;
    struct iovec pieces[] = { { (void *)(uintptr_t)line, strlen(line) },
                              { (void *)(uintptr_t) "\n", 1 } };
    ssize_t n = writev(tls->key_log, pieces, 2);
    if (n == (ssize_t)pieces[0].iov_len + 1 || tls->key_log_failed)
        return;
    tls->key_log_failed = true;
    tepal_logf(TEPAL_LOG_WARNING, "the file of TLS secrets is not complete: %s",
               n < 0 ? strerror(errno) : "short write");
}

void tls_key_log_use(SSL_CTX *ctx, const tepal_tls *tls)
{
    if (tls->key_log >= 0)
        SSL_CTX_set_keylog_callback(ctx, on_key_log_line);
}

void tls_key_log_close(tepal_tls *tls)
{
    if (tls->key_log >= 0)
        close(tls->key_log);
}
