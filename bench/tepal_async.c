/* What the async room costs, one figure a line: "switch_ns 7.9". bench/README.md says what each is.
 *
 * Each figure is the median of several repetitions of the CPU time of this thread, so that what
 * else runs on the machine does not count. It looks inside for two things: timers, as nothing
 * public sets one and cancels it without a task, and connections without a descriptor. */
#include "async/loop/timer.h"
#include "base/mem.h"
#include "net/conn/conn.h"

#include <tepal/async.h>
#include <tepal/net.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { REPEAT = 9, MAX_TIMERS = 1000000, MAX_SLEEPERS = 1000000 };

static void die(const char *what, int error)
{
    fprintf(stderr, "tepal-async: %s: %s\n", what, tepal_code_text(error));
    exit(1);
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of what fn(arg) returns. */
static double median_of(double (*fn)(void *arg), void *arg)
{
    double values[REPEAT];
    for (int i = 0; i < REPEAT; i++)
        values[i] = fn(arg);
    qsort(values, REPEAT, sizeof(values[0]), compare);
    return values[REPEAT / 2];
}

static void check(const char *what, int rc)
{
    if (rc < 0)
        die(what, rc);
}

static tepal_group *new_group(void)
{
    tepal_group *group = tepal_group_new();
    if (!group)
        die("tepal_group_new", -ENOMEM);
    return group;
}

/* --- Switching -------------------------------------------------------------------------------- */

enum { SWITCHES = 1000000 };

static int yield_often(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; i < SWITCHES && rc == 0; i++)
        rc = tepal_sleep_ms(0);
    return rc;
}

/* Two tasks give way to one another: there and back is one turn of each. */
static double switch_ns(void *arg)
{
    (void)arg;
    tepal_group *group = new_group();
    for (int i = 0; i < 2; i++)
        check("tepal_spawn", tepal_spawn(group, yield_often, NULL, NULL));
    double begin = cpu_ns();
    check("tepal_sleep_ms", tepal_group_wait(group));
    double each = (cpu_ns() - begin) / SWITCHES;
    tepal_group_close(group);
    return each;
}

/* --- Starting and joining --------------------------------------------------------------------- */

enum { SPAWNS = 300000 };

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* One task at a time is started, runs, ends, and is waited for. */
static double spawn_join_ns(void *arg)
{
    (void)arg;
    tepal_group *group = new_group();
    double begin = cpu_ns();
    for (int i = 0; i < SPAWNS; i++) {
        check("tepal_spawn", tepal_spawn(group, do_nothing, NULL, NULL));
        check("tepal_group_wait", tepal_group_wait(group));
    }
    double each = (cpu_ns() - begin) / SPAWNS;
    tepal_group_close(group);
    return each;
}

/* --- Many that come and go at once ------------------------------------------------------------ */

enum { WAVE = 1024, WAVES = 100, WARM_UP = 3, LEFT_OVER = 80000 };

static int yield_once(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(0);
}

static void run_waves(tepal_group *group, int n)
{
    for (int wave = 0; wave < n; wave++) {
        for (int i = 0; i < WAVE; i++)
            check("tepal_spawn", tepal_spawn(group, yield_once, NULL, NULL));
        check("tepal_group_wait", tepal_group_wait(group));
    }
}

/* All tasks of a wave are there at once, and have ended before those of the next one begin. */
static double wave_task_ns(void *arg)
{
    (void)arg;
    tepal_group *group = new_group();
    run_waves(group, WARM_UP);
    double begin = cpu_ns();
    run_waves(group, WAVES);
    double each = (cpu_ns() - begin) / (WAVES * WAVE);
    tepal_group_close(group);
    return each;
}

static int sleep_for_long(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(3600 * 1000);
}

/* Returns when all of them sleep, and leaves them and their group behind. */
static int leave_tasks(void *begin)
{
    tepal_group *group = new_group();
    for (int i = 0; i < LEFT_OVER; i++)
        check("tepal_spawn", tepal_spawn(group, sleep_for_long, NULL, NULL));
    check("tepal_sleep_ms", tepal_sleep_ms(100));
    *(double *)begin = cpu_ns();
    return 0;
}

