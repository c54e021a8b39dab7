/* Tests of the memory of responses: what lives is told from what does not, at any address. */
#include "../web_check.h"

#include "base/mem.h"
#include "web/message/responses.h"

enum { MANY = 5000 };

static struct loop loop;
static struct responses *responses;
static tepal_req *const owner = (tepal_req *)(void *)&loop; /* is not looked into */

static int setup(void **state)
{
    (void)state;
    if (loop_open(&loop, 0) < 0)
        return -1;
    responses = responses_of(&loop);
    return responses ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    loop_close(&loop);
    return 0;
}

static tepal_res *take(bool stream)
{
    tepal_res *res = responses_take(responses);
    assert_non_null(res);
    assert_false(responses_live(responses, res));
    memset(res, 0, sizeof(*res));
    res->req = owner;
    res->stream = stream;
    return res;
}

static void one_pool_for_a_loop(void **state)
{
    (void)state;
    assert_ptr_equal(responses_of(&loop), responses);
    assert_ptr_equal(responses_find(&loop), responses);
}

static void what_lives(void **state)
{
    (void)state;
    static tepal_res *all[MANY];
    for (size_t i = 0; i < MANY; i++)
        all[i] = take(i % 3 == 0);
    for (size_t i = 0; i < MANY; i++)
        assert_true(responses_live(responses, all[i]));
    for (size_t i = 0; i < MANY; i += 2)
        responses_give(responses, all[i]);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(responses_live(responses, all[i]), i % 2 == 1);
    /* No response begins there. */
    assert_false(responses_live(responses, NULL));
    assert_false(responses_live(responses, (tepal_res *)(void *)&loop));
    assert_false(responses_live(responses, (tepal_res *)(void *)((char *)all[1] + 8)));
    assert_false(responses_live(responses, (tepal_res *)(void *)responses->slabs));
    for (size_t i = 1; i < MANY; i += 2)
        responses_give(responses, all[i]);
}

/* What a program gives to free() by mistake must not look like a chunk of the C library's. */
static void no_chunks(void **state)
{
    (void)state;
    static tepal_res *all[MANY];
    for (size_t i = 0; i < MANY; i++) {
        all[i] = take(false);
        memset(all[i], 1, offsetof(tepal_res, no_size));
    }
    for (size_t i = 0; i < MANY; i++) {
        size_t size;
        memcpy(&size, (const char *)all[i] - sizeof(size), sizeof(size));
        assert_int_equal(size, 0);
    }
    for (size_t i = 0; i < MANY; i++)
        responses_give(responses, all[i]);
}

/* Which of the next n is at the same address; n: none. */
static size_t used_again(const tepal_res *res, bool stream, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tepal_res *next = take(stream);
        bool same = next == res;
        responses_give(responses, next);
        if (same)
            return i;
    }
    return n;
}

static void ages(void **state)
{
    (void)state;
    tepal_res *res = take(false);
    responses_give(responses, res);
    assert_true(used_again(res, false, 10000) >= 30);
    res = take(true);
    responses_give(responses, res);
    assert_true(used_again(res, true, 10000) >= 1000);
    assert_true(used_again(res, true, 10000) < 10000);
}

static void memory_shortage(void **state)
{
    (void)state;
    size_t n = 0;
    tepal_res *first = NULL;
    mem_fail_nth(1, 0);
    for (tepal_res *res; (res = responses_take(responses)); n++) {
        res->req = owner;
        res->next_of_req = first;
        first = res;
    }
    mem_fail_nth(0, 0);
    assert_int_equal(n, 31);
    while (first) {
        tepal_res *res = first;
        first = res->next_of_req;
        responses_give(responses, res);
    }
    assert_non_null(responses_take(responses));
}

#define RESPONSES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESPONSES_TEST(one_pool_for_a_loop), RESPONSES_TEST(what_lives),
        RESPONSES_TEST(no_chunks),           RESPONSES_TEST(ages),
        RESPONSES_TEST(memory_shortage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
