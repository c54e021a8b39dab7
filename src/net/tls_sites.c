/* What a context has read from its files: an SSL_CTX for each set of names, with the settings that
 * all of them share. */
#include "base/mem.h"
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* With TLS 1.2: what Mozilla's "intermediate" configuration has, without DHE. */
static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

/* At least 112 bits: RSA keys of 2048 bits, no SHA-1. */
enum { SECURITY_LEVEL = 2 };

/* --- What OpenSSL calls us for ---------------------------------------------------------------- */

static tepal_tls *tls_of(SSL *ssl)
{
    return ((struct tls_conn *)SSL_get_app_data(ssl))->tls;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *ctx = name ? tls_sites_find(&tls_of(ssl)->sites, name) : NULL;
    return ctx && SSL_set_SSL_CTX(ssl, ctx) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* The name in the server_name extension (RFC 6066, section 3), or NULL: a list, of which the first
 * entry is a host's. OpenSSL will look closer. */
static const char *read_server_name(SSL *ssl, char *out)
{
    const unsigned char *data;
    size_t len;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &len) || len < 5 ||
        data[2] != TLSEXT_NAMETYPE_host_name)
        return NULL;
    size_t name_len = (size_t)data[3] << 8 | data[4];
    if (name_len > len - 5 || name_len > TLS_MAX_NAME)
        return NULL;
    memcpy(out, data + 5, name_len);
    out[name_len] = '\0';
    return out;
}

/* Before anything else is looked at: which site the client asks for, since a session of another one
 * is not to be resumed. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    char name[TLS_MAX_NAME + 1];
    struct tls_conn *t = SSL_get_app_data(ssl);
    const char *host = read_server_name(ssl, name);
    t->site = host ? tls_sites_number(&t->tls->sites, host) : 0;
    if (!host || !t->tls->options.verify)
        return SSL_CLIENT_HELLO_SUCCESS;
    mem_free(t->host); /* of a first hello */
    t->host = mem_strdup(host);
    if (t->host)
        return SSL_CLIENT_HELLO_SUCCESS;
    ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
    return SSL_CLIENT_HELLO_ERROR;
}

static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *offered, unsigned offered_len, void *arg)
{
    (void)arg;
    const tepal_tls *tls = tls_of(ssl);
    unsigned char *chosen;
    int rc =
        SSL_select_next_proto(&chosen, out_len, tls->alpn, tls->alpn_len, offered, offered_len);
    *out = chosen;
    /* RFC 7301 section 3.2. */
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A session that resumes another one is good for no longer than that. One that began before what is
 * trusted has changed is worth nothing. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_conn *t = SSL_get_app_data(ssl);
    if (!t->session_key || t->generation != t->tls->generation ||
        !SSL_SESSION_is_resumable(session))
        return 0;
    int64_t until = SSL_session_reused(ssl)
                        ? t->session_until
                        : tls_good_until(ssl, t->tls->options.session_lifetime_ms);
    return tls_sessions_keep(&t->tls->sessions, t->session_key, session, until);
}

/* --- Settings --------------------------------------------------------------------------------- */

static bool set_versions(SSL_CTX *ctx, const tepal_tls_options *options)
{
    int min = options->min_version == TEPAL_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_get_security_level(ctx) < SECURITY_LEVEL)
        SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT |
                                   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    return SSL_CTX_set_min_proto_version(ctx, min) && SSL_CTX_set_max_proto_version(ctx, 0) &&
           SSL_CTX_set_cipher_list(ctx, ciphers_12) && SSL_CTX_set_ciphersuites(ctx, ciphers_13) &&
           SSL_CTX_set1_groups_list(ctx, groups);
}

static bool set_sessions(SSL_CTX *ctx, const tepal_tls_options *options)
{
    static const unsigned char id[] = "tepal";
    int mode = SSL_SESS_CACHE_OFF;
    if (options->no_resumption) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    } else if (!options->server) {
        mode = SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL;
        SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    } else if (!tls_tickets_use(ctx)) {
        return false;
    }
    SSL_CTX_set_timeout(ctx, (long)(options->session_lifetime_ms / 1000));
    SSL_CTX_set_session_cache_mode(ctx, mode);
    return SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
}

static int verify_mode(const tepal_tls_options *options)
{
    if (!options->server)
        return options->insecure_no_verify && !options->verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (options->verify_client)
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    return options->verify_client_if_any ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
}