static void *end_with_tasks(void *ms)
{
    double begin = 0;
    check("tepal_main", tepal_main(leave_tasks, &begin));
    *(double *)ms = (cpu_ns() - begin) / 1e6;
    return NULL;
}

/* A loop of its own, so in a thread of its own. */
static double end_80k_ms(void *arg)
{
    (void)arg;
    pthread_t thread;
    double ms = 0;
    int rc = pthread_create(&thread, NULL, end_with_tasks, &ms);
    if (rc != 0)
        die("pthread_create", -rc);
    pthread_join(thread, NULL);
    return ms;
}

/* --- Channels --------------------------------------------------------------------------------- */

enum { ITEMS = 1000000 };

static int send_items(void *arg)
{
    int rc = 0;
    for (uint64_t i = 0; i < ITEMS && rc == 0; i++)
        rc = tepal_channel_send(arg, &i);
    tepal_channel_end(arg);
    return rc;
}

static int receive_items(void *arg)
{
    uint64_t item;
    int rc = 0;
    for (uint64_t i = 0; i < ITEMS && rc == 0; i++) {
        rc = tepal_channel_receive(arg, &item);
        if (rc == 0 && item != i)
            return -EBADMSG;
    }
    return rc;
}

/* One task sends numbers, another one receives them. */
static double send_receive_ns(size_t capacity)
{
    tepal_group *group = new_group();
    tepal_channel *channel = tepal_channel_new(sizeof(uint64_t), capacity);
    if (!channel)
        die("tepal_channel_new", -ENOMEM);
    check("tepal_spawn", tepal_spawn(group, receive_items, channel, NULL));
    check("tepal_spawn", tepal_spawn(group, send_items, channel, NULL));
    double begin = cpu_ns();
    check("a channel", tepal_group_wait(group));
    double each = (cpu_ns() - begin) / ITEMS;
    tepal_group_close(group);
    tepal_channel_close(channel);
    return each;
}

static double channel_ns(void *arg)
{
    (void)arg;
    return send_receive_ns(64);
}

/* Without room: each item is a switch there and back. */
static double channel_unbuffered_ns(void *arg)
{
    (void)arg;
    return send_receive_ns(0);
}

/* --- Timers ----------------------------------------------------------------------------------- */

enum { HOUR_MS = 3600 * 1000, TIMER_BATCH = 1000, TIMER_BATCHES = 500 };

struct timer_bench {
    struct timers wheel;
    struct timer *set, *timers; /* those that stay set, and those that come and go */
    uint64_t seed;
};

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static double timer_round(void *arg)
{
    struct timer_bench *b = arg;
    double begin = cpu_ns();
    for (int batch = 0; batch < TIMER_BATCHES; batch++) {
        for (int i = 0; i < TIMER_BATCH; i++)
            timer_set(&b->wheel, &b->timers[i], 1 + next_random(&b->seed) % HOUR_MS);
        for (int i = 0; i < TIMER_BATCH; i++)
            timer_cancel(&b->timers[i]);
    }
    return (cpu_ns() - begin) / (TIMER_BATCH * TIMER_BATCHES);
}

/* A million timers are set, at random times within an hour. Beside them others are set, a thousand
 * at a time, and cancelled, as those of requests are that are answered in time. */
static double timer_insert_cancel_ns(void *arg)
{
    (void)arg;
    struct timer_bench b = { .seed = 1 };
    b.set = calloc(MAX_TIMERS, sizeof(*b.set));
    b.timers = calloc(TIMER_BATCH, sizeof(*b.timers));
    if (!b.set || !b.timers)
        die("timers", -ENOMEM);
    timers_init(&b.wheel, 0);
    for (int i = 0; i < MAX_TIMERS; i++) {
        timer_init(&b.set[i], NULL);
        timer_set(&b.wheel, &b.set[i], 1 + next_random(&b.seed) % HOUR_MS);
    }
    for (int i = 0; i < TIMER_BATCH; i++)
        timer_init(&b.timers[i], NULL);
    double each = median_of(timer_round, &b);
    free(b.timers);
    free(b.set);
    return each;
}

