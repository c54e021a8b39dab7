/* Tests of the room in public structs. */
#include "../check.h"

#include "base/room.h"

#include <tepal/log.h>

static char said[128];
static int n_said;

static void keep(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    assert_int_equal(level, TEPAL_LOG_ERROR);
    snprintf(said, sizeof(said), "%s", text);
    n_said++;
}

static void only_zero_is_unused(void **state)
{
    (void)state;
    uint64_t later[3] = { 0 };
    tepal_log_set_fn(keep, NULL);
    assert_int_equal(room_check("tepal_x", later, sizeof(later)), 0);
    assert_int_equal(n_said, 0);
    for (size_t i = 0; i < 3; i++) {
        later[i] = 1;
        assert_int_equal(room_check("tepal_x", later, sizeof(later)), -EINVAL);
        later[i] = 0;
    }
    assert_int_equal(n_said, 3);
    assert_string_equal(said,
                        "tepal_x: the options are not initialised, or made for a newer tepal");
    tepal_log_set_fn(NULL, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_zero_is_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