/* A context with all but certificates; NULL when memory is short. */
static SSL_CTX *new_ctx(const struct tls_sites *sites, const tepal_tls *tls)
{
    STACK_OF(X509_NAME) *authorities = sites->authorities;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    STACK_OF(X509_NAME) *names = authorities ? SSL_dup_CA_list(authorities) : NULL;
    if (!ctx || !set_versions(ctx, &tls->options) || !set_sessions(ctx, &tls->options) ||
        (authorities && !names)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    /* An idle connection has no buffers; reading takes all that the socket has. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_verify(ctx, verify_mode(&tls->options), NULL);
    tls_verify_use(ctx, tls);
    tls_key_log_use(ctx, tls);
    SSL_CTX_set1_cert_store(ctx, sites->trusted);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_default_passwd_cb(ctx, tls_on_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)tls->options.key_password);
    if (tls->options.server) {
        SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
        if (tls->alpn)
            SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
    } else if (tls->alpn && SSL_CTX_set_alpn_protos(ctx, tls->alpn, tls->alpn_len) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* --- Names ------------------------------------------------------------------------------------ */

static void lower(char *out, const char *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] >= 'A' && in[i] <= 'Z' ? (char)(in[i] + 'a' - 'A') : in[i];
    out[len] = '\0';
}

/* Remembers a name, and that it is the name of the certificate that is being read. */
static int add_name(struct tls_sites *sites, const char *name, size_t len)
{
    if (len == 0 || len > TLS_MAX_NAME || memchr(name, '\0', len))
        return 0; /* nobody can ask for it */
    char **names = mem_resize(sites->names, (sites->n_names + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    sites->names = names;
    char *copy = mem_alloc(len + 1);
    if (!copy)
        return -ENOMEM;
    lower(copy, name, len);
    names[sites->n_names++] = copy;
    return 0;
}

/* Appends the DNS names of a certificate to the names. */
static int add_names(struct tls_sites *sites, X509 *certificate)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int rc = 0, n = all ? sk_GENERAL_NAME_num(all) : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS)
            rc = add_name(sites, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                          (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(all);
    return rc;
}

static size_t index_of(const struct tls_sites *sites, const char *name)
{
    return (size_t)(uintptr_t)map_get(&sites->by_name, name, strlen(name));
}

/* Maps the names from the first one on to the newest site, but for those that are taken. There is
 * room for them. */
static void map_names(struct tls_sites *sites, size_t first)
{
    void *index = (void *)(uintptr_t)sites->n_sites;
    for (size_t i = first; i < sites->n_names; i++)
        if (index_of(sites, sites->names[i]) == 0)
            (void)map_set(&sites->by_name, sites->names[i], strlen(sites->names[i]), index);
}

static void drop_names(struct tls_sites *sites, size_t first)
{
    while (sites->n_names > first)
        mem_free(sites->names[--sites->n_names]);
}

size_t tls_sites_number(const struct tls_sites *sites, const char *name)
{
    char text[TLS_MAX_NAME + 1];
    size_t len = strlen(name);
    if (len > TLS_MAX_NAME)
        return 0;
    lower(text, name, len);
    size_t index = index_of(sites, text);
    char *dot = strchr(text, '.');
    if (index == 0 && dot && dot > text) {
        dot[-1] = '*';
        index = index_of(sites, dot - 1);
    }
    return index;
}

SSL_CTX *tls_sites_find(const struct tls_sites *sites, const char *name)
{
    size_t number = tls_sites_number(sites, name);
    return number > 0 ? sites->sites[number - 1].ctx : NULL;
}

/* --- Sites ------------------------------------------------------------------------------------ */

/* The site of an earlier certificate that has the same names, from the first one on, and no key of
 * this kind; NULL if there is none. */
static struct tls_site *find_mate(struct tls_sites *sites, size_t first, int kind)
{
    if (first == sites->n_names)
        return NULL;
    size_t index = index_of(sites, sites->names[first]);
    for (size_t i = first + 1; i < sites->n_names; i++)
        if (index_of(sites, sites->names[i]) != index)
            return NULL;
    if (index == 0)
        return NULL;
    struct tls_site *site = &sites->sites[index - 1];
    bool has_room = site->kinds[TLS_KEY_KINDS - 1] == 0;
    for (int i = 0; i < TLS_KEY_KINDS; i++)
        if (site->kinds[i] == kind)
            return NULL;
    return has_room ? site : NULL;
}

/* Makes a site of the context, for the names from the first one on. */
static int add_site(struct tls_sites *sites, SSL_CTX *ctx, int kind, size_t first)
{
    struct tls_site *all = mem_resize(sites->sites, (sites->n_sites + 1) * sizeof(*all));
    if (!all)
        return -ENOMEM;
    sites->sites = all;
    int rc = map_reserve(&sites->by_name, sites->n_names - first);
    if (rc < 0)
        return rc;
    all[sites->n_sites++] = (struct tls_site){ .ctx = ctx, .kinds = { kind } };
    map_names(sites, first);
    return 0;
}

/* Gives the certificate of the context to a site that has its names already. It takes all of it or
 * nothing. */
static int join_site(struct tls_site *mate, SSL_CTX *ctx, int kind)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(ctx, &chain);
    if (SSL_CTX_use_cert_and_key(mate->ctx, SSL_CTX_get0_certificate(ctx),
                                 SSL_CTX_get0_privatekey(ctx), chain, 0) != 1)
        return -ENOMEM; /* the two have been found to belong together already */
    int i = 0;
    while (mate->kinds[i] != 0)
        i++;
    mate->kinds[i] = kind;
    SSL_CTX_free(ctx);
    return 0;
}

static bool digest_one(unsigned char *digest, const X509 *certificate)
{
    unsigned char one[TLS_DIGEST_SIZE];
    return X509_digest(certificate, EVP_sha256(), one, NULL) && tls_digest_add(digest, one);
}

/* Makes the digest depend on the certificates of the context. */
static bool digest_chain(unsigned char *digest, const SSL_CTX *ctx)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs((SSL_CTX *)(uintptr_t)ctx, &chain);
    if (!digest_one(digest, SSL_CTX_get0_certificate(ctx)))
        return false;
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (!digest_one(digest, sk_X509_value(chain, i)))
            return false;
    return true;
}

static void warn_of_chain(const SSL_CTX *ctx, const char *path)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs((SSL_CTX *)(uintptr_t)ctx, &chain);
    tls_warn_of_times(path, SSL_CTX_get0_certificate(ctx));
    for (int i = 0; i < sk_X509_num(chain); i++)
        tls_warn_of_times(path, sk_X509_value(chain, i));
}