/* --- Sleeping tasks --------------------------------------------------------------------------- */

static int n_asleep;

static int sleep_an_hour(void *arg)
{
    (void)arg;
    n_asleep++;
    return tepal_sleep_ms(HOUR_MS);
}

/* A line of a file in /proc, in octets; 0 where there is none. */
static double proc_size(const char *path, const char *name)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtod(line + strlen(name), NULL);
    if (f)
        fclose(f);
    return kib * 1024;
}

/* How many tasks may sleep at once without taking more than half of the memory that is free. */
static int affordable_sleepers(void)
{
    enum { OCTETS_EACH = 6000 };
    double available = proc_size("/proc/meminfo", "MemAvailable:");
    if (available == 0 || available / 2 > (double)MAX_SLEEPERS * OCTETS_EACH)
        return MAX_SLEEPERS;
    int n = (int)(available / 2 / OCTETS_EACH);
    fprintf(stderr, "tepal-async: %.1f GB of memory are available: only %d tasks sleep\n",
            available / 1e9, n);
    return n;
}

/* All memory of the process, with its page tables, divided by the tasks. */
static double sleeping_tasks_bytes_each(void *arg)
{
    (void)arg;
    int n = affordable_sleepers();
    double begin = cpu_ns();
    tepal_group *group = new_group();
    n_asleep = 0;
    for (int i = 0; i < n; i++)
        check("tepal_spawn", tepal_spawn(group, sleep_an_hour, NULL, NULL));
    while (n_asleep < n)
        check("tepal_sleep_ms", tepal_sleep_ms(1));
    double asleep = cpu_ns();
    double octets =
        proc_size("/proc/self/status", "VmRSS:") + proc_size("/proc/self/status", "VmPTE:");
    double measured = cpu_ns();
    tepal_group_close(group);
    fprintf(stderr, "tepal-async: %d tasks: %.0f ns each to start, %.0f ns to end\n", n,
            (asleep - begin) / n, (cpu_ns() - measured) / n);
    return octets / n;
}

/* --- Cancelling ------------------------------------------------------------------------------- */

enum { MAX_BLOCKED = 100000 };

struct blocked {
    tepal_conn *conn;
    int result;
};

static int n_blocked;

static int read_in_vain(void *arg)
{
    struct blocked *b = arg;
    char buffer[64];
    n_blocked++;
    b->result = (int)tepal_conn_read(b->conn, buffer, sizeof(buffer));
    return b->result;
}

/* How many descriptors are open; the one that is used to count is always the same. */
static int open_descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        n++;
    if (folder)
        closedir(folder);
    return n;
}

/* Raises the limit of open descriptors as far as n, and returns how many of n may be opened. */
static int may_open(int n)
{
    enum { OTHERS = 100 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = (rlim_t)n + OTHERS;
    if (limit.rlim_cur >= wanted)
        return n;
    rlim_t hard = limit.rlim_max < wanted ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ wanted, hard }) == 0)
        return n;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return (int)limit.rlim_cur - OTHERS;
}

/* A connection without a descriptor, on which nothing ever comes. */
static ssize_t read_nothing(tepal_conn *conn, void *buffer, size_t size)
{
    (void)conn;
    (void)buffer;
    (void)size;
    return -EAGAIN;
}

static tepal_conn *new_silent_conn(void)
{
    static const struct conn_ops ops = { .read = read_nothing };
    tepal_conn *conn = mem_zalloc(sizeof(*conn));
    if (!conn)
        die("mem_zalloc", -ENOMEM);
    conn->io.fd = -1;
    conn->ops = &ops;
    return conn;
}

/* Connections of this process with itself. A task will wait at each end: there are n tasks. */
static void connect_all(struct blocked *blocked, int n)
{
    char path[64];
    snprintf(path, sizeof(path), "@tepal-async-%d", (int)getpid());
    tepal_listener *listener;
    check("tepal_listener_open",
          tepal_listener_open(&listener, &(tepal_listener_options){ .path = path }));
    for (int i = 0; i < n; i += 2) {
        check("tepal_conn_open_unix", tepal_conn_open_unix(&blocked[i].conn, path));
        check("tepal_listener_open_conn", tepal_listener_open_conn(listener, &blocked[i + 1].conn));
    }
    tepal_listener_close(listener);
}

