/* Tests of back-traces: where they begin, and that they end with their stack. */
#include "../../check.h"

#include "async/debug/trace.h"

#include <signal.h>
#include <sys/mman.h>

enum { STACK_SIZE = 128 * 1024 };

/* Functions whose names the dynamic linker knows. */
void traced_inner(void);
void traced_outer(void);
void traced_main(void *arg);

static struct trace trace;
static struct ctx home, other;

/* Through pointers: what the compiler would make of a call that it can look through has other
 * names. */
static void (*volatile call_inner)(void) = traced_inner;
static void (*volatile call_outer)(void) = traced_outer;
static volatile int n_calls;

/* Whether the i-th call is in this function. */
static bool is_in(size_t i, const char *name)
{
    char text[1024], wanted[64];
    if (i >= trace.n)
        return false;
    trace_describe(trace.at[i], text, sizeof(text));
    snprintf(wanted, sizeof(wanted), " %s+0x", name);
    return strstr(text, wanted) != NULL;
}

static void (*in_inner)(void);

NO_INLINE void traced_inner(void)
{
    in_inner();
    n_calls++;
}

NO_INLINE void traced_outer(void)
{
    call_inner();
    n_calls++;
}

static void trace_behind_inner(void)
{
    trace_here(&trace, (uintptr_t)traced_inner);
    n_calls++;
}

static void trace_behind_none(void)
{
    trace_here(&trace, (uintptr_t)is_in);
    n_calls++;
}

static void of_the_caller(void **state)
{
    (void)state;
    in_inner = trace_behind_inner;
    call_outer();
    assert_true(trace.n >= 3);
    assert_true(is_in(0, "traced_outer"));
    assert_true(is_in(trace.n - 1, "_start") || trace.n > 3);
    /* A function that is not there: all frames, rather than none. */
    in_inner = trace_behind_none;
    call_outer();
    size_t i = 0;
    while (i < trace.n && !is_in(i, "traced_inner"))
        i++;
    assert_true(is_in(i + 1, "traced_outer"));
}

static void on_signal(int signal)
{
    (void)signal;
    trace_interrupted(&trace);
}

static void raise_signal(void)
{
    raise(SIGUSR2);
    n_calls++;
}

static void of_what_a_signal_interrupts(void **state)
{
    (void)state;
    struct sigaction ours = { .sa_handler = on_signal }, before;
    trace_prepare();
    sigaction(SIGUSR2, &ours, &before);
    in_inner = raise_signal;
    call_outer();
    sigaction(SIGUSR2, &before, NULL);
    size_t i = 0;
    while (i < trace.n && !is_in(i, "traced_inner"))
        i++;
    assert_true(is_in(i + 1, "traced_outer"));
    assert_false(is_in(0, "on_signal"));
}

static void leave(void)
{
    ctx_switch(&other, &home);
    n_calls++;
}

void traced_main(void *arg)
{
    (void)arg;
    ctx_entered();
    while (true)
        call_outer();
}

static void of_a_stack_that_was_left(void **state)
{
    (void)state;
    void *low = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(low, MAP_FAILED);
    (void)VALGRIND_STACK_REGISTER(low, (char *)low + STACK_SIZE);
    in_inner = leave;
    ctx_init_thread(&home);
    ctx_init(&other, low, STACK_SIZE, traced_main, NULL);
    for (int i = 0; i < 3; i++) {
        ctx_switch(&home, &other);
        int before = n_calls;
        trace_left(&trace, &other, low);
        trace_left(&trace, &other, low); /* as often as one likes */
        assert_int_equal(n_calls, before);
        assert_false(trace.cut);
        if (!has_traces()) {
            assert_int_equal(trace.n, 0);
            continue;
        }
        assert_in_range(trace.n, 4, 12); /* it ends with the stack */
        size_t at = 0;
        while (at < trace.n && !is_in(at, "traced_inner"))
            at++;
        assert_true(is_in(at + 1, "traced_outer"));
        assert_true(is_in(at + 2, "traced_main"));
    }
    ctx_end(&other);
    ctx_end_thread(&home);
    munmap(low, STACK_SIZE);
}

static void addresses_without_names(void **state)
{
    (void)state;
    char text[1024];
    trace_describe(16, text, sizeof(text));
    assert_string_equal(text, "0x10");
    trace_describe((uintptr_t)is_in, text, sizeof(text)); /* static: object and offset */
    assert_non_null(strstr(text, "async-trace+0x"));
    assert_null(strstr(text, "is_in"));
    trace_describe((uintptr_t)traced_main + 1, text, sizeof(text));
    assert_non_null(strstr(text, " traced_main+0x1 ("));
    trace_describe((uintptr_t)traced_main, text, 10);
    assert_int_equal(strlen(text), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_caller),
        cmocka_unit_test(of_what_a_signal_interrupts),
        cmocka_unit_test(of_a_stack_that_was_left),
        cmocka_unit_test(addresses_without_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
