/* The tickets by which a server lets clients resume their sessions: the keys that they are
 * encrypted with, and until when one is good.
 *
 * Each key is derived from a secret, and the secret of the next key from that of the present one,
 * by a one-way function: so processes that were forked from one change their keys alike without a
 * word between them, and who gets hold of a key cannot open what was sealed by earlier ones. When
 * what the context trusts changes, the secret does, too, and no former ticket can be opened. */
#include "async/loop/loop.h"
#include "net/tls/tls.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

/* --- Keys ------------------------------------------------------------------------------------- */

static int64_t period_now(const struct tls_tickets *tickets)
{
    struct timespec now;
    if (loop_current)
        return loop_current->now / tickets->lifetime_ms;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000) / tickets->lifetime_ms;
}

/* Writes a digest of the secret and the text. */
static bool derive(unsigned char *out, const unsigned char *secret, const void *text, size_t len)
{
    unsigned n;
    return HMAC(EVP_sha256(), secret, TLS_DIGEST_SIZE, text, len, out, &n) != NULL;
}

/* Makes the key of the present secret. */
static bool make_key(const struct tls_tickets *tickets, struct tls_ticket_key *key)
{
    unsigned char name[TLS_DIGEST_SIZE];
    if (!derive(name, tickets->secret, "name", 4) ||
        !derive(key->cipher, tickets->secret, "cipher", 6) ||
        !derive(key->mac, tickets->secret, "mac", 3))
        return false;
    memcpy(key->name, name, sizeof(key->name));
    return true;
}

static bool change_secret(struct tls_tickets *tickets, const void *text, size_t len)
{
    unsigned char next[TLS_DIGEST_SIZE];
    if (!derive(next, tickets->secret, text, len))
        return false;
    memcpy(tickets->secret, next, sizeof(next));
    OPENSSL_cleanse(next, sizeof(next));
    return true;
}

/* Goes on to the key of the present period. */
static bool keep_up(struct tls_tickets *tickets)
{
    int64_t period = period_now(tickets);
    while (tickets->period < period) {
        struct tls_ticket_key current;
        if (!change_secret(tickets, "next", 4) || !make_key(tickets, &current))
            return false;
        tickets->previous = tickets->current;
        tickets->has_previous = true;
        tickets->current = current;
        tickets->period++;
    }
    return true;
}

int tls_tickets_init(struct tls_tickets *tickets, int64_t lifetime_ms)
{
    tickets->lifetime_ms = lifetime_ms;
    tickets->period = period_now(tickets);
    if (RAND_priv_bytes(tickets->secret, sizeof(tickets->secret)) != 1)
        return -EAGAIN; /* the system has no entropy, or OpenSSL no memory for it */
    return make_key(tickets, &tickets->current) ? 0 : -ENOMEM;
}

int tls_tickets_change(struct tls_tickets *tickets, const unsigned char *digest)
{
    struct tls_tickets changed = *tickets;
    changed.has_previous = false;
    bool done = keep_up(&changed) && change_secret(&changed, digest, TLS_DIGEST_SIZE) &&
                make_key(&changed, &changed.current);
    changed.has_previous = false;
    if (done)
        *tickets = changed;
    OPENSSL_cleanse(&changed, sizeof(changed));
    return done ? 0 : -ENOMEM;
}

/* --- Sealing and opening ---------------------------------------------------------------------- */

static bool set_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
    char digest[] = "SHA256";
    unsigned char octets[sizeof(key->mac)];
    memcpy(octets, key->mac, sizeof(octets));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, octets, sizeof(octets)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool done = EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(octets, sizeof(octets));
    return done;
}

/* A connection that is older than what is trusted now must not get a ticket that outlives it; it
 * gets one that nobody can open. */
static int seal(const struct tls_conn *t, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct tls_ticket_key key = t->tls->tickets.current;
    if (t->generation != t->tls->generation && RAND_priv_bytes((void *)&key, sizeof(key)) != 1)
        return -1;
    memcpy(name, key.name, sizeof(key.name));
    bool done = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
                EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) &&
                set_mac(mac, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    return done ? 1 : -1;
}

/* Returns 0 for a ticket that we have no key for. 2: a new one is to be given for it, with TLS 1.3
 * for each, since they are to be used once (RFC 8446, section C.4). */
static int open_sealed(const SSL *ssl, const struct tls_tickets *tickets, const unsigned char *name,
                       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct tls_ticket_key *key = &tickets->current;
    if (memcmp(name, key->name, sizeof(key->name)) != 0) {
        key = &tickets->previous;
        if (!tickets->has_previous || memcmp(name, key->name, sizeof(key->name)) != 0)
            return 0;
    }
    if (!EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) || !set_mac(mac, key))
        return -1;
    return SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                  EVP_MAC_CTX *mac, int seals)
{
    struct tls_conn *t = SSL_get_app_data(ssl);
    if (!keep_up(&t->tls->tickets))
        return -1;
    return seals ? seal(t, name, iv, cipher, mac)
                 : open_sealed(ssl, &t->tls->tickets, name, iv, cipher, mac);
}

/* --- What is in a ticket besides the session -------------------------------------------------- */

/* Until when the session may be resumed, as of its full handshake: resuming does not make it any
 * longer, however often it is done. And with whom: not with another site of this server, whose
 * certificate the client has not seen. */
struct ticket_note {
    int64_t until; /* seconds since 1970 */
    uint64_t site;
    uint64_t verified; /* whether the client's certificate led to an authority */
};

static int on_sealing(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls_conn *t = SSL_get_app_data(ssl);
    if (SSL_session_reused(ssl))
        return 1; /* the session has it already */
    struct ticket_note note = { tls_good_until(ssl, t->tls->tickets.lifetime_ms), t->site,
                                SSL_get_verify_result(ssl) == X509_V_OK };
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &note, sizeof(note));
}

static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    (void)name;
    (void)name_len;
    (void)arg;
    struct tls_conn *t = SSL_get_app_data(ssl);
    void *data;
    size_t len;
    struct ticket_note note;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!SSL_SESSION_get0_ticket_appdata(session, &data, &len) || len != sizeof(note))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    memcpy(&note, data, sizeof(note));
    if (note.until <= (int64_t)time(NULL) || note.site != t->site)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!tls_verify_session(t, session, note.verified))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

bool tls_tickets_use(SSL_CTX *ctx)
{
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key) &&
           SSL_CTX_set_session_ticket_cb(ctx, on_sealing, on_opened, NULL);
}
