/* Tests of the lines that wait to be written, and of how they are. */
#include "../check.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/sink.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG = 9000 }; /* octets of a line that is over PIPE_BUF */

static char told[512]; /* the last line of the program's log */
static int n_told;

static void keep(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    (void)level;
    snprintf(told, sizeof(told), "%s", text);
    n_told++;
}

static int setup(void **state)
{
    (void)state;
    n_told = 0;
    told[0] = '\0';
    tepal_log_set_fn(keep, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    tepal_log_set_max_buffer(0);
    return 0;
}

static struct sink *open_sink(int fd)
{
    struct sink *sink = NULL;
    assert_int_equal(sink_open(&sink, fd), 0);
    return sink;
}

/* A line with a number, and as many octets in all. */
static const char *numbered(int i, size_t len)
{
    static _Thread_local char line[LONG + 1];
    memset(line, 'x', len);
    int n = snprintf(line, len, "%d", i);
    line[n] = ' ';
    line[len - 1] = '\n';
    line[len] = '\0';
    return line;
}

static void write_numbered(struct sink *sink, int first, int end, size_t len)
{
    for (int i = first; i < end; i++)
        sink_write(sink, numbered(i, len), len);
}

/* Makes room for whole pages: the pipe is emptied. Returns how many octets it had. */
static size_t take(int fd, char *out, size_t size)
{
    size_t got = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t n; got < size && (n = read(fd, out + got, size - got)) > 0;)
        got += (size_t)n;
    return got;
}

/* Checks that text has these lines, one after the other. */
static void assert_numbered(const char *text, size_t got, int first, int end, size_t len)
{
    assert_int_equal(got, (size_t)(end - first) * len);
    for (int i = first; i < end; i++, text += len)
        assert_memory_equal(text, numbered(i, len), len);
}

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, "fill", 4) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

/* --- Readers ---------------------------------------------------------------------------------- */

/* Nothing waits, nothing is lost below the bound, and the order stays. */
static void a_reader_that_stands_still(void **state)
{
    (void)state;
    static char text[300 * 1024];
    static const size_t lens[] = { 100, LONG };
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        for (size_t i = 0; i < 2; i++) {
            int ends[2], n = (int)(200 * 1024 / lens[i]);
            assert_int_equal(pipe(ends), 0);
            fcntl(ends[1], F_SETFL, nonblocking ? O_NONBLOCK : 0);
            struct sink *sink = open_sink(ends[1]);
            write_numbered(sink, 0, n, lens[i]);
            assert_true(sink_is_waiting());
            size_t got = 0;
            while (sink_flush(true) >= 0)
                got += take(ends[0], text + got, sizeof(text) - got);
            got += take(ends[0], text + got, sizeof(text) - got);
            assert_numbered(text, got, 0, n, lens[i]);
            assert_false(sink_is_waiting());
            assert_int_equal(n_told, 0);
            assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, nonblocking ? O_NONBLOCK : 0);
            sink_close(sink);
            close(ends[0]);
            close(ends[1]);
        }
    }
}

/* With a full pipe: how many of n lines of 1024 octets are lost. */
static int lost_of(int n)
{
    static char text[128 * 1024];
    int ends[2], lost = 0;
    assert_int_equal(pipe(ends), 0);
    fill(ends[1]);
    struct sink *sink = open_sink(ends[1]);
    n_told = 0;
    write_numbered(sink, 0, n, 1024);
    assert_int_equal(n_told, 0);
    take(ends[0], text, sizeof(text));
    assert_int_equal(sink_flush(true), -1);
    size_t got = take(ends[0], text, sizeof(text));
    if (n_told > 0) {
        char end[64];
        lost = atoi(told);
        snprintf(end, sizeof(end), "of the log on descriptor %d %s lost: its reader was too slow",
                 ends[1], lost == 1 ? "was" : "were");
        assert_non_null(strstr(told, end));
        assert_int_equal(n_told, 1);
    }
    assert_numbered(text, got, 0, n - lost, 1024);
    write_numbered(sink, 7, 8, 1024); /* and then it goes on */
    assert_numbered(text, take(ends[0], text, sizeof(text)), 7, 8, 1024);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
    return lost;
}

