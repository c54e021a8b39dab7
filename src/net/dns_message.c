/* Answers of DNS (RFC 1035, section 4): the octets of whoever has answered. Each message is walked
 * twice: first to see whether it is well-formed and how much room its records need, then to fill
 * that. */
#include "net/dns_message.h"

#include "base/mem.h"
#include "net/dns_host.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <tepal/base.h>

enum {
    HEAD_SIZE = 12,
    CLASS_IN = 1,
    POINTER = 0xc0,
    MAX_POINTERS = 128, /* in one name: as many as it can have labels */
    NAME_SIZE = DNS_MAX_NAME + 2,
};

/* --- Records ---------------------------------------------------------------------------------- */

static struct dns_records *new_records(size_t n, size_t n_text)
{
    size_t size = sizeof(struct dns_records) + n * sizeof(struct dns_record) + n_text;
    struct dns_records *records = mem_zalloc(size);
    if (records) {
        records->n_users = 1;
        records->size = size;
    }
    return records;
}

struct dns_records *dns_records_hold(struct dns_records *records)
{
    records->n_users++;
    return records;
}

void dns_records_release(struct dns_records *records)
{
    if (records && --records->n_users == 0)
        mem_free(records);
}

struct dns_records *dns_records_of_name(const char *name)
{
    size_t len = strlen(name);
    struct dns_records *records = new_records(1, len + 1);
    if (!records)
        return NULL;
    char *text = (char *)(records->all + 1);
    memcpy(text, name, len + 1);
    records->all[0] = (struct dns_record){ .len = len, .text = text };
    records->n = 1;
    return records;
}

/* --- Reading ---------------------------------------------------------------------------------- */

struct message {
    const uint8_t *data;
    size_t len, at;
};

/* What one walk has found, and where it puts that. */
struct found {
    struct dns_records *records; /* NULL in the first walk */
    char *text;                  /* where the next one goes */
    size_t n, n_text, max;
    uint32_t ttl;
};

static bool skip(struct message *m, size_t n)
{
    bool there = n <= m->len - m->at;
    m->at += there ? n : 0;
    return there;
}

static bool read16(struct message *m, uint16_t *out)
{
    if (!skip(m, 2))
        return false;
    *out = (uint16_t)(m->data[m->at - 2] << 8 | m->data[m->at - 1]);
    return true;
}

static bool read32(struct message *m, uint32_t *out)
{
    uint16_t high, low;
    if (!read16(m, &high) || !read16(m, &low))
        return false;
    *out = (uint32_t)high << 16 | low;
    return true;
}

/* A name that is read; see section 4.1.4 for the pointers. */
struct name_text {
    char text[NAME_SIZE]; /* without a dot at its end */
    size_t len;
    bool odd; /* it has octets that no host's name has */
};

