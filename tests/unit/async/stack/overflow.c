/* Tests of what happens to a task that overflows its stack, each in a process of its own. */
#include "../in_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { OWN_SIZE = 8192 }; /* of a signal stack, as programs have it */

static int depth_reached;

/* A frame of some hundred octets, so that none jumps over the guard. */
static NO_INLINE int recurse(int depth)
{
    volatile char frame[300];
    frame[0] = frame[299] = (char)depth;
    depth_reached = depth;
    int deeper = depth == 0 ? 0 : recurse(depth - 1);
    return deeper + frame[0] + frame[299];
}

static int overflow(void *arg)
{
    (void)arg;
    return recurse(1 << 30);
}

/* Writes just below its stack, but into the canary only. */
static int spoil_canary(void *arg)
{
    (void)arg;
    char *low = loop_current->current->stack->low;
    memset(low, 0, 8);
    return 0;
}

static enum stack_guard guard;
static tepal_task_fn *victim;
static size_t stack_size;

static int run_victim(void *arg)
{
    (void)arg;
    loop_current->stacks.guard = guard;
    tepal_group *group = tepal_group_new();
    /* Not one from the slab, which has its guards already. */
    tepal_spawn_options options = { .name = "greedy", .stack_size = stack_size };
    if (tepal_spawn(group, victim, NULL, &options) < 0)
        return -1;
    int rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void *run_in_thread(void *arg)
{
    tepal_main(run_victim, arg);
    return NULL;
}

static void in_main_thread(void)
{
    tepal_main(run_victim, NULL);
}

static void in_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run_in_thread, NULL);
    pthread_join(thread, NULL);
}

