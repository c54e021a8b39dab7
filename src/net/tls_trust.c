/* Whom a context trusts: the authorities, read from their files. All of them are read at once: a
 * folder that was searched during handshakes would hold the loop up, and what is trusted would
 * change without a word. */
#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <time.h>

/* Whether "openssl rehash" has made this name: eight digits of a hash, a dot, "r" before the number
 * of a list of revoked certificates, a number. */
static int is_hashed(const struct dirent *entry)
{
    enum { DIGITS = 8 };
    const char *p = entry->d_name;
    if (strspn(p, "0123456789abcdef") != DIGITS || p[DIGITS] != '.')
        return 0;
    p += DIGITS + 1;
    p += *p == 'r';
    return *p != '\0' && p[strspn(p, "0123456789")] == '\0';
}

/* The hashes of the subjects that are in the store. A folder is not asked for these, as in OpenSSL:
 * the system's has, as a rule, what its file has. */
struct subjects {
    unsigned long *hashes;
    int n;
};

static bool list_subjects(struct subjects *subjects, X509_STORE *store)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    int n = sk_X509_OBJECT_num(all);
    subjects->hashes = mem_alloc(((size_t)n + 1) * sizeof(*subjects->hashes));
    for (int i = 0; i < n && subjects->hashes; i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (certificate)
            subjects->hashes[subjects->n++] = X509_subject_name_hash(certificate);
    }
    return subjects->hashes != NULL;
}

static bool is_listed(const struct subjects *subjects, const char *name)
{
    unsigned long hash = strtoul(name, NULL, 16);
    bool is_certificate = !strchr(name, 'r');
    for (int i = 0; i < subjects->n && is_certificate; i++)
        if (subjects->hashes[i] == hash)
            return true;
    return false;
}

/* A file of the folder that cannot be used makes nobody trusted; the others are. */
static void load_hashed(X509_LOOKUP *lookup, const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat file;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
        return;
    ERR_clear_error();
    bool regular = stat(path, &file) < 0 || S_ISREG(file.st_mode);
    if (regular && X509_load_cert_crl_file(lookup, path, X509_FILETYPE_PEM) > 0)
        return;
    const char *reason = regular ? ERR_reason_error_string(ERR_peek_error()) : TLS_NOT_REGULAR;
    tepal_logf(TEPAL_LOG_WARNING, "%s is not trusted: %s", path, reason ? reason : "unusable");
    ERR_clear_error();
}