static bool add_label(struct name_text *name, const uint8_t *label, size_t len)
{
    if (name->len + len + 1 > NAME_SIZE - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        name->odd |= !dns_host_has_char((char)label[i]);
    memcpy(name->text + name->len, label, len);
    name->len += len;
    name->text[name->len++] = '.';
    return true;
}

/* Each pointer leads to before the part that it ends. */
static bool read_name(struct message *m, struct name_text *name)
{
    struct message part = *m;
    size_t begin = m->at;
    int n_pointers = 0;
    *name = (struct name_text){ .len = 0 };
    while (part.at < part.len) {
        unsigned len = part.data[part.at++];
        size_t label = part.at;
        if ((len & POINTER) == POINTER) {
            if (!skip(&part, 1))
                return false;
            size_t to = (size_t)(len & ~(unsigned)POINTER) << 8 | part.data[label];
            m->at = n_pointers > 0 ? m->at : part.at;
            if (to >= begin || ++n_pointers > MAX_POINTERS)
                return false;
            begin = part.at = to;
        } else if (len == 0) {
            m->at = n_pointers > 0 ? m->at : part.at;
            name->len -= name->len > 0;
            name->text[name->len] = '\0';
            return true;
        } else if (len > DNS_MAX_LABEL || !skip(&part, len) ||
                   !add_label(name, part.data + label, len)) {
            return false;
        }
    }
    return false;
}

/* --- Records of each kind --------------------------------------------------------------------- */

/* Counts a record whose text is len octets long, and keeps it. Returns where its text goes, or
 * NULL. */
static char *add_record(struct found *found, struct dns_record record)
{
    char *text = NULL;
    if (found->records) {
        record.text = text = found->text;
        found->text += record.len + 1; /* a NUL, as all of it is zero */
        found->records->all[found->n] = record;
    }
    found->n++;
    found->n_text += record.len + 1;
    return text;
}

/* The strings of a text, one behind the other (RFC 7208, section 3.3, for one that uses them). */
static bool read_text(struct message *m, size_t end, struct found *found)
{
    size_t len = 0;
    struct message strings = *m;
    while (m->at < end) {
        size_t size = m->data[m->at];
        if (m->at + 1 + size > end)
            return false;
        m->at += 1 + size;
        len += size;
    }
    char *out = add_record(found, (struct dns_record){ .len = len });
    while (out && strings.at < end) {
        size_t size = strings.data[strings.at++];
        memcpy(out, strings.data + strings.at, size);
        out += size;
        strings.at += size;
    }
    return true;
}

/* The name at the end of a record. One that no host can have is as good as none; the root is not.
 */
static bool read_target(struct message *m, struct dns_record record, struct found *found)
{
    struct name_text name;
    char lower[DNS_MAX_NAME + 2];
    if (!read_name(m, &name))
        return false;
    bool is_host = !name.odd && (name.len == 0 || dns_host_normalise(name.text, lower) == 0);
    if (!is_host || found->n >= found->max)
        return true;
    record.len = name.len;
    char *out = add_record(found, record);
    if (out)
        memcpy(out, name.text, name.len);
    return true;
}

static bool read_data(struct message *m, size_t end, enum dns_type type, struct found *found)
{
    struct dns_record record = { 0 };
    if (type == DNS_TXT)
        return read_text(m, end, found);
    if (type == DNS_SRV &&
        !(read16(m, &record.priority) && read16(m, &record.weight) && read16(m, &record.port)))
        return false;
    return read_target(m, record, found) && m->at == end;
}

static bool read_record(struct message *m, enum dns_type wanted, struct found *found)
{
    struct name_text owner;
    uint16_t type, class, size;
    uint32_t ttl;
    if (!read_name(m, &owner) || !read16(m, &type) || !read16(m, &class) || !read32(m, &ttl) ||
        !read16(m, &size) || size > m->len - m->at)
        return false;
    size_t end = m->at + size;
    if (ttl > INT32_MAX) /* RFC 2181, section 8 */
        ttl = 0;
    found->ttl = ttl < found->ttl ? ttl : found->ttl;
    if (type == (uint16_t)wanted && class == CLASS_IN && !read_data(m, end, wanted, found))
        return false;
    m->at = end;
    return true;
}

/* Walks through the message. False when it is malformed. */
static bool walk(struct message m, enum dns_type type, struct found *found)
{
    uint16_t n_questions, n_answers;
    struct name_text name;
    if (m.len < HEAD_SIZE)
        return false;
    m.at = 4; /* behind the id and the flags */
    (void)(read16(&m, &n_questions) && read16(&m, &n_answers));
    m.at = HEAD_SIZE;
    for (; n_questions > 0; n_questions--)
        if (!read_name(&m, &name) || !skip(&m, 4))
            return false;
    for (; n_answers > 0; n_answers--)
        if (!read_record(&m, type, found))
            return false;
    return true;
}

int dns_message_read(struct dns_records **out, const uint8_t *data, size_t len, enum dns_type type,
                     size_t max)
{
    struct message m = { data, len, 0 };
    struct found found = { .max = type == DNS_SRV ? max : 1, .ttl = UINT32_MAX };
    if (!walk(m, type, &found))
        return TEPAL_EDNS;
    if (found.n == 0)
        return TEPAL_ENONAME;
    struct dns_records *records = new_records(found.n, found.n_text);
    if (!records)
        return -ENOMEM;
    records->n = found.n;
    records->ttl = found.ttl;
    found.records = records;
    found.text = (char *)(records->all + found.n);
    found.n = found.n_text = 0;
    (void)walk(m, type, &found);
    *out = records;
    return 0;
}