static void the_bound(void **state)
{
    (void)state;
    tepal_log_set_max_buffer(40 * 1024);
    assert_int_equal(lost_of(39), 0);
    assert_int_equal(lost_of(40), 0);
    assert_int_equal(lost_of(41), 1);
    assert_int_equal(lost_of(60), 20);
    tepal_log_set_max_buffer(16 * 1024 - 1); /* counts as the least */
    assert_int_equal(lost_of(16), 0);
    assert_int_equal(lost_of(17), 1);
}

static void the_default_bound(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fill(ends[1]);
    struct sink *sink = open_sink(ends[1]);
    write_numbered(sink, 0, 1024 + 3, 1024);
    close(ends[0]);
    sink_close(sink); /* tells all that was not written */
    assert_int_equal(atoi(told), 1024 + 3);
    close(ends[1]);
}

/* Where memory is short fewer lines are kept. */
static void no_memory(void **state)
{
    (void)state;
    mem_fail_nth(1, 0);
    struct sink *none = NULL;
    assert_int_equal(sink_open(&none, 100), -ENOMEM);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fill(ends[1]);
    struct sink *sink = open_sink(ends[1]);
    mem_fail_nth(1, 1);
    write_numbered(sink, 0, 100, 1024);
    mem_fail_nth(0, 0);
    static char text[128 * 1024];
    take(ends[0], text, sizeof(text));
    sink_flush(true);
    assert_numbered(text, take(ends[0], text, sizeof(text)), 0, 32, 1024);
    assert_int_equal(atoi(told), 68);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
}

static volatile sig_atomic_t n_signals;

static void on_signal(int signal)
{
    (void)signal;
    n_signals++;
}

/* The signal is none, whatever the program does with it; one that waits already stays. */
static void a_reader_that_has_gone(void **state)
{
    (void)state;
    sigset_t one, waiting;
    sigemptyset(&one);
    sigaddset(&one, SIGPIPE);
    for (int blocked = 0; blocked < 3; blocked++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        struct sink *sink = open_sink(ends[1]);
        close(ends[0]);
        n_signals = 0;
        signal(SIGPIPE, on_signal);
        if (blocked)
            sigprocmask(SIG_BLOCK, &one, NULL);
        if (blocked == 2)
            raise(SIGPIPE);
        write_numbered(sink, 0, 3, 100);
        assert_int_equal(n_signals, 0);
        sigpending(&waiting);
        assert_int_equal(sigismember(&waiting, SIGPIPE), blocked == 2);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
        assert_int_equal(n_signals, blocked == 2);
        signal(SIGPIPE, SIG_DFL);
        sink_close(sink);
        assert_int_equal(atoi(told), 3);
        assert_non_null(strstr(told, "Broken pipe"));
        close(ends[1]);
    }
}

/* A pipe with a name gets a new reader, which finds what the first one has left, and the rest. */
static void a_reader_that_comes_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/tepal-sink-XXXXXX", path[64];
    static char text[128 * 1024];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int in = open(path, O_RDONLY | O_NONBLOCK), out = open(path, O_WRONLY);
    struct sink *sink = open_sink(out);
    write_numbered(sink, 0, 10, LONG); /* the last that goes out is cut */
    close(in);
    sink_flush(true);
    in = open(path, O_RDONLY | O_NONBLOCK);
    size_t got = 0;
    while (sink_flush(true) >= 0)
        got += take(in, text + got, sizeof(text) - got);
    got += take(in, text + got, sizeof(text) - got);
    assert_numbered(text, got, 0, 10, LONG);
    sink_close(sink);
    close(in);
    close(out);
    unlink(path);
    rmdir(folder);
}

/* --- Files ------------------------------------------------------------------------------------ */

static int open_file(int flags)
{
    char path[] = "/tmp/tepal-sink-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    int again = open(path, O_RDWR | flags);
    close(fd);
    unlink(path);
    return again;
}

