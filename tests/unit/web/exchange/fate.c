/* Tests of what becomes of a connection behind a response, for all facts: against a table written
 * from RFC 9112, and against what its sections 9.3 and 9.6 ask for, one by one. */
#include "../../check.h"

#include "web/exchange/fate.h"

/* The facts that are one thing or the other. */
enum { BROKEN, LAST, WHOLE, LOST, KEPT_BACK, READING, UNKNOWN, N_FLAGS };

static const uint64_t lefts[] = { 0, 1, 9, 10, 11, UINT64_MAX - 1, UINT64_MAX };
enum { N_LEFTS = sizeof(lefts) / sizeof(lefts[0]) };

static struct fate_facts facts_of(unsigned flags, uint64_t left, uint64_t max)
{
    return (struct fate_facts){
        .broken = flags >> BROKEN & 1,
        .last = flags >> LAST & 1,
        .whole = flags >> WHOLE & 1,
        .lost = flags >> LOST & 1,
        .kept_back = flags >> KEPT_BACK & 1,
        .reading = flags >> READING & 1,
        .unknown = flags >> UNKNOWN & 1,
        .left = left,
        .max_drain = max,
    };
}

/* One column for each flag in their order, and one for "what is left is no more than is dropped":
 * '1' it is so, '0' it is not, '.' either. */
static const struct rule {
    char facts[N_FLAGS + 2];
    enum fate fate;
    const char *why;
} rules[] = {
    { "1.......", FATE_CLOSE, "8: a message that is cut must not look complete" },
    { "01......", FATE_LINGER,
      "9.6: no further requests, and in stages: no reset takes the response" },
    { "001.....", FATE_NEXT, "9.3: all of the request has been read, and nobody ends it" },
    { "0001....", FATE_LINGER, "9.3: what cannot be read cannot be skipped either" },
    { "00001...", FATE_LINGER, "RFC 9110 10.1.1: it may come, or the next request may" },
    { "000001..", FATE_DRAIN, "9.3: read the entire body; the handler may be about to" },
    { "0000001.", FATE_DRAIN, "9.3: the same, as far as it goes" },
    { "00000001", FATE_DRAIN, "9.3: the same" },
    { "00000000", FATE_LINGER, "9.3: or close the connection" },
};

static bool applies(const struct rule *rule, unsigned flags, bool few)
{
    for (unsigned i = 0; i <= N_FLAGS; i++) {
        bool is = i < N_FLAGS ? flags >> i & 1 : few;
        if (rule->facts[i] != '.' && is != (rule->facts[i] == '1'))
            return false;
    }
    return true;
}

static void by_the_table(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 1u << N_FLAGS; flags++)
        for (size_t l = 0; l < N_LEFTS; l++)
            for (size_t m = 0; m < N_LEFTS; m++) {
                struct fate_facts facts = facts_of(flags, lefts[l], lefts[m]);
                const struct rule *found = NULL;
                for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
                    if (applies(&rules[i], flags, lefts[l] <= lefts[m])) {
                        assert_null(found); /* one rule, and one only */
                        found = &rules[i];
                    }
                assert_non_null(found);
                if (fate_of(&facts) != found->fate)
                    fail_msg("facts %02x, %zu of %zu: %d, not as in \"%s\"", flags, l, m,
                             fate_of(&facts), found->why);
            }
}

/* What must hold whatever the table says. */
static void by_the_sections(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 1u << N_FLAGS; flags++)
        for (size_t l = 0; l < N_LEFTS; l++)
            for (size_t m = 0; m < N_LEFTS; m++) {
                struct fate_facts facts = facts_of(flags, lefts[l], lefts[m]);
                enum fate fate = fate_of(&facts);
                if (facts.broken || facts.last) /* 9.3, 9.6: "close" is kept to */
                    assert_false(fate_goes_on(fate));
                if (fate_goes_on(fate) && !facts.whole) { /* 9.3: the body is read first */
                    assert_int_equal(fate, FATE_DRAIN);
                    assert_false(facts.lost || facts.kept_back);
                }
                if (facts.whole) /* and nothing is dropped of the next request */
                    assert_int_not_equal(fate, FATE_DRAIN);
                assert_int_equal(fate == FATE_CLOSE, facts.broken); /* 9.6: else in stages */
                if (l + 1 < N_LEFTS) { /* more that is left never makes a connection go on */
                    struct fate_facts more = facts_of(flags, lefts[l + 1], lefts[m]);
                    assert_true(fate_goes_on(fate) || !fate_goes_on(fate_of(&more)));
                }
            }
}

static void going_on(void **state)
{
    (void)state;
    assert_true(fate_goes_on(FATE_NEXT));
    assert_true(fate_goes_on(FATE_DRAIN));
    assert_false(fate_goes_on(FATE_LINGER));
    assert_false(fate_goes_on(FATE_CLOSE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_table),
        cmocka_unit_test(by_the_sections),
        cmocka_unit_test(going_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
