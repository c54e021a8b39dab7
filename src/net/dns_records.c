/* The public calls for what DNS tells besides addresses: reverse, services, texts. */
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/addr.h"
#include "net/dns.h"
#include "net/dns_host.h"
#include "net/dns_services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tepal_dns_texts {
    struct dns_records *records;
    size_t next;
};

/* What all of the calls begin with. Returns 0 or an error. */
static int begin_query(const char *call, const tepal_dns_query_options *options)
{
    struct tepal_task *task = task_need(call);
    int rc = task_may_wait(loop_current, task);
    if (rc == 0 && options)
        rc = room_check(call, options->later, sizeof(options->later));
    return rc;
}

/* Looks the records of a name up. Returns 0 and the records, which the caller releases, or an
 * error. */
static int find_records(struct dns_records **out, const char *name, enum dns_type type,
                        const tepal_dns_query_options *options)
{
    char text[DNS_MAX_NAME + 2];
    struct dns_lookup lookup = { 0 };
    int rc = dns_host_normalise(name, text);
    if (rc < 0)
        return rc;
    if (dns_host_is_local(text)) /* RFC 6761, section 6.3: nobody is asked */
        return TEPAL_ENONAME;
    size_t len = strlen(text);
    if (!(options && options->search) && text[len - 1] != '.')
        memcpy(text + len, ".", 2);
    rc = dns_lookup_records(&lookup, text, type);
    *out = lookup.records;
    return rc;
}

/* --- Reverse ---------------------------------------------------------------------------------- */

/* Writes the address without port and interface. IPv4 in IPv6 is IPv4. Returns 0 or -EINVAL. */
static int write_address(char *out, size_t size, const tepal_addr *addr)
{
    struct addr internal;
    if (addr->family != AF_INET && addr->family != AF_INET6)
        return -EINVAL;
    tepal_addr bare = *addr;
    bare.port = 0;
    bare.scope = 0;
    int rc = addr_from_public(&internal, &bare);
    if (rc < 0)
        return rc;
    bare = addr_to_public(&internal);
    tepal_addr_text(&bare, out, size);
    return 0;
}

int tepal_dns_reverse(char *name, size_t size, const tepal_addr *addr,
                      const tepal_dns_query_options *options)
{
    static const char call[] = "tepal_dns_reverse";
    char text[TEPAL_ADDR_TEXT_SIZE];
    struct dns_lookup lookup = { 0 };
    if (!name || !addr)
        misuse(call, name ? "the address is NULL" : "name is NULL");
    int rc = begin_query(call, options);
    if (rc == 0)
        rc = write_address(text, sizeof(text), addr);
    if (rc == 0)
        rc = dns_lookup_records(&lookup, text, DNS_PTR);
    if (rc < 0)
        return rc;
    const struct dns_record *first = &lookup.records->all[0];
    if (first->len == 0)
        rc = TEPAL_ENONAME; /* the root has no address */
    else if (first->len >= size)
        rc = -ENAMETOOLONG;
    else
        memcpy(name, first->text, first->len + 1);
    dns_records_release(lookup.records);
    return rc;
}

/* --- Services --------------------------------------------------------------------------------- */

static void write_service(tepal_dns_service *out, const struct dns_record *place)
{
    *out = (tepal_dns_service){ .port = place->port,
                                .priority = place->priority,
                                .weight = place->weight };
    memcpy(out->host, place->text, place->len + 1);
}

/* Writes the places, ordered. Returns how many, or an error. */
static int write_services(tepal_dns_service *out, size_t max, const struct dns_records *records)
{
    size_t n = 0;
    const struct dns_record **places = mem_alloc(records->n * sizeof(*places));
    if (!places)
        return -ENOMEM;
    for (size_t i = 0; i < records->n; i++)
        if (records->all[i].len > 0)
            places[n++] = &records->all[i];
    dns_services_order(places, n, arc4random_uniform);
    max = n < max ? n : max;
    for (size_t i = 0; i < max; i++)
        write_service(&out[i], places[i]);
    mem_free(places);
    return n > 0 ? (int)max : TEPAL_ENOSERVICE;
}

int tepal_dns_services(tepal_dns_service *services, size_t max, const char *name,
                       const tepal_dns_query_options *options)
{
    static const char call[] = "tepal_dns_services";
    struct dns_records *records;
    if (!name || (!services && max > 0))
        misuse(call, name ? "services is NULL" : "the name is NULL");
    int rc = begin_query(call, options);
    if (rc == 0 && max == 0)
        rc = -EINVAL;
    if (rc == 0)
        rc = find_records(&records, name, DNS_SRV, options);
    if (rc < 0)
        return rc;
    rc = write_services(services, max, records);
    dns_records_release(records);
    return rc;
}

/* --- Texts ------------------------------------------------------------------------------------ */

int tepal_dns_texts_open(tepal_dns_texts **out, const char *name,
                         const tepal_dns_query_options *options)
{
    static const char call[] = "tepal_dns_texts_open";
    struct dns_records *records;
    need_place(call, out);
    if (!name)
        misuse(call, "the name is NULL");
    *out = NULL;
    int rc = begin_query(call, options);
    if (rc == 0)
        rc = find_records(&records, name, DNS_TXT, options);
    if (rc < 0)
        return rc;
    tepal_dns_texts *texts = mem_alloc(sizeof(*texts));
    if (!texts) {
        dns_records_release(records);
        return -ENOMEM;
    }
    *texts = (tepal_dns_texts){ .records = records };
    *out = texts;
    return (int)records->n;
}

int tepal_dns_texts_next(tepal_dns_texts *texts, tepal_bytes *text)
{
    if (!texts || !text)
        misuse("tepal_dns_texts_next", texts ? "text is NULL" : "the texts are NULL");
    if (texts->next == texts->records->n)
        return 0;
    const struct dns_record *record = &texts->records->all[texts->next++];
    *text = (tepal_bytes){ record->text, record->len };
    return 1;
}

void tepal_dns_texts_close(tepal_dns_texts *texts)
{
    if (!texts)
        return;
    dns_records_release(texts->records);
    mem_free(texts);
}