/* Runs body in a child. Returns its status, and what it wrote to standard error in text. */
static int in_child(void (*body)(void), char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGSEGV, SIG_DFL); /* cmocka has handlers of its own */
        signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(ends[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* The report is a line as those of the log. */
static bool is_stamped(const char *text)
{
    char year[5];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(year, sizeof(year), "%Y", &tm);
    return strncmp(text, year, 4) == 0 && text[4] == '-' && text[10] == 'T' && text[13] == ':' &&
           strncmp(text + 24, " error: task ", 13) == 0;
}

static void expect_report(void (*body)(void))
{
    char text[1000];
    int status = in_child(body, text, sizeof(text));
    assert_true(is_stamped(text));
    assert_non_null(strstr(text, "task \"greedy\" overflowed its stack of 64 KiB"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static bool has_madvise_guards(void)
{
    int ends[2];
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(pipe(ends), 0);
    bool has = madvise(p, 4096, MADV_GUARD_INSTALL) == 0 && write(ends[1], p, 1) < 0;
    close(ends[0]);
    close(ends[1]);
    munmap(p, 4096);
    return has;
}

static int setup(void **state)
{
    (void)state;
    victim = overflow;
    stack_size = 64 * 1024;
    guard = STACK_GUARD_MADVISE;
    return 0;
}

static void skip_where_faults_are_not_ours(void)
{
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip();
}

static void named_with_madvise(void **state)
{
    (void)state;
    skip_where_faults_are_not_ours();
    if (!has_madvise_guards())
        skip();
    expect_report(in_main_thread);
    expect_report(in_a_thread);
}

static void named_with_mprotect(void **state)
{
    (void)state;
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_MPROTECT;
    expect_report(in_main_thread);
    expect_report(in_a_thread);
}

static void named_with_canary(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_CANARY;
    victim = spoil_canary;
    int status = in_child(in_main_thread, text, sizeof(text));
    assert_true(is_stamped(text));
    assert_non_null(strstr(text, "task \"greedy\" overflowed its stack of 64 KiB"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* Another fault is not called an overflow. */
static int read_null(void *arg)
{
    return *(volatile int *)arg;
}

static void other_faults_are_left_alone(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = read_null;
    int status = in_child(in_main_thread, text, sizeof(text));
    assert_null(strstr(text, "overflowed"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* The handler that the program had is called then. */
static void on_fault(int signal)
{
    (void)signal;
    static const char said[] = "the program's own handler\n";
    _exit(write(STDERR_FILENO, said, sizeof(said) - 1) > 0 ? 7 : 8);
}

static void with_own_handler(void)
{
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK };
    sigaction(SIGSEGV, &action, NULL);
    tepal_main(run_victim, NULL);
}

static void own_handlers_are_kept(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_MPROTECT;
    int status = in_child(with_own_handler, text, sizeof(text));
    char *report = strstr(text, "\"greedy\" overflowed"), *own = strstr(text, "own handler");
    assert_true(report && own && report < own);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void with_own_signal_stack(void)
{
    stack_t own = { .ss_sp = malloc(OWN_SIZE), .ss_size = OWN_SIZE };
    sigaltstack(&own, NULL);
    tepal_main(run_victim, NULL);
}

static void own_signal_stacks_serve(void **state)
{
    (void)state;
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_MPROTECT;
    expect_report(with_own_signal_stack);
}

/* --- Large frames ----------------------------------------------------------------------------- */

/* Written from its low end on, as by memset(), which is far below the stack. */
static NO_INLINE int fill_megabyte(void)
{
    volatile char large[1024 * 1024];
    for (size_t i = 0; i < sizeof(large); i += 512)
        large[i] = 1;
    return large[0];
}

/* Written at its low end only. */
static NO_INLINE int touch_a_little(void)
{
    volatile char large[400 * 1024];
    large[0] = large[100] = 1;
    return large[0];
}

static int use_large_frame(void *arg)
{
    (void)arg;
    (void)tepal_sleep_ms(0);
    return stack_size >= 256 * 1024 ? touch_a_little() : fill_megabyte();
}

/* Tasks with stacks side by side. */
static int run_forty(void *arg)
{
    loop_current->stacks.guard = guard;
    tepal_group *group = tepal_group_new();
    tepal_spawn_options options = { .name = "greedy", .stack_size = 128 * 1024 };
    for (int i = 0; i < 40; i++)
        if (tepal_spawn(group, victim, arg, &options) < 0)
            return -1;
    int rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void in_the_pool(void)
{
    tepal_main(run_forty, NULL);
}

static void large_frames_are_named(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = use_large_frame;
    guard = STACK_GUARD_MPROTECT;
    expect_report(in_main_thread);
    for (size_t size = 64 * 1024; size <= 256 * 1024; size *= 4) {
        stack_size = size;
        int status = in_child(in_the_pool, text, sizeof(text));
        assert_non_null(strstr(text, "error: task \"greedy\" overflowed its stack of 128 KiB"));
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    }
}

/* Beyond every guard and mapping, where only the stack pointer tells. */
enum { HUGE_FRAME = 200 * 1024 * 1024 };

static NO_INLINE int touch_far_below(void)
{
    volatile char large[HUGE_FRAME];
    large[0] = 1;
    return large[0];
}

static int use_huge_frame(void *arg)
{
    (void)arg;
    char *page = loop_current->current->stack->top - HUGE_FRAME - 8192;
    unsigned char resident[4];
    page -= (uintptr_t)page % 4096;
    for (int i = 0; i < 4; i++)
        if (mincore(page + 4096 * i, 4096, resident) == 0)
            _exit(77); /* something happens to be there */
    return touch_far_below();
}

static void frames_beyond_all_guards(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = use_huge_frame;
    guard = STACK_GUARD_MPROTECT;
    int status = in_child(in_main_thread, text, sizeof(text));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(is_stamped(text));
    assert_non_null(strstr(text, "task \"greedy\" overflowed its stack of 64 KiB"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* --- What is the program's -------------------------------------------------------------------- */

static bool handler_is(void (*handler)(int))
{
    struct sigaction now;
    assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
    return now.sa_handler == handler;
}

static int put_own_in_place(void *arg)
{
    stack_t *own = arg;
    assert_false(handler_is(SIG_DFL) || handler_is(on_fault)); /* that of the loop */
    signal(SIGSEGV, on_fault);
    return sigaltstack(own, NULL);
}

static int return_zero(void *arg)
{
    (void)arg;
    return 0;
}

/* What was there is there again, and what the program has put in place meanwhile stays there. */
static void the_programs_stays(void)
{
    stack_t now, own = { .ss_sp = malloc(OWN_SIZE), .ss_size = OWN_SIZE };
    signal(SIGSEGV, on_fault);
    for (int i = 0; i < 2; i++) {
        if (tepal_main(return_zero, NULL) != 0 || !handler_is(on_fault))
            _exit(1);
        if (sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
            _exit(2);
    }
    signal(SIGSEGV, SIG_DFL);
    for (int i = 0; i < 2; i++) {
        if (tepal_main(i == 0 ? put_own_in_place : return_zero, &own) != 0 || !handler_is(on_fault))
            _exit(3);
        if (sigaltstack(NULL, &now) < 0 || (now.ss_flags & SS_DISABLE) || now.ss_sp != own.ss_sp)
            _exit(4);
    }
    raise(SIGSEGV);
}

static void host_is_left_alone(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    int status = in_child(the_programs_stays, text, sizeof(text));
    assert_string_equal(text, "the program's own handler\n");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* A signal that somebody sends is no fault: it does what it would do without us. */
static int send_to_itself(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    return 0;
}

static void sent_signals_arrive(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = send_to_itself;
    int status = in_child(in_main_thread, text, sizeof(text));
    assert_null(strstr(text, "overflowed"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* A handler of the program's that mends what was wrong, as those of virtual machines do. */
static void *to_mend;

static void mend(int signal)
{
    (void)signal;
    mprotect(to_mend, 4096, PROT_READ | PROT_WRITE);
}

static int write_to_mend(void *arg)
{
    (void)arg;
    *(volatile char *)to_mend = 1;
    return 0;
}

static void with_mending_handler(void)
{
    to_mend = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, mend);
    if (tepal_main(run_victim, NULL) != 0 || !handler_is(mend))
        _exit(1);
    if (tepal_main(return_zero, NULL) != 0 || !handler_is(mend))
        _exit(2);
}

static void handlers_may_mend(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = write_to_mend;
    int status = in_child(with_mending_handler, text, sizeof(text));
    assert_string_equal(text, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A deep but bounded recursion is nobody's business. */
static int recurse_within(void *arg)
{
    (void)arg;
    (void)recurse(60);
    return depth_reached;
}

static void enough_is_enough(void **state)
{
    (void)state;
    victim = recurse_within;
    assert_int_equal(run(run_victim, NULL), 0);
    stack_t now;
    assert_int_equal(sigaltstack(NULL, &now), 0);
    if (!SANITIZED)
        assert_true(now.ss_flags & SS_DISABLE); /* the loop has taken its signal stack away */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(named_with_madvise),     TEST(named_with_mprotect),
        TEST(named_with_canary),      TEST(other_faults_are_left_alone),
        TEST(own_handlers_are_kept),  TEST(own_signal_stacks_serve),
        TEST(large_frames_are_named), TEST(frames_beyond_all_guards),
        TEST(host_is_left_alone),     TEST(sent_signals_arrive),
        TEST(handlers_may_mend),      TEST(enough_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
