/* Asks the DNS, as host(1) does.
 *
 *     build/examples/lookup example.org                    the addresses of a host
 *     build/examples/lookup 192.0.2.1                      the name of an address
 *     build/examples/lookup srv _imaps._tcp.example.org    where a service is, best first
 *     build/examples/lookup txt example.org                texts
 */
#include <stdio.h>
#include <string.h>

#include <tepal.h>

static int show_host(const char *host)
{
    tepal_addr addrs[16];
    char name[TEPAL_DNS_NAME_SIZE], text[TEPAL_ADDR_TEXT_SIZE];
    if (tepal_addr_parse(&addrs[0], host, 0) == 0) {
        int rc = tepal_dns_reverse(name, sizeof(name), &addrs[0], NULL);
        if (rc == 0)
            puts(name);
        return rc;
    }
    int n = tepal_resolve(addrs, 16, host, NULL);
    for (int i = 0; i < n; i++)
        puts(tepal_addr_text(&addrs[i], text, sizeof(text)));
    return n;
}

static int show_services(const char *name)
{
    tepal_dns_service services[8];
    int n = tepal_dns_services(services, 8, name, NULL);
    for (int i = 0; i < n; i++)
        printf("%s:%d\n", services[i].host, services[i].port);
    return n;
}

static int show_texts(const char *name)
{
    tepal_dns_texts *texts;
    tepal_bytes text;
    int rc = tepal_dns_texts_open(&texts, name, NULL);
    if (rc < 0)
        return rc;
    while ((rc = tepal_dns_texts_next(texts, &text)) > 0) {
        fwrite(text.data, 1, text.len, stdout);
        putchar('\n');
    }
    tepal_dns_texts_close(texts);
    return rc;
}

static int lookup(void *arg)
{
    char **words = arg;
    if (!words[2])
        return show_host(words[1]);
    return strcmp(words[1], "srv") == 0 ? show_services(words[2]) : show_texts(words[2]);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3 || (argc > 2 && strcmp(argv[1], "srv") && strcmp(argv[1], "txt"))) {
        fprintf(stderr, "usage: %s ADDRESS | HOST | srv NAME | txt NAME\n", argv[0]);
        return 2;
    }
    int rc = tepal_main(lookup, argv);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", argv[0], tepal_code_text(rc));
    return rc < 0;
}