/* Returns 0 or an error; a folder that there is not is one. */
static int load_dir(struct tls_sites *sites, tepal_tls *tls, const char *dir)
{
    struct dirent **entries;
    struct subjects known = { 0 };
    X509_LOOKUP *lookup = X509_STORE_add_lookup(sites->trusted, X509_LOOKUP_file());
    if (!lookup || !list_subjects(&known, sites->trusted))
        return tls_no_memory(tls);
    int n = scandir(dir, &entries, is_hashed, alphasort);
    int rc = n < 0 ? tls_fail(tls, -errno, "%s: %s", dir, strerror(errno)) : 0;
    for (int i = 0; i < n; i++) {
        if (!is_listed(&known, entries[i]->d_name))
            load_hashed(lookup, dir, entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    mem_free(known.hashes);
    return rc;
}

static const char *path_from(const char *variable, const char *otherwise)
{
    const char *path = getauxval(AT_SECURE) ? NULL : getenv(variable);
    return path ? path : otherwise;
}

/* The authorities of the system, as OpenSSL finds them: a file, and a list of folders. Most systems
 * have the same in both, and few have only one of them. */
static int load_default(struct tls_sites *sites, tepal_tls *tls)
{
    const char *file = path_from(X509_get_default_cert_file_env(), X509_get_default_cert_file());
    const char *dirs = path_from(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    (void)X509_STORE_load_file(sites->trusted, file);
    for (const char *p = dirs; *p; p += strspn(p, ":")) {
        char dir[PATH_MAX];
        size_t len = strcspn(p, ":");
        int n = snprintf(dir, sizeof(dir), "%.*s", (int)(len < PATH_MAX ? len : PATH_MAX), p);
        int rc = len > 0 && n < PATH_MAX ? load_dir(sites, tls, dir) : 0;
        if (rc == -ENOMEM)
            return rc;
        p += len;
    }
    tls->text[0] = '\0'; /* a folder that there is not */
    ERR_clear_error();
    if (sk_X509_OBJECT_num(X509_STORE_get0_objects(sites->trusted)) == 0)
        tepal_logf(TEPAL_LOG_WARNING,
                   "no server will be trusted: there are no authorities in %s or "
                   "%s",
                   file, dirs);
    return 0;
}

static int load(struct tls_sites *sites, tepal_tls *tls)
{
    const tepal_tls_options *o = &tls->options;
    bool has_text = tls_is_text(o->ca_file), has_file = o->ca_file && !has_text;
    int rc = has_file ? tls_check_readable(tls, o->ca_file) : 0;
    if (rc == 0 && has_text)
        rc = tls_pem_trust(sites, tls, o->ca_file);
    if (rc < 0)
        return rc;
    if (has_file && !X509_STORE_load_file(sites->trusted, o->ca_file))
        return tls_bad_file(tls, o->ca_file);
    if (o->ca_dir)
        rc = load_dir(sites, tls, o->ca_dir);
    else if (!o->server && !o->insecure_no_verify && !o->ca_file)
        rc = load_default(sites, tls);
    if (rc < 0)
        return rc;
    /* Servers tell their clients whose certificates they accept. */
    if (o->server && has_file) {
        sites->authorities = SSL_load_client_CA_file(o->ca_file);
        if (!sites->authorities)
            return tls_bad_file(tls, o->ca_file);
    }
    return 0;
}

/* Lets the digest depend on all that is in the store. */
static int digest_all(struct tls_sites *sites)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(sites->trusted);
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(all, i);
        X509_CRL *revoked = X509_OBJECT_get0_X509_CRL(object);
        unsigned char one[TLS_DIGEST_SIZE];
        int ok = revoked ? X509_CRL_digest(revoked, EVP_sha256(), one, NULL)
                         : X509_digest(X509_OBJECT_get0_X509(object), EVP_sha256(), one, NULL);
        if (!ok || !tls_digest_add(sites->digest, one))
            return -ENOMEM;
    }
    return 0;
}

int tls_trust_read(struct tls_sites *sites, tepal_tls *tls)
{
    sites->trusted = X509_STORE_new();
    if (!sites->trusted)
        return tls_no_memory(tls);
    int rc = load(sites, tls);
    return rc == 0 && digest_all(sites) < 0 ? tls_no_memory(tls) : rc;
}

bool tls_digest_add(unsigned char *digest, const unsigned char *more)
{
    unsigned char both[2 * TLS_DIGEST_SIZE];
    memcpy(both, digest, TLS_DIGEST_SIZE);
    memcpy(both + TLS_DIGEST_SIZE, more, TLS_DIGEST_SIZE);
    return EVP_Digest(both, sizeof(both), digest, NULL, EVP_sha256(), NULL);
}

/* --- Time ------------------------------------------------------------------------------------- */

/* Seconds since 1970; INT64_MAX for what cannot be read, which OpenSSL does not accept either. */
static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : INT64_MAX;
}

int64_t tls_good_until(SSL *ssl, int64_t lifetime_ms)
{
    int64_t until = (int64_t)time(NULL) + lifetime_ms / 1000;
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = seconds_of(X509_get0_notAfter(sk_X509_value(chain, i)));
        until = end < until ? end : until;
    }
    return until;
}

static void warn_of_time(const char *path, const X509 *certificate, const char *what,
                         const ASN1_TIME *time)
{
    struct tm tm = { 0 };
    char subject[128] = "", date[32] = "";
    X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
    if (ASN1_TIME_to_tm(time, &tm))
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
    tepal_logf(TEPAL_LOG_WARNING, "%s: the certificate %s %s %s", path, subject, what, date);
}

void tls_warn_of_times(const char *path, const X509 *certificate)
{
    int64_t now = (int64_t)time(NULL);
    const ASN1_TIME *from = X509_get0_notBefore(certificate);
    const ASN1_TIME *until = X509_get0_notAfter(certificate);
    if (seconds_of(from) > now)
        warn_of_time(path, certificate, "is not valid before", from);
    if (seconds_of(until) < now)
        warn_of_time(path, certificate, "has expired, on", until);
}
