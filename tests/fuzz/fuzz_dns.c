/* Fuzzes the answers of name servers. The first octet of the input chooses the kind of record that
 * is looked for, the second one how many of them are wanted at most. */
#include "fuzz.h"

#include "net/dns_host.h"
#include "net/dns_message.h"

#include <tepal/base.h>

static void check_name(const struct dns_record *record)
{
    char lower[DNS_MAX_NAME + 2];
    REQUIRE(strlen(record->text) == record->len);
    REQUIRE(record->len == 0 || dns_host_normalise(record->text, lower) == 0);
    REQUIRE(record->len == 0 || record->text[record->len - 1] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_PTR, DNS_TXT, DNS_SRV };
    struct dns_records *records;
    if (size < 2)
        return 0;
    enum dns_type type = types[data[0] % 3];
    char *message = fuzz_copy(data + 2, size - 2);
    int rc = dns_message_read(&records, (const uint8_t *)message, size - 2, type, data[1]);
    free(message);
    REQUIRE(rc == 0 || rc == TEPAL_EDNS || rc == TEPAL_ENONAME);
    if (rc < 0)
        return 0;
    REQUIRE(records->n > 0 && records->ttl <= INT32_MAX);
    REQUIRE(type != DNS_SRV || records->n <= data[1]);
    for (size_t i = 0; i < records->n; i++) {
        const struct dns_record *record = &records->all[i];
        REQUIRE(record->text[record->len] == '\0');
        REQUIRE(fuzz_inside(record->text, record->len, (const char *)records, records->size));
        if (type != DNS_TXT)
            check_name(record);
    }
    dns_records_release(records);
    return 0;
}
