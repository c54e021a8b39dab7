/* The choice of the scanner. It owns the variant in use, which is the scalar one until the
 * constructor has asked the CPU; it never changes after that. */
#include "http/scan_variants.h"

struct http_scan http_scan = {
    "scalar",
    http_scan_value_scalar,
    http_scan_target_scalar,
    http_scan_plain_scalar,
    http_scan_token_scalar,
};

const struct http_scan *const *http_scan_variants(void)
{
    static const struct http_scan *variants[5];
    size_t n = 0;
    variants[n++] = &http_scan_scalar;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        variants[n++] = &http_scan_sse42;
    if (__builtin_cpu_supports("avx2"))
        variants[n++] = &http_scan_avx2;
#elif defined(__aarch64__)
    variants[n++] = &http_scan_neon;
#endif
    return variants;
}

__attribute__((constructor)) static void choose(void)
{
    const struct http_scan *const *variant = http_scan_variants();
    while (variant[1])
        variant++;
    http_scan = **variant;
}
