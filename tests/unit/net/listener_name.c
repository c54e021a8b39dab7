/* Tests of listening on a name: a task that waits for its look-up holds nobody up. */
#include "sockets.h"

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* The system's resolver, as the library sees it: "slow.test" is 127.0.0.1, when the test says so.
 */
static sem_t may_answer;
static atomic_int n_slow;
static _Atomic pthread_t thread_of_slow;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host && strcmp(host, "none.test") == 0)
        return EAI_NONAME;
    if (!host || strcmp(host, "slow.test") != 0)
        return real(host, service, hints, out);
    thread_of_slow = pthread_self();
    n_slow++;
    while (sem_wait(&may_answer) < 0)
        continue;
    return real("127.0.0.1", service, hints, out);
}

struct opening {
    const char *host;
    int rc;
};

static int open_and_close(void *arg)
{
    struct opening *opening = arg;
    tepal_listener *listener;
    tepal_listener_options options = { .host = opening->host, .port = TEPAL_ANY_PORT };
    opening->rc = 1;
    opening->rc = tepal_listener_open(&listener, &options);
    if (opening->rc == 0) {
        assert_true(tepal_listener_port(listener) > 0);
        tepal_listener_close(listener);
    }
    return 0;
}

static tepal_group *begin(struct opening *opening)
{
    tepal_group *group = tepal_group_new();
    int before = n_slow;
    assert_int_equal(tepal_spawn(group, open_and_close, opening, NULL), 0);
    while (n_slow == before)
        assert_int_equal(tepal_sleep_ms(1), 0);
    return group;
}

static int waiting(void *arg)
{
    struct opening opening = { .host = "slow.test" };
    (void)arg;
    tepal_group *group = begin(&opening); /* others run meanwhile: this one */
    assert_int_equal(opening.rc, 1);
    assert_false(pthread_equal(thread_of_slow, pthread_self()));
    sem_post(&may_answer);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(opening.rc, 0);
    tepal_group_close(group);
    /* Who does not want to wait any more need not; the thread ends by itself. */
    group = begin(&opening);
    tepal_group_close(group);
    assert_int_equal(opening.rc, -ECANCELED);
    sem_post(&may_answer);
    opening.host = "none.test";
    assert_int_equal(open_and_close(&opening), 0);
    assert_int_equal(opening.rc, TEPAL_ENONAME);
    return 0;
}

static int late(void *arg)
{
    struct opening opening = { .host = "slow.test" };
    (void)arg;
    tepal_deadline_in_ms(20);
    (void)open_and_close(&opening);
    sem_post(&may_answer);
    return opening.rc;
}

static int addresses_do_not_wait(void *arg)
{
    struct opening opening = { .host = "127.0.0.1" };
    (void)arg;
    tepal_group *group = tepal_group_new();
    tepal_group_cancel(group); /* so that a call that may wait would be refused */
    (void)tepal_spawn(group, open_and_close, &opening, NULL);
    tepal_group_close(group);
    opening.host = NULL;
    assert_int_equal(open_and_close(&opening), 0);
    return opening.rc;
}

static int without_memory(void *arg)
{
    (void)arg;
    size_t failed = 1;
    for (size_t n = 1; failed > 0; n++) {
        struct opening opening = { .host = "localhost" };
        mem_fail_nth(n, false);
        (void)open_and_close(&opening);
        failed = mem_failures();
        mem_fail_nth(0, 0);
        assert_true(opening.rc == 0 || (failed > 0 && opening.rc < 0));
        assert_true(n < 1000);
    }
    return 0;
}

static void in_tasks(void **state)
{
    (void)state;
    assert_int_equal(run(waiting, NULL), 0);
    assert_int_equal(run(late, NULL), -ETIMEDOUT);
    assert_int_equal(run(addresses_do_not_wait, NULL), 0);
    assert_int_equal(run(without_memory, NULL), 0);
}

static void *answer(void *arg)
{
    while (n_slow == 0)
        poll(NULL, 0, 1);
    sem_post(&may_answer);
    return arg;
}

/* Where there is no task to wait, the thread does. */
static void on_timer(void *arg)
{
    pthread_t thread;
    n_slow = 0;
    assert_int_equal(pthread_create(&thread, NULL, answer, NULL), 0);
    (void)open_and_close(arg);
    pthread_join(thread, NULL);
    assert_true(pthread_equal(thread_of_slow, pthread_self()));
}

static int call_outside(void *arg)
{
    struct opening opening = { .host = "slow.test", .rc = 1 };
    (void)arg;
    assert_int_equal(tepal_loop_call(tepal_loop_current(), on_timer, &opening), 0);
    while (opening.rc == 1)
        assert_int_equal(tepal_sleep_ms(1), 0);
    return opening.rc;
}

static void outside_of_tasks(void **state)
{
    (void)state;
    assert_int_equal(run(call_outside, NULL), 0);
}

int main(void)
{
    sem_init(&may_answer, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_tasks),
        cmocka_unit_test(outside_of_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
