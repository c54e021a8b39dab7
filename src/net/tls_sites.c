/* What a context has read from its files: an SSL_CTX for each set of names, with the settings that
 * all of them share. */
#include "base/mem.h"
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

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
    return ((struct tls_stream *)SSL_get_app_data(ssl))->tls;
}

/* Without this the program's user would be asked on the terminal. */
static int on_password(char *out, int size, int writing, void *arg)
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

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *ctx = name ? tls_sites_find(&tls_of(ssl)->sites, name) : NULL;
    return ctx && SSL_set_SSL_CTX(ssl, ctx) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
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

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_stream *t = SSL_get_app_data(ssl);
    return t->session_key && SSL_SESSION_is_resumable(session) &&
           tls_sessions_keep(&t->tls->sessions, t->session_key, session);
}

/* --- Settings --------------------------------------------------------------------------------- */

static int no_memory(tepal_tls *tls)
{
    return tls_fail(tls, -ENOMEM, "out of memory");
}

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
    }
    SSL_CTX_set_session_cache_mode(ctx, mode);
    return SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
}

static int verify_mode(const tepal_tls_options *options)
{
    if (!options->server)
        return options->insecure_no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
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
    SSL_CTX_set1_cert_store(ctx, sites->trusted);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_default_passwd_cb(ctx, on_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)tls->options.key_password);
    if (tls->options.server) {
        SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
        if (tls->alpn)
            SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
    } else if (tls->alpn && SSL_CTX_set_alpn_protos(ctx, tls->alpn, tls->alpn_len) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* --- Files ------------------------------------------------------------------------------------ */

static int check_readable(tepal_tls *tls, const char *path)
{
    int rc = access(path, R_OK) < 0 ? -errno : 0;
    return rc < 0 ? tls_fail(tls, rc, "%s: %s", path, strerror(-rc)) : 0;
}

/* What OpenSSL says about a file that could be read. */
static int bad_file(tepal_tls *tls, const char *path)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return no_memory(tls);
    return tls_fail(tls, TEPAL_ECERTIFICATE, "%s: %s", path, reason ? reason : "unusable");
}

