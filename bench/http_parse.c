/* How long the parser takes for a message head, in nanoseconds: the best of many runs, since a
 * shared machine only ever adds. It owns the two heads that are compared over time, and never does
 * I/O. Run it pinned: taskset -c 1 build/bench/http-parse */
#include "http/h1_parse.h"
#include "http/scan.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_FIELDS 64
#define ROUNDS 200
#define REPEAT 5000

static const char short_head[] = "GET /plaintext HTTP/1.1\r\n"
                                 "Host: 127.0.0.1:8080\r\n"
                                 "Accept: */*\r\n\r\n";

static const char browser_head[] =
    "GET /articles/2024/a-longer-path?page=2&sort=date HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n";

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The best time of one parse in nanoseconds, or -1 when the head is not taken. */
static double measure(const char *head_text, size_t len)
{
    static const struct h1_limits limits = { 8190, 65536, MAX_FIELDS };
    static struct message_field fields[MAX_FIELDS];
    struct h1_head head;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int i = 0; i < REPEAT; i++) {
            h1_head_init(&head, false, fields);
            if (h1_parse(&head, head_text, len, &limits) != (long)len)
                return -1;
            __asm__ volatile("" : : "r"(&head) : "memory");
        }
        double each = (now_ns() - begin) / REPEAT;
        best = each < best ? each : best;
    }
    return best;
}

static int report(const char *name, const char *text, size_t len)
{
    double ns = measure(text, len);
    printf("%-8s %4zu octets  %7.1f ns  %5.2f GB/s\n", name, len, ns, (double)len / ns);
    return ns < 0;
}

int main(void)
{
    int failed = 0;
    for (const struct http_scan *const *variant = http_scan_variants(); *variant; variant++) {
        http_scan = **variant;
        printf("%s\n", http_scan.name);
        failed |= report("short", short_head, sizeof short_head - 1);
        failed |= report("browser", browser_head, sizeof browser_head - 1);
    }
    return failed;
}
