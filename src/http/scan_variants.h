/* The scanners that may exist on an architecture, for scan.c to choose from. Private. */
#ifndef TEPAL_HTTP_SCAN_VARIANTS_H
#define TEPAL_HTTP_SCAN_VARIANTS_H

#include "http/scan.h"

extern const struct http_scan http_scan_scalar;

/* Each variant is empty (name is NULL) where the architecture has no such instructions. */
extern const struct http_scan http_scan_sse42;
extern const struct http_scan http_scan_avx2;
extern const struct http_scan http_scan_neon;

/* The scalar scans, octet by octet by the table, which the others use for the last octets. */
size_t http_scan_value_scalar(const char *p, size_t len);
size_t http_scan_target_scalar(const char *p, size_t len);
size_t http_scan_plain_scalar(const char *p, size_t len);
size_t http_scan_token_scalar(const char *p, size_t len);

/* Tokens are found by two table look-ups (shuffles), with the low and with the high half of an
 * octet: it is a tchar when both entries share a bit. Each of the rows 0x20 to 0x70 of ASCII has a
 * bit in HTTP_SCAN_TOKEN_HIGH; HTTP_SCAN_TOKEN_LOW has the bits of the rows in which the column
 * is a tchar. */
#define HTTP_SCAN_TOKEN_HIGH 0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0
#define HTTP_SCAN_TOKEN_LOW 58, 63, 62, 63, 63, 63, 63, 63, 62, 62, 61, 21, 52, 21, 61, 28

#endif
