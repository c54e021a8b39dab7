/* Certificates for tests, made when they are needed, so that none of them ever expires (but for the
 * one that has). The files lie in a folder of their own that is removed at the end. */
#ifndef TEPAL_TESTS_UNIT_NET_CERTIFICATES_H
#define TEPAL_TESTS_UNIT_NET_CERTIFICATES_H

#include "../check.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

struct identity {
    const char *name;   /* the subject's CN; the files are NAME.pem (all), NAME.crt and NAME.key */
    const char *issuer; /* the name of an earlier one; NULL: itself */
    const char *names;  /* as OpenSSL writes them: "DNS:a.example,IP:127.0.0.1" */
    const char *kind;   /* of key: default "EC", or "ED25519" */
    bool is_authority;
    int from_h, until_h; /* hours from now; default -1 and 24 */
};

enum { MAX_IDENTITIES = 32 };
static struct made {
    char name[64], issuer[64];
    X509 *certificate;
    EVP_PKEY *key;
} made[MAX_IDENTITIES];
static char certificates[] = "/tmp/tepal-certificates-XXXXXX";

/* The path of a file, valid for the next 8 calls. */
static inline const char *certificate_file(const char *name, const char *suffix)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s.%s", certificates, name, suffix);
    return path;
}

static inline struct made *find_identity(const char *name)
{
    for (int i = 0; i < MAX_IDENTITIES && made[i].certificate; i++)
        if (strcmp(made[i].name, name) == 0)
            return &made[i];
    return NULL;
}

static inline void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_true(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static inline void write_files(const struct made *m)
{
    static const char *const suffixes[] = { "pem", "crt", "key" };
    const struct made *issuer = find_identity(m->issuer);
    for (int i = 0; i < 3; i++) {
        FILE *file = fopen(certificate_file(m->name, suffixes[i]), "w");
        assert_non_null(file);
        if (i != 2)
            assert_true(PEM_write_X509(file, m->certificate));
        if (i != 2 && issuer && issuer->issuer[0])
            assert_true(PEM_write_X509(file, issuer->certificate));
        if (i != 1)
            assert_true(PEM_write_PrivateKey(file, m->key, NULL, NULL, 0, NULL, NULL));
        fclose(file);
    }
}

static inline EVP_PKEY *new_key(const char *kind)
{
    if (kind)
        return EVP_PKEY_Q_keygen(NULL, NULL, kind);
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

/* Makes a certificate and its key, and writes their files; again for a name that there was. */
static inline void make_identity(const struct identity *id)
{
    static long serial = 1;
    struct made *m = find_identity(id->name), *issuer;
    if (!m)
        for (m = made; m->certificate; m++)
            assert_true(m < &made[MAX_IDENTITIES - 1]);
    X509_free(m->certificate);
    EVP_PKEY_free(m->key);
    snprintf(m->name, sizeof(m->name), "%s", id->name);
    snprintf(m->issuer, sizeof(m->issuer), "%s", id->issuer ? id->issuer : "");
    X509 *c = m->certificate = X509_new();
    m->key = new_key(id->kind);
    assert_true(c && m->key);
    issuer = id->issuer ? find_identity(id->issuer) : m;
    assert_non_null(issuer);
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c), (id->from_h ? id->from_h : -1) * 3600L);
    X509_gmtime_adj(X509_getm_notAfter(c), (id->until_h ? id->until_h : 24) * 3600L);
    X509_set_pubkey(c, m->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               (const unsigned char *)id->name, -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer->certificate));
    extend(c, issuer->certificate, NID_basic_constraints,
           id->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(c, issuer->certificate, NID_subject_key_identifier, "hash");
    if (id->names)
        extend(c, issuer->certificate, NID_subject_alt_name, id->names);
    bool own_digest = EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_ED25519;
    assert_true(X509_sign(c, issuer->key, own_digest ? NULL : EVP_sha256()) > 0);
    write_files(m);
}

/* The folder, and what most tests need: the authority "ca", "server" for localhost, a.example and
 * addresses, "client". */
static inline int make_certificates(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(certificates));
    make_identity(&(struct identity){ .name = "ca", .is_authority = true });
    make_identity(&(struct identity){ .name = "server",
                                      .issuer = "ca",
                                      .names = "DNS:localhost,DNS:a.example,IP:127.0.0.1,IP:::1" });
    make_identity(&(struct identity){ .name = "client", .issuer = "ca" });
    return 0;
}

static inline int remove_certificates(void **state)
{
    (void)state;
    for (int i = 0; i < MAX_IDENTITIES && made[i].certificate; i++) {
        X509_free(made[i].certificate);
        EVP_PKEY_free(made[i].key);
        made[i].certificate = NULL;
    }
    DIR *dir = opendir(certificates);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(certificates);
    return 0;
}

#endif