/* Makes a site of the context, which has its certificate, or gives that to the site with the same
 * names. Returns 0 or an error, and then nothing has changed. */
static int settle(struct tls_sites *sites, SSL_CTX *ctx, bool has_names)
{
    unsigned char digest[TLS_DIGEST_SIZE];
    memcpy(digest, sites->digest, sizeof(digest));
    size_t first = sites->n_names;
    int rc = digest_chain(digest, ctx) ? 0 : -ENOMEM;
    if (rc == 0 && has_names)
        rc = add_names(sites, SSL_CTX_get0_certificate(ctx));
    int kind = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(ctx));
    struct tls_site *mate = rc == 0 ? find_mate(sites, first, kind) : NULL;
    if (rc == 0)
        rc = mate ? join_site(mate, ctx, kind) : add_site(sites, ctx, kind, first);
    if (rc < 0)
        drop_names(sites, first);
    else
        memcpy(sites->digest, digest, sizeof(digest));
    return rc;
}

int tls_sites_add(struct tls_sites *sites, tepal_tls *tls, const struct tls_files *files)
{
    ERR_clear_error();
    SSL_CTX *ctx = new_ctx(sites, tls);
    if (!ctx)
        return tls_no_memory(tls);
    int rc = tls_pem_use(ctx, tls, files);
    if (rc == 0) {
        warn_of_chain(ctx, tls_source_name(files->certificate, TLS_CERTIFICATE_TEXT));
        rc = settle(sites, ctx, tls->options.server);
    }
    if (rc < 0)
        SSL_CTX_free(ctx);
    return rc == -ENOMEM ? tls_no_memory(tls) : rc;
}

static int read_all(struct tls_sites *sites, tepal_tls *tls)
{
    int rc = tls_trust_read(sites, tls);
    for (size_t i = 0; i < tls->n_files && rc == 0; i++)
        rc = tls_sites_add(sites, tls, &tls->files[i]);
    if (rc == 0 && tls->n_files == 0) {
        SSL_CTX *ctx = new_ctx(sites, tls);
        if (!ctx || add_site(sites, ctx, 0, 0) < 0) {
            SSL_CTX_free(ctx);
            return tls_no_memory(tls);
        }
    }
    return rc;
}

int tls_sites_read(struct tls_sites *sites, tepal_tls *tls)
{
    *sites = (struct tls_sites){ 0 };
    ERR_clear_error();
    int rc = read_all(sites, tls);
    if (rc < 0)
        tls_sites_clear(sites);
    return rc;
}

void tls_sites_clear(struct tls_sites *sites)
{
    for (size_t i = 0; i < sites->n_sites; i++)
        SSL_CTX_free(sites->sites[i].ctx);
    for (size_t i = 0; i < sites->n_names; i++)
        mem_free(sites->names[i]);
    map_clear(&sites->by_name);
    X509_STORE_free(sites->trusted);
    sk_X509_NAME_pop_free(sites->authorities, X509_NAME_free);
    mem_free(sites->names);
    mem_free(sites->sites);
    *sites = (struct tls_sites){ 0 };
}
