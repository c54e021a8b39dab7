/* Scanning octet by octet, by the table of octet classes. It owns the results that every other
 * variant must give, and never reads two octets at once. */
#include "http/octet.h"
#include "http/scan_variants.h"

size_t http_scan_value_scalar(const char *p, size_t len)
{
    return octet_span(p, len, OCTET_VALUE);
}

size_t http_scan_target_scalar(const char *p, size_t len)
{
    return octet_span(p, len, OCTET_TARGET);
}

size_t http_scan_plain_scalar(const char *p, size_t len)
{
    return octet_span(p, len, OCTET_PATH);
}

size_t http_scan_token_scalar(const char *p, size_t len)
{
    return octet_span(p, len, OCTET_TOKEN);
}

const struct http_scan http_scan_scalar = {
    "scalar",
    http_scan_value_scalar,
    http_scan_target_scalar,
    http_scan_plain_scalar,
    http_scan_token_scalar,
};
