/* Tests of the order of the places of a service. */
#include "../check.h"

#include "net/dns_services.h"

/* The numbers that are drawn next; when they are over, always the highest. */
static const uint32_t *numbers;
static size_t n_numbers;
static uint32_t largest;

static uint32_t draw(uint32_t n)
{
    assert_true(n > 0);
    largest = n > largest ? n : largest;
    uint32_t number = n_numbers > 0 ? *numbers : n - 1;
    assert_true(number < n);
    if (n_numbers > 0) {
        n_numbers--;
        numbers++;
    }
    return number;
}

/* Orders places whose ports are their numbers, from 1 on; out gets the ports as digits. */
static void order(char *out, const struct dns_record *records, size_t n)
{
    const struct dns_record *places[8];
    for (size_t i = 0; i < n; i++)
        places[i] = &records[i];
    dns_services_order(places, n, draw);
    for (size_t i = 0; i < n; i++)
        *out++ = (char)('0' + places[i]->port);
    *out = '\0';
}

static void by_priority(void **state)
{
    (void)state;
    static const struct dns_record records[] = {
        { .priority = 7, .port = 5 }, { .priority = 2, .port = 3 },
        { .priority = 0, .port = 1 }, { .priority = 65535, .port = 6 },
        { .priority = 3, .port = 4 }, { .priority = 1, .port = 2 },
    };
    char ports[9];
    order(ports, records, 6);
    assert_string_equal(ports, "123456");
    order(ports, records, 1);
    assert_string_equal(ports, "5");
    order(ports, records, 0);
    assert_string_equal(ports, "");
}

static void by_weight(void **state)
{
    (void)state;
    static const struct dns_record records[] = { { .weight = 0, .port = 1 },
                                                 { .weight = 10, .port = 2 },
                                                 { .weight = 30, .port = 3 } };
    static const struct {
        uint32_t drawn[4]; /* two to mix them (which lets them be), two to choose */
        const char *ports;
    } rows[] = {
        { { 2, 1, 0, 10 }, "123" }, { { 2, 1, 0, 11 }, "132" }, { { 2, 1, 1, 0 }, "213" },
        { { 2, 1, 10, 1 }, "231" }, { { 2, 1, 11, 0 }, "312" }, { { 2, 1, 40, 10 }, "321" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char ports[9];
        numbers = rows[i].drawn;
        n_numbers = 4;
        order(ports, records, 3);
        assert_string_equal(ports, rows[i].ports);
        assert_int_equal(n_numbers, 0);
    }
}

/* Without weights each may be the first one; and the largest weights there are do not overflow. */
static void extremes(void **state)
{
    (void)state;
    static const struct dns_record records[] = { { .port = 1 }, { .port = 2 }, { .port = 3 } };
    static const uint32_t first[][4] = { { 2, 1, 0, 0 }, { 2, 0, 0, 0 }, { 0, 1, 0, 0 } };
    static const char *const expected[] = { "123", "213", "321" };
    char ports[9];
    for (int i = 0; i < 3; i++) {
        numbers = first[i];
        n_numbers = 4;
        order(ports, records, 3);
        assert_string_equal(ports, expected[i]);
    }
    struct dns_record heavy[8];
    for (int i = 0; i < 8; i++)
        heavy[i] = (struct dns_record){ .weight = 65535, .port = 1 };
    n_numbers = 0;
    order(ports, heavy, 8);
    assert_int_equal(largest, 8 * 65535 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_priority),
        cmocka_unit_test(by_weight),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
