/* The program's own check of a peer's certificate: what it is shown, and what becomes of its word.
 */
#include "async/loop.h"
#include "base/mem.h"
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { MAX_REASON = 200 };

/* All that a check is shown, in memory that is given back after it. */
struct shown {
    tepal_tls_peer peer;
    tepal_bytes *chain;
    char **names;
    size_t n_names;
    char *subject;
};

/* --- What is shown ---------------------------------------------------------------------------- */

static char *take_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *copy = len >= 0 ? mem_strndup(len > 0 ? data : "", (size_t)len) : NULL;
    BIO_free(bio);
    return copy;
}

char *tls_subject_of(const X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        return take_text(bio);
    BIO_free(bio);
    return NULL;
}

/* Returns a copy of a text in a certificate, behind a prefix. */
static char *prefixed(const char *prefix, const ASN1_STRING *text)
{
    size_t len = (size_t)ASN1_STRING_length(text), start = strlen(prefix);
    char *copy = mem_alloc(start + len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, prefix, start);
    memcpy(copy + start, ASN1_STRING_get0_data(text), len);
    copy[start + len] = '\0';
    return copy;
}

static char *address_text(const ASN1_OCTET_STRING *ip)
{
    char text[64] = "IP:";
    size_t len = (size_t)ASN1_STRING_length(ip);
    tepal_addr addr = { .family = len == 4 ? AF_INET : AF_INET6 };
    memcpy(addr.ip, ASN1_STRING_get0_data(ip), len);
    tepal_addr_text(&addr, text + 3, sizeof(text) - 3);
    return mem_strdup(text);
}

/* Whether a name is of a kind that is shown, and can be one: a NUL in it would hide what stands
 * behind. */
static bool is_shown(const GENERAL_NAME *name)
{
    bool is_text = name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI;
    if (!is_text && name->type != GEN_IPADD)
        return false;
    int len = ASN1_STRING_length(name->d.ia5);
    if (!is_text)
        return len == 4 || len == 16;
    return len == 0 || !memchr(ASN1_STRING_get0_data(name->d.ia5), '\0', (size_t)len);
}

/* Returns NULL when memory is short. */
static char *name_text(const GENERAL_NAME *name)
{
    if (name->type == GEN_IPADD)
        return address_text(name->d.iPAddress);
    return prefixed(name->type == GEN_DNS     ? "DNS:"
                    : name->type == GEN_EMAIL ? "email:"
                                              : "URI:",
                    name->d.ia5);
}

static bool show_names(struct shown *shown, const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int n = names ? sk_GENERAL_NAME_num(names) : 0;
    shown->names = mem_zalloc(((size_t)n + 1) * sizeof(*shown->names));
    bool done = shown->names != NULL;
    for (int i = 0; i < n && done; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (!is_shown(name))
            continue;
        char *text = name_text(name);
        done = text != NULL;
        shown->names[shown->n_names] = text;
        shown->n_names += done;
    }
    GENERAL_NAMES_free(names);
    shown->peer.names = (const char *const *)shown->names;
    return done;
}

/* n certificates, of which the first one is the peer's own. */
static bool show_chain(struct shown *shown, X509 *own, STACK_OF(X509) * chain)
{
    int n = chain ? sk_X509_num(chain) : 1;
    shown->chain = mem_zalloc((size_t)n * sizeof(*shown->chain));
    for (int i = 0; i < n && shown->chain; i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(chain ? sk_X509_value(chain, i) : own, &der);
        if (len <= 0)
            return false;
        shown->chain[shown->peer.n_chain++] = (tepal_bytes){ (char *)der, (size_t)len };
    }
    shown->peer.chain = shown->chain;
    return shown->chain != NULL;
}

static bool digest_key(uint8_t *out, const X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool done = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
    return done;
}

/* Fills in what is shown of a certificate; chain NULL: it is all there is. */
static bool show_certificate(struct shown *shown, X509 *own, STACK_OF(X509) * chain)
{
    tepal_tls_peer *peer = &shown->peer;
    shown->subject = tls_subject_of(own);
    peer->subject = shown->subject;
    return peer->subject && X509_digest(own, EVP_sha256(), peer->sha256, NULL) &&
           digest_key(peer->key_sha256, own) && show_names(shown, own) &&
           show_chain(shown, own, chain);
}

static void clear_shown(struct shown *shown)
{
    for (size_t i = 0; i < shown->peer.n_chain; i++)
        OPENSSL_free((void *)(uintptr_t)shown->chain[i].data);
    for (size_t i = 0; i < shown->n_names; i++)
        mem_free(shown->names[i]);
    mem_free(shown->chain);
    mem_free(shown->names);
    mem_free(shown->subject);
}

/* --- The check -------------------------------------------------------------------------------- */

/* Calls the program's function. It runs as if in no task: one that waited here would leave OpenSSL
 * in the middle of a call. Returns 0 or its error. */
static int call_verify(struct tls_conn *t, tepal_tls_peer *peer)
{
    const tepal_tls_options *options = &t->tls->options;
    struct tepal_task *task = loop_current->current;
    loop_current->current = NULL;
    int rc = options->verify(peer, (void *)(uintptr_t)options->verify_arg);
    loop_current->current = task;
    ERR_clear_error(); /* of what it has done by itself */
    return rc < 0 ? rc : 0;
}

static int ask_program(struct tls_conn *t, struct shown *shown, X509 *own, STACK_OF(X509) * chain)
{
    shown->peer.host = t->host;
    int rc = show_certificate(shown, own, chain) ? call_verify(t, &shown->peer) : -ENOMEM;
    if (rc < 0 && !shown->peer.resumed) {
        const char *reason = shown->peer.reason ? shown->peer.reason : tepal_code_text(rc);
        t->refused = rc;
        t->refusal = mem_strndup(reason, strnlen(reason, MAX_REASON));
    }
    clear_shown(shown);
    return rc;
}

/* Whether the program's check is all there is. */
static bool decides_alone(const tepal_tls_options *options)
{
    return options->server ? !options->ca_file && !options->ca_dir : options->insecure_no_verify;
}

/* In place of OpenSSL's own verification. Returns 1 when the certificate is accepted. */
static int on_verify(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_conn *t = SSL_get_app_data(ssl);
    const tepal_tls_options *options = &t->tls->options;
    int verified = X509_verify_cert(store);
    if (verified < 0 || (verified == 0 && !decides_alone(options)))
        return verified;
    struct shown shown = { .peer.verified = verified && (options->server || t->host) };
    if (!verified)
        shown.peer.problem = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    else if (!shown.peer.verified)
        shown.peer.problem = "there is no host that it must be for";
    STACK_OF(X509) *chain =
        verified ? X509_STORE_CTX_get0_chain(store) : X509_STORE_CTX_get0_untrusted(store);
    if (ask_program(t, &shown, X509_STORE_CTX_get0_cert(store), chain) == 0)
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

void tls_verify_use(SSL_CTX *ctx, const tepal_tls *tls)
{
    if (tls->options.verify)
        SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
}

bool tls_verify_session(struct tls_conn *t, SSL_SESSION *session, bool verified)
{
    X509 *own = SSL_SESSION_get0_peer(session);
    if (!t->tls->options.verify || !own)
        return true;
    struct shown shown = { .peer = { .verified = verified, .resumed = true } };
    if (!verified)
        shown.peer.problem = "it was not verified in the first handshake";
    return ask_program(t, &shown, own, NULL) == 0;
}
