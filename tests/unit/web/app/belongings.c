/* Tests of what lives as long as an application. */
#include "../web_check.h"

#include "base/mem.h"

static char story[100];

static void tell(void *arg)
{
    strcat(story, arg);
}

/* What a component has: memory that its end still uses. */
struct component {
    long double aligned;
    char name[4];
};

static void end_component(void *arg)
{
    tell(((struct component *)arg)->name);
}

static void defer_another(void *arg)
{
    tell("<");
    assert_int_equal(tepal_app_defer(app, tell, arg), 0);
}

static void in_reverse(void **state)
{
    (void)state;
    *story = '\0';
    struct component *component = tepal_app_alloc(app, sizeof(*component));
    assert_non_null(component);
    assert_int_equal((uintptr_t)component % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < sizeof(*component); i++)
        assert_int_equal(((char *)component)[i], 0);
    strcpy(component->name, "c");
    assert_non_null(tepal_app_alloc(app, 0));
    assert_int_equal(tepal_app_defer(app, tell, "1"), 0);
    assert_int_equal(tepal_app_defer(app, end_component, component), 0);
    assert_int_equal(tepal_app_defer(app, defer_another, "3"), 0);
    /* It can be served before, more than once. */
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    tepal_test_close(client);
    client = NULL;
    assert_string_equal(story, "");
    tepal_app_close(app);
    app = NULL;
    assert_string_equal(story, "<3c1");
}

static tepal_res *keep_for_ever(tepal_req *req)
{
    char *memory = tepal_app_alloc(app, 10);
    return tepal_text(req, 200, memory && tepal_app_defer(app, tell, "x") == 0 ? "ok" : "no");
}

static void while_it_is_served(void **state)
{
    (void)state;
    *story = '\0';
    tepal_get(app, "/", keep_for_ever);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    assert_reply(get("/"), 200, "ok");
    again();
    assert_string_equal(story, "xx");
}

static void shortage_of_memory(void **state)
{
    (void)state;
    *story = '\0';
    assert_null(tepal_app_alloc(NULL, 1));
    assert_int_equal(tepal_app_defer(NULL, tell, "a"), -ENOMEM);
    assert_null(tepal_app_alloc(app, SIZE_MAX));
    assert_string_equal(tepal_app_error_text(app), "out of memory");
    again();
    mem_fail_nth(1, 0);
    int rc = tepal_app_defer(app, tell, "b");
    mem_fail_nth(0, 0);
    assert_int_equal(rc, -ENOMEM);
    assert_string_equal(story, "ab"); /* called at once, and not again */
    assert_refused(NULL, "cannot start: out of memory");
    again();
    assert_string_equal(story, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(in_reverse),
        WEB_TEST(while_it_is_served),
        WEB_TEST(shortage_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
