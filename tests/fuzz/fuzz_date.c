/* Fuzzes HTTP dates: what is taken can be written and is taken again as the same. The first 8
 * octets of the input are the time that it is. */
#include "fuzz.h"

#include "http/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now, unix_time = 0, again = 0;
    char text[HTTP_DATE_LEN + 1];
    if (size < sizeof now)
        return 0;
    memcpy(&now, data, sizeof now);
    http_date_write(text, now);
    REQUIRE(strlen(text) == HTTP_DATE_LEN);
    REQUIRE(http_date_parse(text, HTTP_DATE_LEN, 0, &again) == 0);
    char *in = fuzz_copy(data + sizeof now, size - sizeof now);
    if (http_date_parse(in, size - sizeof now, now, &unix_time) == 0) {
        REQUIRE(size - sizeof now >= 24 && size - sizeof now <= 33);
        http_date_write(text, unix_time);
        REQUIRE(http_date_parse(text, HTTP_DATE_LEN, now, &again) == 0);
        REQUIRE(unix_time < 0 ? again == 0
                              : again == unix_time || unix_time == INT64_C(253402300800));
    }
    free(in);
    return 0;
}
