/* The context: its options, its certificates' files, its life. */
#include "net/tls.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_MAX_SESSIONS = 256, MAX_PROTOCOL = 255, MAX_PROTOCOLS = 65535 };

/* Of a session. RFC 8446, section 4.6.1: no longer than 7 days. */
enum {
    DEFAULT_LIFETIME_MS = 2 * 3600 * 1000,
    MIN_LIFETIME_MS = 60 * 1000,
    MAX_LIFETIME_MS = 7 * 24 * 3600 * 1000,
};

int tls_fail(tepal_tls *tls, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(tls->text, sizeof(tls->text), format, args);
    va_end(args);
    return error;
}

int tls_no_memory(tepal_tls *tls)
{
    return tls_fail(tls, -ENOMEM, "out of memory");
}

int tls_bad_file(tepal_tls *tls, const char *path)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return tls_no_memory(tls);
    return tls_fail(tls, TEPAL_ECERTIFICATE, "%s: %s", path, reason ? reason : "unusable");
}

/* Opening tells what access() does not: it asks for the effective user. */
int tls_check_readable(tepal_tls *tls, const char *path)
{
    struct stat file;
    if (tls_is_text(path))
        return 0;
    int fd = fd_keep(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (fd < 0)
        return tls_fail(tls, -errno, "%s: %s", path, strerror(errno));
    bool regular = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    close(fd);
    return regular ? 0 : tls_fail(tls, TEPAL_ECERTIFICATE, "%s: " TLS_NOT_REGULAR, path);
}

void tls_hold(tepal_tls *tls)
{
    tls->n_users++;
}

static void free_files(struct tls_files *files)
{
    tls_forget_source(files->certificate);
    tls_forget_source(files->key);
}

void tls_release(tepal_tls *tls)
{
    if (--tls->n_users > 0)
        return;
    tls_sites_clear(&tls->sites);
    tls_sessions_clear(&tls->sessions);
    OPENSSL_cleanse(&tls->tickets, sizeof(tls->tickets));
    BIO_meth_free(tls->bio_method);
    tls_key_log_close(tls);
    for (size_t i = 0; i < tls->n_files; i++)
        free_files(&tls->files[i]);
    mem_free(tls->files);
    mem_free(tls->alpn);
    const tepal_tls_options *options = &tls->options;
    if (options->key_password)
        OPENSSL_cleanse((void *)(uintptr_t)options->key_password, strlen(options->key_password));
    const char *const texts[] = { options->ca_file, options->ca_dir, options->key_password,
                                  options->key_log };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        mem_free((void *)(uintptr_t)texts[i]);
    mem_free(tls);
}

/* --- Options ---------------------------------------------------------------------------------- */

/* Replaces a text by a copy of it. Returns whether that could be done. */
static bool own(const char **text)
{
    if (*text)
        *text = mem_strdup(*text);
    else
        return true;
    return *text != NULL;
}

static int copy_protocols(tepal_tls *tls, const char *const *names)
{
    size_t len = 0;
    for (size_t i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        if (n == 0 || n > MAX_PROTOCOL || len + 1 + n > MAX_PROTOCOLS)
            return tls_fail(tls, -EINVAL, "the name of an application protocol is malformed");
        len += 1 + n;
    }
    tls->alpn = mem_alloc(len + 1);
    if (!tls->alpn)
        return -ENOMEM;
    unsigned char *p = tls->alpn;
    for (size_t i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        *p++ = (unsigned char)n;
        memcpy(p, names[i], n);
        p += n;
    }
    tls->alpn_len = (unsigned)len;
    return 0;
}

static int add_files(tepal_tls *tls, const char *certificate, const char *key)
{
    struct tls_files *files = mem_resize(tls->files, (tls->n_files + 1) * sizeof(*files));
    if (!files)
        return -ENOMEM;
    tls->files = files;
    files += tls->n_files;
    files->certificate = mem_strdup(certificate);
    files->key = mem_strdup(key ? key : certificate);
    if (!files->certificate || !files->key) {
        free_files(files);
        return -ENOMEM;
    }
    tls->n_files++;
    return 0;
}

static int check_options(tepal_tls *tls)
{
    const tepal_tls_options *o = &tls->options;
    bool verifies = o->verify_client || o->verify_client_if_any;
    if (o->server && !o->certificate)
        return tls_fail(tls, -EINVAL, "a server needs a certificate");
    if (!o->certificate && o->key)
        return tls_fail(tls, -EINVAL, "a key without a certificate");
    if (o->server && verifies && !o->ca_file && !o->ca_dir && !o->verify)
        return tls_fail(tls, -EINVAL, "to verify clients ca_file or ca_dir must be given");
    if (o->server && o->verify && !verifies)
        return tls_fail(tls, -EINVAL, "verify of a server needs verify_client or _if_any");
    if (o->server && o->insecure_no_verify)
        return tls_fail(tls, -EINVAL, "insecure_no_verify is for clients");
    if (!o->server && verifies)
        return tls_fail(tls, -EINVAL, "verify_client is for servers");
    if (o->min_version != 0 && o->min_version != TEPAL_TLS_1_2 && o->min_version != TEPAL_TLS_1_3)
        return tls_fail(tls, -EINVAL, "unknown TLS version");
    if (o->session_lifetime_ms < MIN_LIFETIME_MS || o->session_lifetime_ms > MAX_LIFETIME_MS)
        return tls_fail(tls, -EINVAL, "session_lifetime_ms is not from 1 minute to 7 days");
    return 0;
}

/* Copies the options, whose texts are still the caller's. */
static int take_options(tepal_tls *tls)
{
    tepal_tls_options *o = &tls->options;
    if (o->session_lifetime_ms == 0)
        o->session_lifetime_ms = DEFAULT_LIFETIME_MS;
    int rc = check_options(tls);
    bool owned = own(&o->ca_file);
    owned &= own(&o->ca_dir);
    owned &= own(&o->key_password);
    owned &= own(&o->key_log);
    if (rc == 0 && !owned)
        rc = -ENOMEM;
    if (rc == 0 && o->certificate)
        rc = add_files(tls, o->certificate, o->key);
    if (rc == 0 && o->alpn && o->alpn[0])
        rc = copy_protocols(tls, o->alpn);
    o->certificate = o->key = NULL;
    o->alpn = NULL;
    return rc;
}

/* --- The public calls ------------------------------------------------------------------------- */

/* What is trusted, or who we are, is not what it was: sessions of before vouch for nothing. */
static int end_sessions(tepal_tls *tls, const unsigned char *digest)
{
    int rc = tls->options.server ? tls_tickets_change(&tls->tickets, digest) : 0;
    if (rc < 0)
        return tls_no_memory(tls);
    tls_sessions_clear(&tls->sessions);
    tls->generation++;
    return 0;
}

static int read_sites(tepal_tls *tls)
{
    struct tls_sites sites;
    int rc = tls_sites_read(&sites, tls);
    if (rc == 0 && memcmp(sites.digest, tls->sites.digest, TLS_DIGEST_SIZE) != 0)
        rc = end_sessions(tls, sites.digest);
    if (rc < 0) {
        tls_sites_clear(&sites);
        return rc;
    }
    tls_sites_clear(&tls->sites);
    tls->sites = sites;
    return 0;
}

tepal_tls *tepal_tls_new(const tepal_tls_options *options)
{
    tepal_tls *tls = mem_zalloc(sizeof(*tls));
    if (!tls)
        return NULL;
    tls->n_users = 1;
    tls->key_log = -1;
    int rc = options ? room_check("tepal_tls_new", options->later, sizeof(options->later)) : 0;
    if (rc == 0 && options)
        tls->options = *options;
    list_init(&tls->sessions.hosts);
    tls->sessions.max_hosts =
        tls->options.max_sessions ? tls->options.max_sessions : DEFAULT_MAX_SESSIONS;
    tls->bio_method = tls_bio_method_new();
    if (rc == 0)
        rc = take_options(tls);
    if (rc == 0 && !tls->bio_method)
        rc = -ENOMEM;
    if (rc == 0)
        rc = tls_key_log_open(tls);
    if (rc == 0 && tls->options.server)
        rc = tls_tickets_init(&tls->tickets, tls->options.session_lifetime_ms);
    if (rc == 0)
        rc = read_sites(tls);
    tls->status = rc;
    if (rc < 0 && !tls->text[0])
        tls_fail(tls, rc, "%s", tepal_code_text(rc));
    return tls;
}

int tepal_tls_error(const tepal_tls *tls)
{
    return tls ? tls->status : -ENOMEM;
}

const char *tepal_tls_error_text(const tepal_tls *tls)
{
    if (!tls)
        return tepal_code_text(-ENOMEM);
    return tls->text[0] ? tls->text : NULL;
}

int tepal_tls_add_certificate(tepal_tls *tls, const char *certificate, const char *key)
{
    int rc = tepal_tls_error(tls);
    if (rc < 0)
        return rc;
    if (!tls->options.server)
        return tls_fail(tls, -EINVAL, "a client has one certificate");
    if (!certificate)
        return tls_fail(tls, -EINVAL, "the name of the certificate's file is missing");
    rc = add_files(tls, certificate, key);
    if (rc < 0)
        return tls_fail(tls, rc, "%s", tepal_code_text(rc));
    rc = tls_sites_add(&tls->sites, tls, &tls->files[tls->n_files - 1]);
    if (rc < 0)
        free_files(&tls->files[--tls->n_files]);
    return rc;
}

int tepal_tls_reload(tepal_tls *tls)
{
    int rc = tepal_tls_error(tls);
    return rc < 0 ? rc : read_sites(tls);
}

void tepal_tls_close(tepal_tls *tls)
{
    if (tls)
        tls_release(tls);
}
