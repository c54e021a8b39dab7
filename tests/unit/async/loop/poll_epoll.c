/* Tests of the poller, without a loop. */
#include "../../check.h"

#include "async/loop/poll.h"
#include "base/mem.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct poller poller;
static int n_calls;

struct watched {
    struct io io;
    int n_calls;
    struct watched *victim; /* removed and closed when this one is called */
};

static void on_event(struct io *io)
{
    struct watched *w = CONTAINER_OF(io, struct watched, io);
    w->n_calls++;
    n_calls++;
    if (w->victim && w->victim->io.fd >= 0) {
        poller_remove(&poller, &w->victim->io);
        close(w->victim->io.fd);
        w->victim->io.fd = -1;
    }
}

static void watch(struct watched *w, int fd)
{
    *w = (struct watched){ .io = { .fd = fd, .fn = on_event } };
    assert_int_equal(poller_add(&poller, &w->io), 0);
}

/* One wait with what follows it. Returns how many functions were called. */
static int turn(int timeout_ms)
{
    n_calls = 0;
    int n = poller_wait(&poller, timeout_ms);
    assert_true(n >= 0);
    if (n > 0)
        poller_dispatch(&poller);
    return n_calls;
}

static int setup(void **state)
{
    (void)state;
    return poller_init(&poller);
}

static int teardown(void **state)
{
    (void)state;
    poller_clear(&poller);
    return 0;
}

static void new_pair(int *ends)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void edges(void **state)
{
    (void)state;
    int ends[2];
    char buffer[10];
    struct watched w;
    new_pair(ends);
    watch(&w, ends[0]);
    assert_int_equal(turn(-1), 1); /* writable from the beginning */
    assert_int_equal(w.io.state, IO_WRITE);
    assert_int_equal(turn(0), 0); /* no change, no call */
    assert_int_equal(write(ends[1], "ab", 2), 2);
    assert_int_equal(turn(-1), 1);
    assert_int_equal(w.io.state, IO_READ | IO_WRITE);
    assert_int_equal(turn(0), 0);
    assert_int_equal(write(ends[1], "c", 1), 1); /* a new edge, though not read yet */
    assert_int_equal(turn(-1), 1);
    assert_int_equal(read(ends[0], buffer, sizeof(buffer)), 3);
    w.io.state = 0;
    assert_int_equal(write(ends[1], "d", 1), 1);
    assert_int_equal(turn(-1), 1);
    assert_true(w.io.state & IO_READ);
    poller_remove(&poller, &w.io);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(turn(0), 0);
}

