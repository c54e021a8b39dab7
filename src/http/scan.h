/* Finding the octets that matter in message heads, 16 or 32 at a time where the CPU can.
 *
 * Every variant gives identical results; tests compare them. The best one is chosen once, at run
 * time, by what the CPU has (AVX2, SSE4.2, NEON), and is called through http_scan.
 */
#ifndef TEPAL_HTTP_SCAN_H
#define TEPAL_HTTP_SCAN_H

#include <stddef.h>

struct http_scan {
    const char *name; /* "scalar", "sse4.2", "avx2", "neon" */
    /* The first octet in p[0..len) that no field value may have: a control octet but tab, or DEL.
     * len when there is none. */
    size_t (*value_end)(const char *p, size_t len);
    /* The first octet that no request target may have: control octets, space, DEL. */
    size_t (*target_end)(const char *p, size_t len);
    /* The first octet of a request target that is not plain: that no target may have, or '#', '%',
     * '?', or over 0x7f. What is before it is a path that stands for itself. */
    size_t (*plain_end)(const char *p, size_t len);
    /* The first octet that no token may have (so the ':' behind a field name). */
    size_t (*token_end)(const char *p, size_t len);
};

/* The variant in use. */
extern struct http_scan http_scan;

/* All variants that this CPU can run, the scalar one first; ends with NULL. For tests. */
const struct http_scan *const *http_scan_variants(void);

#endif