static void limit_files(rlim_t octets)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = octets == RLIM_INFINITY ? limit.rlim_max : octets;
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* As on a disk that is full, and then is not: the line that was cut becomes whole. */
static void a_file_with_a_limit(void **state)
{
    (void)state;
    char text[4096];
    int fd = open_file(O_APPEND);
    struct sink *sink = open_sink(fd);
    n_signals = 0;
    signal(SIGXFSZ, on_signal);
    limit_files(250);
    write_numbered(sink, 0, 8, 100);
    assert_int_equal(lseek(fd, 0, SEEK_END), 250);
    limit_files(RLIM_INFINITY);
    assert_int_equal(sink_flush(true), -1);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(n_signals, 0);
    assert_numbered(text, (size_t)pread(fd, text, sizeof(text), 0), 0, 8, 100);
    assert_int_equal(n_told, 0);
    sink_close(sink);
    close(fd);
}

/* What was lost is told with its cause when there is room. */
static void losses_of_a_file(void **state)
{
    (void)state;
    int fd = open_file(O_APPEND);
    struct sink *sink = open_sink(fd);
    tepal_log_set_max_buffer(16 * 1024);
    signal(SIGXFSZ, on_signal);
    limit_files(1024);
    write_numbered(sink, 0, 1 + 16 + 5, 1024);
    limit_files(RLIM_INFINITY);
    assert_int_equal(n_told, 0);
    assert_int_equal(sink_flush(true), -1);
    assert_int_equal(n_told, 1);
    assert_int_equal(atoi(told), 5);
    assert_non_null(strstr(told, "File too large"));
    assert_int_equal(lseek(fd, 0, SEEK_END), 17 * 1024);
    signal(SIGXFSZ, SIG_DFL);
    sink_close(sink);
    close(fd);
}

/* While a line is cut the file is emptied, or others add to it: the line is written anew. */
static void a_cut_line_and_others(void **state)
{
    (void)state;
    char text[4096];
    for (int added = 0; added < 2; added++) {
        int fd = open_file(O_APPEND);
        struct sink *sink = open_sink(fd);
        signal(SIGXFSZ, on_signal);
        limit_files(150);
        write_numbered(sink, 0, 3, 100);
        limit_files(RLIM_INFINITY);
        signal(SIGXFSZ, SIG_DFL);
        if (added)
            assert_int_equal(write(fd, "other\n", 6), 6);
        else
            assert_int_equal(ftruncate(fd, 0), 0);
        sink_flush(true);
        size_t n = (size_t)pread(fd, text, sizeof(text), 0), before = added ? 156 : 0;
        assert_numbered(text + before, n - before, 1, 3, 100);
        sink_close(sink);
        close(fd);
    }
}

/* What counts of a standard descriptor is its number: the program may put another file there, or
 * close it. In a child, whose status is the line where it failed. */
static int use_standard_output(void)
{
    char text[4096];
    int fds[2] = { open_file(O_APPEND), open_file(O_APPEND) };
    dup2(fds[0], STDOUT_FILENO);
    struct sink *sink = open_sink(STDOUT_FILENO);
    signal(SIGXFSZ, on_signal);
    limit_files(150);
    write_numbered(sink, 0, 3, 100);
    dup2(fds[1], STDOUT_FILENO);
    limit_files(RLIM_INFINITY);
    if (sink_flush(true) != -1 || pread(fds[1], text, sizeof(text), 0) != 200 || atoi(text) != 1 ||
        atoi(text + 100) != 2)
        return 1;
    close(STDOUT_FILENO);
    sink_write(sink, numbered(3, 100), 100);
    int fd = open_file(0);
    sink_write(sink, numbered(4, 100), 100);
    return fd == STDOUT_FILENO || lseek(fd, 0, SEEK_END) != 0 || sink_is_waiting() ? 2 : 0;
}

