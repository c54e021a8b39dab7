/* The libuv peer of tepal-async: timers, as libuv knows no tasks. A million are set, at random
 * times within an hour; beside them others are started, a thousand at a time, and stopped. The same
 * order, times and median as in tepal_async.c. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum { REPEAT = 9, SET = 1000000, BATCH = 1000, BATCHES = 100, HOUR_MS = 3600 * 1000 };

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

static uint64_t random_time(void)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return 1 + (uint32_t)(seed >> 33) % HOUR_MS;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

static double round_ns(uv_timer_t *timers)
{
    double begin = cpu_ns();
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++)
            uv_timer_start(&timers[i], on_timer, random_time(), 0);
        for (int i = 0; i < BATCH; i++)
            uv_timer_stop(&timers[i]);
    }
    return (cpu_ns() - begin) / (BATCH * BATCHES);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("libuv %s\n", uv_version_string());
        return 0;
    }
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timers = calloc(SET + BATCH, sizeof *timers);
    if (!timers)
        return 1;
    for (int i = 0; i < SET + BATCH; i++) {
        uv_timer_init(loop, &timers[i]);
        if (i >= BATCH)
            uv_timer_start(&timers[i], on_timer, random_time(), 0);
    }
    double values[REPEAT];
    for (int i = 0; i < REPEAT; i++)
        values[i] = round_ns(timers);
    qsort(values, REPEAT, sizeof values[0], compare);
    printf("timer_insert_cancel_ns %.1f\n", values[REPEAT / 2]);
    free(timers);
    return 0;
}