/* From the call that cancels all tasks, each blocked in a read, until the last one has ended. */
static double cancel_all(struct blocked *blocked, int n)
{
    tepal_group *group = new_group();
    n_blocked = 0;
    for (int i = 0; i < n; i++)
        check("tepal_spawn", tepal_spawn(group, read_in_vain, &blocked[i], NULL));
    while (n_blocked < n)
        check("tepal_sleep_ms", tepal_sleep_ms(1));
    int64_t begin = tepal_now_us();
    tepal_group_cancel(group);
    int rc = tepal_group_wait(group);
    double ms = (double)(tepal_now_us() - begin) / 1000;
    tepal_group_close(group);
    for (int i = 0; i < n && rc == -ECANCELED; i++)
        rc = blocked[i].result;
    if (rc != -ECANCELED)
        die("a read that was cancelled", rc);
    return ms;
}

static double cancel_100k_ms(void *arg)
{
    (void)arg;
    int before = open_descriptors(), n_sockets = may_open(MAX_BLOCKED) & ~1;
    if (n_sockets < MAX_BLOCKED)
        fprintf(stderr,
                "tepal-async: only %d of %d connections are sockets, as ulimit -n is so low; "
                "the others have no descriptor\n",
                n_sockets, MAX_BLOCKED);
    struct blocked *blocked = calloc(MAX_BLOCKED, sizeof(*blocked));
    if (!blocked)
        die("calloc", -ENOMEM);
    connect_all(blocked, n_sockets);
    for (int i = n_sockets; i < MAX_BLOCKED; i++)
        blocked[i].conn = new_silent_conn();
    double ms = cancel_all(blocked, MAX_BLOCKED);
    for (int i = 0; i < MAX_BLOCKED; i++)
        tepal_conn_close(blocked[i].conn);
    free(blocked);
    if (open_descriptors() != before)
        die("descriptors are left open", -EMFILE);
    return ms;
}

/* --- The program ------------------------------------------------------------------------------ */

struct figure {
    const char *name;
    double (*fn)(void *arg);
    int digits;
    bool once; /* it takes its median itself, or needs none */
};

static const struct figure figures[] = {
    { "switch_ns", switch_ns, 1, false },
    { "spawn_join_ns", spawn_join_ns, 1, false },
    { "wave_task_ns", wave_task_ns, 1, false },
    { "end_80k_ms", end_80k_ms, 1, true },
    { "channel_ns", channel_ns, 1, false },
    { "channel_unbuffered_ns", channel_unbuffered_ns, 1, false },
    { "timer_insert_cancel_ns", timer_insert_cancel_ns, 1, true },
    { "sleeping_tasks_bytes_each", sleeping_tasks_bytes_each, 0, true },
    { "cancel_100k_ms", cancel_100k_ms, 1, true },
};

enum { N_FIGURES = sizeof(figures) / sizeof(figures[0]) };

static bool is_wanted(const char *name, char **wanted)
{
    if (!*wanted)
        return true;
    for (; *wanted; wanted++)
        if (strcmp(*wanted, name) == 0)
            return true;
    return false;
}

static int measure_all(void *arg)
{
    for (int i = 0; i < N_FIGURES; i++) {
        const struct figure *figure = &figures[i];
        if (!is_wanted(figure->name, arg))
            continue;
        double value = figure->once ? figure->fn(NULL) : median_of(figure->fn, NULL);
        printf("%s %.*f\n", figure->name, figure->digits, value);
        fflush(stdout);
    }
    return 0;
}

static bool is_known(const char *name)
{
    for (int i = 0; i < N_FIGURES; i++)
        if (strcmp(figures[i].name, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (is_known(argv[i]))
            continue;
        fprintf(stderr, "usage: tepal-async [FIGURE...]\n\nfigures (all of them):\n");
        for (int n = 0; n < N_FIGURES; n++)
            fprintf(stderr, "  %s\n", figures[n].name);
        return 2;
    }
    return tepal_main(measure_all, argv + 1) == 0 ? 0 : 1;
}
