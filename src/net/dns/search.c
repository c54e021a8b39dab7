/* The search domains, the number of dots and the order of sources, read as glibc reads them. c-ares
 * reads them, too, but newer versions do not tell what they have found. */
#include "net/dns/search.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINE = 8192, MAX_NDOTS = 15, DEFAULT_NDOTS = 1 };

static const char BLANK[] = " \t\r\n";

static void clear_domains(struct dns_search *search)
{
    for (int i = 0; i < search->n_domains; i++)
        mem_free(search->domains[i]);
    mem_free(search->domains);
    search->domains = NULL;
    search->n_domains = 0;
}

void dns_search_clear(struct dns_search *search)
{
    clear_domains(search);
}

static int add_domain(struct dns_search *search, const char *text, size_t len)
{
    char **domains =
        mem_resize(search->domains, (size_t)(search->n_domains + 1) * sizeof(*domains));
    if (!domains)
        return -ENOMEM;
    search->domains = domains;
    char *copy = mem_strndup(text, len);
    if (!copy)
        return -ENOMEM;
    domains[search->n_domains++] = copy;
    return 0;
}

/* The next word of a text; NULL at its end. */
static const char *next_word(const char **text, size_t *len)
{
    *text += strspn(*text, BLANK);
    const char *word = *text;
    *len = strcspn(word, BLANK);
    *text += *len;
    return *len > 0 ? word : NULL;
}

/* All words are domains, in place of those that were there; max of them. */
static int set_domains(struct dns_search *search, const char *text, int max)
{
    const char *word;
    size_t len;
    int rc = 0;
    clear_domains(search);
    while (rc == 0 && search->n_domains < max && (word = next_word(&text, &len)))
        if (len != 1 || *word != '.') /* the root is where names are as they are */
            rc = add_domain(search, word, len);
    return rc;
}

static void set_options(struct dns_search *search, const char *text)
{
    const char *word;
    size_t len;
    while ((word = next_word(&text, &len)))
        if (len > 6 && strncmp(word, "ndots:", 6) == 0) {
            long ndots = strtol(word + 6, NULL, 10);
            search->ndots = ndots < 0 ? 0 : ndots > MAX_NDOTS ? MAX_NDOTS : (int)ndots;
        }
}

/* What stands behind a keyword at the beginning of a line; NULL when it is not there. */
static const char *behind(const char *line, const char *keyword)
{
    size_t len = strlen(keyword);
    return strncmp(line, keyword, len) == 0 && isspace((unsigned char)line[len]) ? line + len
                                                                                 : NULL;
}

static int read_resolv_conf(struct dns_search *search, const char *path)
{
    char line[MAX_LINE];
    FILE *file = fopen(path, "re");
    const char *text;
    /* A file that there is not says nothing; of one that only cannot be read now that is not
     * known. */
    int rc = file || (errno != EMFILE && errno != ENFILE && errno != ENOMEM) ? 0 : -errno;
    while (file && rc == 0 && fgets(line, sizeof(line), file)) {
        if ((text = behind(line, "search")))
            rc = set_domains(search, text, INT32_MAX);
        else if ((text = behind(line, "domain")))
            rc = set_domains(search, text, 1);
        else if ((text = behind(line, "options")))
            set_options(search, text);
    }
    if (file)
        fclose(file);
    return rc;
}

/* Files say nothing of domains: then it is that of the machine's own name. */
static int add_own_domain(struct dns_search *search)
{
    char name[256];
    if (gethostname(name, sizeof(name)) < 0)
        return 0;
    name[sizeof(name) - 1] = '\0';
    const char *dot = strchr(name, '.');
    return dot && dot[1] ? add_domain(search, dot + 1, strlen(dot + 1)) : 0;
}

static void add_lookup(struct dns_search *search, char lookup)
{
    size_t n = strlen(search->lookups);
    if (n < 2 && !strchr(search->lookups, lookup))
        search->lookups[n] = lookup;
}

/* The line of hosts. Of the many services there are two stand for what is asked here. */
static void read_nsswitch_conf(struct dns_search *search, const char *path)
{
    char line[MAX_LINE];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        const char *text = line + strspn(line, BLANK), *word;
        size_t len;
        if (strncmp(text, "hosts:", 6) != 0)
            continue;
        text += 6;
        while ((word = next_word(&text, &len)) && *word != '#') {
            if (len == 5 && strncmp(word, "files", len) == 0)
                add_lookup(search, 'f');
            if ((len == 3 && strncmp(word, "dns", len) == 0) ||
                (len == 7 && strncmp(word, "resolve", len) == 0))
                add_lookup(search, 'b');
        }
    }
    if (file)
        fclose(file);
    if (!search->lookups[0])
        strcpy(search->lookups, "fb");
}

static int take_options(struct dns_search *search, const tepal_dns_options *options)
{
    int rc = 0;
    if (options->ndots > 0)
        search->ndots = options->ndots < INT32_MAX ? (int)options->ndots : INT32_MAX;
    if (options->no_search || options->n_search > 0)
        clear_domains(search);
    for (size_t i = 0; !options->no_search && i < options->n_search && rc == 0; i++)
        rc = add_domain(search, options->search[i], strlen(options->search[i]));
    return rc;
}

int dns_search_read(struct dns_search *search, const tepal_dns_options *options,
                    const char *resolv_conf, const char *nsswitch_conf)
{
    *search = (struct dns_search){ .ndots = DEFAULT_NDOTS };
    const char *domains = getenv("LOCALDOMAIN"), *more = getenv("RES_OPTIONS");
    int rc = read_resolv_conf(search, resolv_conf);
    if (rc == 0 && domains)
        rc = set_domains(search, domains, INT32_MAX);
    else if (rc == 0 && search->n_domains == 0)
        rc = add_own_domain(search);
    if (more)
        set_options(search, more);
    read_nsswitch_conf(search, nsswitch_conf);
    if (rc == 0)
        rc = take_options(search, options);
    if (rc < 0)
        clear_domains(search);
    return rc;
}