static void a_standard_descriptor(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(use_standard_output());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Another process was cut by the full disk: its line is ended, and ours begin after it. */
static void a_cut_line_of_another(void **state)
{
    (void)state;
    char text[4096];
    int fd = open_file(O_APPEND);
    struct sink *sink = open_sink(fd);
    assert_int_equal(write(fd, "cut", 3), 3);
    signal(SIGXFSZ, on_signal);
    limit_files(3);
    write_numbered(sink, 0, 2, 100);
    limit_files(RLIM_INFINITY);
    signal(SIGXFSZ, SIG_DFL);
    sink_flush(true);
    ssize_t n = pread(fd, text, sizeof(text), 0);
    assert_memory_equal(text, "cut\n", 4);
    assert_numbered(text + 4, (size_t)n - 4, 0, 2, 100);
    sink_close(sink);
    close(fd);
}

/* The program closes its descriptor, and the number becomes another file. */
static void the_descriptor_is_a_duplicate(void **state)
{
    (void)state;
    char text[4096];
    int fd = open_file(O_APPEND), read_fd = dup(fd);
    struct sink *sink = open_sink(fd);
    int other = open_file(0);
    assert_int_equal(dup2(other, fd), fd);
    write_numbered(sink, 0, 2, 100);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    assert_numbered(text, (size_t)pread(read_fd, text, sizeof(text), 0), 0, 2, 100);
    sink_close(sink);
    close(fd);
    close(other);
    close(read_fd);
}

static void a_descriptor_that_is_not_open(void **state)
{
    (void)state;
    struct sink *sink = open_sink(999);
    assert_non_null(sink);
    write_numbered(sink, 0, 2, 100);
    sink_close(sink);
    assert_non_null(strstr(told, "2 lines of the log on descriptor 999 were lost: Bad file"));
}

/* --- Sockets ---------------------------------------------------------------------------------- */

static void a_stream_socket(void **state)
{
    (void)state;
    static char text[1024 * 1024];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct sink *sink = open_sink(ends[1]);
    write_numbered(sink, 0, 100, LONG);
    size_t got = 0;
    while (sink_flush(true) >= 0)
        got += take(ends[0], text + got, sizeof(text) - got);
    got += take(ends[0], text + got, sizeof(text) - got);
    assert_numbered(text, got, 0, 100, LONG);
    close(ends[0]);
    write_numbered(sink, 0, 1, 100); /* no signal */
    sink_close(sink);
    assert_int_equal(atoi(told), 1);
    close(ends[1]);
}

static void a_datagram_is_a_line(void **state)
{
    (void)state;
    char text[4096];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    struct sink *sink = open_sink(ends[1]);
    for (int i = 0; i < 3; i++)
        sink_put(sink, numbered(i, 100), 100);
    assert_int_equal(sink_flush(true), -1);
    for (int i = 0; i < 3; i++)
        assert_numbered(text, (size_t)recv(ends[0], text, sizeof(text), MSG_DONTWAIT), i, i + 1,
                        100);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
}

/* --- Many lines, processes, threads ----------------------------------------------------------- */

/* Lines that are put are written together: by many, or after a moment. */
static void batches(void **state)
{
    (void)state;
    static char text[128 * 1024];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct sink *sink = open_sink(ends[1]);
    sink_put(sink, numbered(0, 100), 100);
    assert_true(sink_is_waiting());
    assert_int_equal(take(ends[0], text, sizeof(text)), 0);
    assert_int_equal(sink_flush(false), -1); /* after a pause it is due at once */
    assert_numbered(text, take(ends[0], text, sizeof(text)), 0, 1, 100);
    int n = 0;
    while (take(ends[0], text, sizeof(text)) == 0)
        sink_put(sink, numbered(n++, 100), 100);
    assert_in_range(n, 2, 1000);
    while (sink_flush(false) >= 0)
        usleep(100);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
}

/* The lines of two processes that write into the same pipe, which is mostly full, are whole. */
static void processes_and_one_pipe(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip();
    enum { N = 200, WRITERS = 2 };
    static char text[WRITERS * (N * LONG + N / 2 * 100)];
    tepal_log_set_max_buffer(TEPAL_UNLIMITED);
    for (int shared = 0; shared < 2; shared++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        for (int w = 0; w < WRITERS; w++) {
            if (fork() != 0)
                continue;
            char path[64];
            snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
            struct sink *sink = open_sink(shared ? ends[1] : open(path, O_WRONLY));
            for (int i = 0; i < N; i++) {
                sink_write(sink, numbered(i, LONG), LONG);
                if (i % 2)
                    sink_write(sink, numbered(i, 100), 100);
            }
            while (sink_flush(true) >= 0)
                usleep(100);
            _exit(0);
        }
        close(ends[1]);
        size_t got = 0;
        for (ssize_t n; (n = read(ends[0], text + got, sizeof(text) - got)) > 0;)
            got += (size_t)n;
        close(ends[0]);
        for (int w = 0; w < WRITERS; w++)
            wait(NULL);
        assert_int_equal(got, sizeof(text));
        for (const char *p = text, *end; p < text + got; p = end + 1) {
            end = memchr(p, '\n', (size_t)(text + got - p));
            assert_non_null(end);
            size_t len = (size_t)(end + 1 - p);
            assert_true(len == LONG || len == 100);
            char number[16] = { 0 };
            memcpy(number, p, sizeof(number) - 1);
            assert_memory_equal(p, numbered(atoi(number), len), len);
        }
    }
}

/* What waits is the parent's to write, and the child has a log all the same. */
static void a_forked_child(void **state)
{
    (void)state;
    static char text[128 * 1024];
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    struct sink *sink = open_sink(ends[1]);
    sink_put(sink, numbered(1, 100), 100);
    pid_t child = fork();
    if (child == 0) {
        sink_flush(true);
        sink_write(sink, numbered(0, 100), 100);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    sink_flush(true);
    assert_numbered(text, take(ends[0], text, sizeof(text)), 0, 2, 100);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
}

static void *write_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        sink_write(arg, numbered(i, 100), 100);
    return NULL;
}

static void threads_and_a_fork(void **state)
{
    (void)state;
    enum { N = 3 };
    static char text[N * 500 * 100 + 1];
    pthread_t threads[N];
    int fd = open_file(O_APPEND);
    struct sink *sink = open_sink(fd);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, sink), 0);
    for (int i = 0; i < 10 && !SANITIZED; i++) {
        pid_t child = fork();
        if (child == 0) { /* whatever the threads are at */
            sink_flush(true);
            _exit(0);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sink_flush(true), -1);
    assert_int_equal(pread(fd, text, sizeof(text), 0), N * 500 * 100);
    for (char *p = text; p < text + N * 500 * 100; p += 100)
        assert_memory_equal(p, numbered(atoi(p), 100), 100);
    sink_close(sink);
    close(fd);
}

