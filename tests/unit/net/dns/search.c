/* Tests of what the system's files say of searching names. */
#include "../../check.h"

#include "base/mem.h"
#include "net/dns/search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char resolv[] = "/tmp/tepal-search-r-XXXXXX", nsswitch[] = "/tmp/tepal-search-n-XXXXXX";

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The domains with a blank between them, then ndots and lookups: "a.test b.test 1 fb". */
static const char *found(const tepal_dns_options *options)
{
    static const tepal_dns_options none;
    static char text[1000];
    struct dns_search search;
    assert_int_equal(dns_search_read(&search, options ? options : &none, resolv, nsswitch), 0);
    text[0] = '\0';
    for (int i = 0; i < search.n_domains; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", search.domains[i]);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d %s", search.ndots,
             search.lookups);
    dns_search_clear(&search);
    return text;
}

static int make_files(void **state)
{
    (void)state;
    unsetenv("LOCALDOMAIN");
    unsetenv("RES_OPTIONS");
    int a = mkstemp(resolv), b = mkstemp(nsswitch);
    close(a);
    close(b);
    return a < 0 || b < 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(resolv);
    unlink(nsswitch);
    return 0;
}

static void files(void **state)
{
    (void)state;
    static const struct {
        const char *resolv, *nsswitch, *found;
    } rows[] = {
        { "search a.test b.test\n", "", "a.test b.test 1 fb" },
        { "search\ta.test\t b.test \r\n", "", "a.test b.test 1 fb" },
        { "domain a.test b.test\n", "", "a.test 1 fb" },
        { "domain a.test\nsearch b.test\n", "", "b.test 1 fb" },
        { "search b.test\ndomain a.test", "", "a.test 1 fb" },
        { "# search a.test\nsearch . b.test\n", "", "b.test 1 fb" },
        { " search a.test\nsearchb.test\nsearch c.test\n", "", "c.test 1 fb" },
        { "search a\noptions timeout:1 ndots:3\noptions rotate\n", "", "a 3 fb" },
        { "search a\noptions ndots:99\n", "", "a 15 fb" },
        { "search a\noptions ndots:0\n", "", "a 0 fb" },
        { "search a\noptions ndots:-1\n", "", "a 0 fb" },
        { "search a\n", "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] dns\n",
          "a 1 fb" },
        { "search a\n", "hosts:\tdns files\n", "a 1 bf" },
        { "search a\n", "hosts: resolve [!UNAVAIL=return] files dns\n", "a 1 bf" },
        { "search a\n", "hosts: files # dns\n", "a 1 f" },
        { "search a\n", "hosts: dns\n", "a 1 b" },
        { "search a\n", "hosts: mdns\n", "a 1 fb" },
        { "search a\n", "#hosts: dns\n", "a 1 fb" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        write_file(resolv, rows[i].resolv);
        write_file(nsswitch, rows[i].nsswitch);
        assert_string_equal(found(NULL), rows[i].found);
    }
}

static void before_the_files(void **state)
{
    (void)state;
    const char *const domains[] = { "x.test", "y.test" };
    write_file(resolv, "search a.test\noptions ndots:2\n");
    write_file(nsswitch, "");
    setenv("LOCALDOMAIN", "c.test d.test", 1);
    setenv("RES_OPTIONS", "ndots:4 debug", 1);
    assert_string_equal(found(NULL), "c.test d.test 4 fb");
    assert_string_equal(found(&(tepal_dns_options){ .no_search = true }), "4 fb");
    assert_string_equal(found(&(tepal_dns_options){ .search = domains, .n_search = 2, .ndots = 7 }),
                        "x.test y.test 7 fb");
    unsetenv("LOCALDOMAIN");
    unsetenv("RES_OPTIONS");
}

static void without_memory(void **state)
{
    (void)state;
    struct dns_search search;
    const tepal_dns_options none = { 0 };
    write_file(resolv, "search a.test b.test\n");
    for (size_t n = 1; n <= 4; n++) {
        mem_fail_nth(n, 1);
        assert_int_equal(dns_search_read(&search, &none, resolv, nsswitch), -ENOMEM);
    }
    mem_fail_nth(5, 1);
    assert_int_equal(dns_search_read(&search, &none, resolv, nsswitch), 0);
    mem_fail_nth(0, 0);
    dns_search_clear(&search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(before_the_files),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