static void ends_of_conns(void **state)
{
    (void)state;
    int ends[2];
    struct watched w;
    new_pair(ends);
    watch(&w, ends[0]);
    assert_int_equal(turn(-1), 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    shutdown(ends[1], SHUT_WR); /* together with data */
    assert_int_equal(turn(-1), 1);
    assert_int_equal(w.io.state, IO_READ | IO_WRITE | IO_EOF);
    close(ends[1]);
    assert_int_equal(turn(-1), 1);
    assert_int_equal(w.io.state, IO_READ | IO_WRITE | IO_EOF | IO_HUP);
    poller_remove(&poller, &w.io);
    close(ends[0]);
}

static void refused_connection_is_an_end(void **state)
{
    (void)state;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);
    int closed = socket(AF_INET, SOCK_STREAM, 0); /* bound, so nobody else listens there */
    assert_int_equal(bind(closed, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(getsockname(closed, (struct sockaddr *)&addr, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct watched w;
    int rc = connect(fd, (struct sockaddr *)&addr, len);
    assert_true(rc < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    watch(&w, fd);
    assert_int_equal(turn(-1), 1);
    assert_int_equal(w.io.state, IO_READ | IO_WRITE | IO_EOF | IO_HUP);
    poller_remove(&poller, &w.io);
    close(fd);
    close(closed);
}

/* One of a batch removes another one of the same batch: that one is not called any more, whichever
 * of them comes first. */
static void removed_in_the_batch(void **state)
{
    (void)state;
    enum { N = 20 };
    struct watched all[N];
    int others[N];
    for (int i = 0; i < N; i++) {
        int ends[2];
        new_pair(ends);
        watch(&all[i], ends[0]);
        others[i] = ends[1];
    }
    for (int i = 0; i < N; i++)
        all[i].victim = &all[N - 1 - i];
    assert_int_equal(turn(-1), N / 2);
    for (int i = 0; i < N / 2; i++)
        assert_int_equal(all[i].n_calls + all[N - 1 - i].n_calls, 1);
    for (int i = 0; i < N; i++) {
        close(others[i]);
        if (all[i].io.fd >= 0) {
            poller_remove(&poller, &all[i].io);
            close(all[i].io.fd);
        }
    }
}

/* A descriptor may have a copy, in a child process that has not come to its exec() yet. */
static void removed_with_a_copy_open(void **state)
{
    (void)state;
    int ends[2];
    struct watched w;
    new_pair(ends);
    watch(&w, ends[0]);
    assert_int_equal(turn(-1), 1);
    int copy = dup(ends[0]);
    poller_remove(&poller, &w.io);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(turn(0), 0);
    assert_int_equal(w.n_calls, 1);
    close(copy);
    close(ends[1]);
}

static void pause_and_resume(void **state)
{
    (void)state;
    int ends[2];
    struct watched w;
    new_pair(ends);
    watch(&w, ends[0]);
    assert_int_equal(turn(-1), 1);
    assert_int_equal(poller_pause(&poller, &w.io), 0);
    w.io.state = 0;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(turn(0), 0);
    assert_int_equal(poller_resume(&poller, &w.io), 0); /* what has come meanwhile is told */
    assert_int_equal(turn(-1), 1);
    assert_int_equal(w.io.state, IO_READ | IO_WRITE);
    poller_remove(&poller, &w.io);
    close(ends[0]);
    close(ends[1]);
}

/* More descriptors than one batch holds. */
static void many(void **state)
{
    (void)state;
    enum { N = 600 };
    static struct watched all[N];
    struct rlimit old, wide;
    getrlimit(RLIMIT_NOFILE, &old);
    wide = old;
    if (wide.rlim_cur < N + 50)
        wide.rlim_cur = N + 50 < wide.rlim_max ? N + 50 : wide.rlim_max;
    setrlimit(RLIMIT_NOFILE, &wide);
    for (int i = 0; i < N; i++)
        watch(&all[i], eventfd(0, EFD_NONBLOCK));
    int called = 0, n;
    while ((n = turn(0)) > 0)
        called += n;
    assert_int_equal(called, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(all[i].n_calls, 1);
        assert_int_equal(all[i].io.state, IO_WRITE);
        poller_remove(&poller, &all[i].io);
        close(all[i].io.fd);
    }
    setrlimit(RLIMIT_NOFILE, &old);
}

/* How many full batches there may be is a matter of how many descriptors there are. */
static void batches_by_descriptors(void **state)
{
    enum { BATCH = 256 };
    static struct watched all[BATCH];
    (void)state;
    assert_int_equal(poller_max_batches(&poller), 1);
    for (int i = 0; i < BATCH; i++)
        watch(&all[i], eventfd(0, EFD_NONBLOCK));
    assert_int_equal(poller_max_batches(&poller), 2);
    struct io bad = { .fd = -1, .fn = on_event };
    assert_int_equal(poller_add(&poller, &bad), -EBADF);
    assert_int_equal(poller_max_batches(&poller), 2);
    for (int i = 0; i < BATCH; i++) {
        poller_remove(&poller, &all[i].io);
        close(all[i].io.fd);
        assert_int_equal(poller_max_batches(&poller), 1);
    }
}

static void failures(void **state)
{
    (void)state;
    struct poller other;
    mem_fail_nth(1, 0);
    assert_int_equal(poller_init(&other), -ENOMEM);
    mem_fail_nth(0, 0);
    struct rlimit old, tight;
    int free_fd = dup(0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = poller_init(&other);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    struct io io = { .fd = -1, .fn = on_event };
    assert_int_equal(poller_add(&poller, &io), -EBADF);
    io.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* epoll takes no files */
    assert_int_equal(poller_add(&poller, &io), -EPERM);
    close(io.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(edges),
        TEST(ends_of_conns),
        TEST(refused_connection_is_an_end),
        TEST(batches_by_descriptors),
        TEST(removed_in_the_batch),
        TEST(removed_with_a_copy_open),
        TEST(pause_and_resume),
        TEST(many),
        TEST(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
