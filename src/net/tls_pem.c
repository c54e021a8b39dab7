/* Certificates and keys as PEM: in a file, or in memory as text that the program has given. */
#include "base/mem.h"
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

bool tls_is_text(const char *source)
{
    return source && strstr(source, "-----BEGIN ");
}

const char *tls_source_name(const char *source, const char *otherwise)
{
    return tls_is_text(source) ? otherwise : source;
}

int tls_on_password(char *out, int size, int writing, void *arg)
{
    const char *password = arg;
    size_t len = password ? strlen(password) : 0;
    (void)writing;
    if (len > (size_t)size)
        return -1;
    if (len > 0)
        memcpy(out, password, len);
    return (int)len;
}

void tls_forget_source(char *source)
{
    if (tls_is_text(source))
        OPENSSL_cleanse(source, strlen(source));
    mem_free(source);
}

static BIO *open_pem(const char *source)
{
    return tls_is_text(source) ? BIO_new_mem_buf(source, -1) : BIO_new_file(source, "re");
}

/* Whether reading has ended since there is nothing more. */
static bool is_at_pem_end(void)
{
    unsigned long error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* The first certificate is our own, the others lead to the root. */
static bool use_chain(SSL_CTX *ctx, BIO *bio)
{
    pem_password_cb *fn = SSL_CTX_get_default_passwd_cb(ctx);
    void *arg = SSL_CTX_get_default_passwd_cb_userdata(ctx);
    X509 *own = PEM_read_bio_X509_AUX(bio, NULL, fn, arg), *next;
    bool done = own && SSL_CTX_use_certificate(ctx, own) == 1;
    X509_free(own);
    while (done && (next = PEM_read_bio_X509(bio, NULL, fn, arg))) {
        done = SSL_CTX_add0_chain_cert(ctx, next);
        if (!done)
            X509_free(next);
    }
    done = done && is_at_pem_end();
    if (done)
        ERR_clear_error();
    return done;
}

static bool use_key(SSL_CTX *ctx, BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, SSL_CTX_get_default_passwd_cb(ctx),
                                            SSL_CTX_get_default_passwd_cb_userdata(ctx));
    bool done = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return done;
}

/* Lets the context use one source. Returns 0 or an error. */
static int use_pem(SSL_CTX *ctx, tepal_tls *tls, const char *source, const char *name,
                   bool (*use)(SSL_CTX *ctx, BIO *bio))
{
    int rc = tls_check_readable(tls, source);
    if (rc < 0)
        return rc;
    BIO *bio = open_pem(source);
    bool done = bio && use(ctx, bio);
    BIO_free(bio);
    return done ? 0 : tls_bad_file(tls, tls_source_name(source, name));
}

int tls_pem_use(SSL_CTX *ctx, tepal_tls *tls, const struct tls_files *files)
{
    int rc = tls_check_readable(tls, files->key); /* before the certificate is looked at */
    if (rc == 0)
        rc = use_pem(ctx, tls, files->certificate, TLS_CERTIFICATE_TEXT, use_chain);
    return rc < 0 ? rc : use_pem(ctx, tls, files->key, "the key in memory", use_key);
}

/* --- Authorities ------------------------------------------------------------------------------ */

static bool trust_certificate(struct tls_sites *sites, X509 *certificate)
{
    X509_NAME *name = sites->authorities ? X509_NAME_dup(X509_get_subject_name(certificate)) : NULL;
    if (sites->authorities && !(name && sk_X509_NAME_push(sites->authorities, name))) {
        X509_NAME_free(name);
        return false;
    }
    return X509_STORE_add_cert(sites->trusted, certificate);
}

int tls_pem_trust(struct tls_sites *sites, tepal_tls *tls, const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    STACK_OF(X509_INFO) *all =
        bio ? PEM_X509_INFO_read_bio(bio, NULL, tls_on_password, NULL) : NULL;
    if (tls->options.server)
        sites->authorities = sk_X509_NAME_new_null();
    bool done = all && (!tls->options.server || sites->authorities);
    int n = 0;
    for (int i = 0; i < sk_X509_INFO_num(all) && done; i++) {
        const X509_INFO *info = sk_X509_INFO_value(all, i);
        if (info->x509)
            done = trust_certificate(sites, info->x509);
        if (info->crl && done)
            done = X509_STORE_add_crl(sites->trusted, info->crl);
        n += info->x509 || info->crl;
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    BIO_free(bio);
    return done && n > 0 ? 0 : tls_bad_file(tls, "the authorities in memory");
}
