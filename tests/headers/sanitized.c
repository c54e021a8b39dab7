/* A program that is built with a sanitizer, and uses a libtepal that is not: what it does is right,
 * and the sanitizer must find nothing wrong. */
#include <tepal/async.h>

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static __attribute__((noinline)) void go_deep(int depth, jmp_buf *back, char *out)
{
    char frame[200];
    memset(frame, depth, sizeof(frame));
    if (depth == 0)
        longjmp(*back, 1);
    if (depth > 0)
        go_deep(depth - 1, back, frame);
    out[0] = frame[1];
}

/* Leaves frames for good, as an exception does. */
static void leave_frames(void)
{
    jmp_buf back;
    char out[10];
    if (setjmp(back) == 0)
        go_deep(20, &back, out);
}

/* Where those frames were. */
static __attribute__((noinline)) int use_their_place(void)
{
    char large[8000];
    memset(large, 1, sizeof(large));
    return ((volatile char *)large)[100];
}

static int increment(void *arg)
{
    char text[100];
    snprintf(text, sizeof(text), "%d", ++*(int *)arg);
    return (int)strlen(text);
}

static int work(void *arg)
{
    int rc = 0, n = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        leave_frames();
        rc = tepal_sleep_ms(*(int *)arg % 3);
    }
    if (rc == 0 && tepal_offload(increment, &n) != 1)
        rc = -EBADMSG;
    return rc < 0 ? rc : use_their_place() - n;
}

static int run_waves(void *arg)
{
    enum { N = 100 };
    int numbers[N], rc = 0;
    (void)arg;
    for (int wave = 0; wave < 3 && rc == 0; wave++) { /* each on the stacks of the one before */
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < N && rc == 0; i++) {
            numbers[i] = i;
            tepal_spawn_options options = { .stack_size = i % 10 == 0 ? 128 * 1024 : 0 };
            rc = tepal_spawn(group, work, &numbers[i], &options);
        }
        if (rc == 0)
            rc = tepal_group_wait(group);
        tepal_group_close(group);
    }
    return rc;
}

int main(void)
{
    int rc = tepal_main(run_waves, NULL);
    if (rc < 0)
        fprintf(stderr, "failed: %s\n", tepal_code_text(rc));
    return rc != 0;
}