/* --- The end ---------------------------------------------------------------------------------- */

/* It waits for a reader, but not for ever, and not twice. */
static void the_end_is_bounded(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fill(ends[1]);
    struct sink *sink = open_sink(ends[1]);
    write_numbered(sink, 0, 1, 100);
    sink_flush_within(20);
    assert_true(sink_is_waiting());
    sink_flush_within(INT32_MAX);
    assert_true(sink_is_waiting());
    close(ends[0]);
    sink_close(sink);
    close(ends[1]);
}

static void *read_later(void *arg)
{
    static char text[128 * 1024];
    usleep(20 * 1000);
    ssize_t n = read(*(int *)arg, text, sizeof(text));
    return (void *)n;
}

static void the_end_waits_for_a_reader(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe(ends), 0);
    fill(ends[1]);
    struct sink *sink = open_sink(ends[1]);
    write_numbered(sink, 0, 1, 100);
    assert_int_equal(pthread_create(&thread, NULL, read_later, &ends[0]), 0);
    sink_flush_within(60 * 1000);
    assert_false(sink_is_waiting());
    pthread_join(thread, NULL);
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_that_stands_still),
        TEST(the_bound),
        TEST(the_default_bound),
        TEST(no_memory),
        TEST(a_reader_that_has_gone),
        TEST(a_reader_that_comes_back),
        TEST(a_file_with_a_limit),
        TEST(losses_of_a_file),
        TEST(a_cut_line_and_others),
        TEST(a_cut_line_of_another),
        TEST(the_descriptor_is_a_duplicate),
        TEST(a_standard_descriptor),
        TEST(a_descriptor_that_is_not_open),
        TEST(a_stream_socket),
        TEST(a_datagram_is_a_line),
        TEST(batches),
        TEST(processes_and_one_pipe),
        TEST(a_forked_child),
        TEST(threads_and_a_fork),
        TEST(the_end_is_bounded),
        TEST(the_end_waits_for_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