/* Whom to trust. Returns 0 or an error. */
static int read_trusted(struct tls_sites *sites, tepal_tls *tls)
{
    const tepal_tls_options *o = &tls->options;
    X509_STORE *store = sites->trusted = X509_STORE_new();
    if (!store)
        return no_memory(tls);
    int rc = o->ca_file ? check_readable(tls, o->ca_file) : 0;
    if (rc == 0 && o->ca_dir)
        rc = check_readable(tls, o->ca_dir);
    if (rc < 0)
        return rc;
    if (o->ca_file && !X509_STORE_load_file(store, o->ca_file))
        return bad_file(tls, o->ca_file);
    if (o->ca_dir && !X509_STORE_load_path(store, o->ca_dir))
        return bad_file(tls, o->ca_dir);
    bool by_default = !o->server && !o->insecure_no_verify && !o->ca_file && !o->ca_dir;
    if (by_default && !X509_STORE_set_default_paths(store))
        return no_memory(tls);
    /* Servers tell their clients whose certificates they accept. */
    if (o->server && o->ca_file) {
        sites->authorities = SSL_load_client_CA_file(o->ca_file);
        if (!sites->authorities)
            return bad_file(tls, o->ca_file);
    }
    return 0;
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

/* Maps the names from the first one on to the newest site, but for those that are taken. */
static int map_names(struct tls_sites *sites, size_t first)
{
    void *index = (void *)(uintptr_t)sites->n_sites;
    for (size_t i = first; i < sites->n_names; i++)
        if (index_of(sites, sites->names[i]) == 0 &&
            map_set(&sites->by_name, sites->names[i], strlen(sites->names[i]), index) < 0)
            return -ENOMEM;
    return 0;
}

SSL_CTX *tls_sites_find(const struct tls_sites *sites, const char *name)
{
    char text[TLS_MAX_NAME + 1];
    size_t len = strlen(name);
    if (len > TLS_MAX_NAME)
        return NULL;
    lower(text, name, len);
    size_t index = index_of(sites, text);
    char *dot = strchr(text, '.');
    if (index == 0 && dot && dot > text) {
        dot[-1] = '*';
        index = index_of(sites, dot - 1);
    }
    return index > 0 ? sites->sites[index - 1].ctx : NULL;
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

static int add_site(struct tls_sites *sites, SSL_CTX *ctx, int kind)
{
    struct tls_site *all = mem_resize(sites->sites, (sites->n_sites + 1) * sizeof(*all));
    if (!all)
        return -ENOMEM;
    sites->sites = all;
    all[sites->n_sites++] = (struct tls_site){ .ctx = ctx, .kinds = { kind } };
    return 0;
}

/* Lets a context show the certificate in these files. Returns 0 or an error. */
static int use_files(SSL_CTX *ctx, tepal_tls *tls, const struct tls_files *files)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
        return bad_file(tls, files->certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return bad_file(tls, files->key);
    return 0;
}

/* Makes a site of the context, whose certificate's names are those from the first one on, or gives
 * its certificate to the site that has these names. */
static int settle(struct tls_sites *sites, tepal_tls *tls, SSL_CTX *ctx,
                  const struct tls_files *files, size_t first)
{
    EVP_PKEY *key = SSL_CTX_get0_privatekey(ctx);
    int kind = key ? EVP_PKEY_get_base_id(key) : 0;
    struct tls_site *mate = find_mate(sites, first, kind);
    int rc = mate ? use_files(mate->ctx, tls, files) : add_site(sites, ctx, kind);
    if (rc < 0)
        return rc;
    if (!mate)
        return map_names(sites, first);
    int i = 0;
    while (mate->kinds[i] != 0)
        i++;
    mate->kinds[i] = kind;
    SSL_CTX_free(ctx);
    return 0;
}

int tls_sites_add(struct tls_sites *sites, tepal_tls *tls, const struct tls_files *files)
{
    ERR_clear_error();
    int rc = check_readable(tls, files->certificate);
    if (rc == 0)
        rc = check_readable(tls, files->key);
    if (rc < 0)
        return rc;
    SSL_CTX *ctx = new_ctx(sites, tls);
    if (!ctx)
        return no_memory(tls);
    rc = use_files(ctx, tls, files);
    size_t first = sites->n_names, n_sites = sites->n_sites;
    if (rc == 0 && tls->options.server)
        rc = add_names(sites, SSL_CTX_get0_certificate(ctx));
    if (rc == 0)
        rc = settle(sites, tls, ctx, files, first);
    if (rc < 0 && sites->n_sites == n_sites) {
        SSL_CTX_free(ctx);
        while (sites->n_names > first)
            mem_free(sites->names[--sites->n_names]);
    }
    return rc == -ENOMEM ? no_memory(tls) : rc;
}

/* Sessions outlive the reading of new files. */
static int copy_ticket_keys(struct tls_sites *to, const struct tls_sites *from)
{
    unsigned char keys[128];
    SSL_CTX *ctx = to->sites[0].ctx;
    long size = SSL_CTX_get_tlsext_ticket_keys(ctx, NULL, 0);
    if (from->n_sites == 0)
        return 0;
    if (size > (long)sizeof(keys) ||
        !SSL_CTX_get_tlsext_ticket_keys(from->sites[0].ctx, keys, size) ||
        !SSL_CTX_set_tlsext_ticket_keys(ctx, keys, size))
        return -ENOMEM;
    OPENSSL_cleanse(keys, sizeof(keys));
    return 0;
}

static int read_all(struct tls_sites *sites, tepal_tls *tls)
{
    int rc = read_trusted(sites, tls);
    for (size_t i = 0; i < tls->n_files && rc == 0; i++)
        rc = tls_sites_add(sites, tls, &tls->files[i]);
    if (rc == 0 && tls->n_files == 0) {
        SSL_CTX *ctx = new_ctx(sites, tls);
        if (!ctx || add_site(sites, ctx, 0) < 0) {
            SSL_CTX_free(ctx);
            return no_memory(tls);
        }
    }
    if (rc == 0 && copy_ticket_keys(sites, &tls->sites) < 0)
        rc = no_memory(tls);
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
