/* A program from beginning to end: three tasks move what goes in and comes out, so that neither
 * side can wait for the other, while the caller waits for them and then for the program. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#include <tepal/process.h>
#include <tepal/task.h>

#include <errno.h>
#include <string.h>

enum { CHUNK = 16 * 1024 };

#define DEFAULT_MAX_OUTPUT ((size_t)1024 * 1024)

struct running {
    tepal_process *process;
    tepal_group *group; /* of the tasks that move octets */
    tepal_bytes input;
    struct buf output, errors;
    size_t len, max; /* of both together */
    int error;       /* the first one of a task */
};

/* A task fails: the others need not go on. */
static void fail(struct running *run, int error)
{
    if (run->error == 0)
        run->error = error;
    tepal_group_cancel(run->group);
}

static int feed(void *arg)
{
    struct running *run = arg;
    tepal_conn *pipe = tepal_process_stdin(run->process);
    int rc = tepal_conn_write(pipe, run->input.data, run->input.len);
    tepal_conn_close(pipe);
    /* A program need not read all of its input. */
    if (rc < 0 && rc != -EPIPE)
        fail(run, rc);
    return 0;
}

static void take(struct running *run, tepal_conn *pipe, struct buf *buf)
{
    while (true) {
        size_t left = run->max - run->len;
        size_t some = left < CHUNK ? left + 1 : CHUNK; /* one too many is to be seen */
        ssize_t n = buf_reserve(buf, some + 1);
        if (n == 0)
            n = tepal_conn_read(pipe, buf->data + buf->len, some);
        if (n == 0)
            return;
        if (n > 0 && (size_t)n > run->max - run->len) /* the other task has read, too */
            n = -EFBIG;
        if (n < 0) {
            fail(run, (int)n);
            return;
        }
        buf->len += (size_t)n;
        run->len += (size_t)n;
    }
}

static int take_output(void *arg)
{
    struct running *run = arg;
    take(run, tepal_process_stdout(run->process), &run->output);
    return 0;
}

static int take_errors(void *arg)
{
    struct running *run = arg;
    take(run, tepal_process_stderr(run->process), &run->errors);
    return 0;
}

static int move_octets(struct running *run)
{
    int rc = 0;
    if (tepal_process_stdin(run->process))
        rc = tepal_spawn(run->group, feed, run, &(tepal_spawn_options){ .name = "process input" });
    if (rc == 0 && tepal_process_stdout(run->process))
        rc = tepal_spawn(run->group, take_output, run,
                         &(tepal_spawn_options){ .name = "process output" });
    if (rc == 0 && tepal_process_stderr(run->process))
        rc = tepal_spawn(run->group, take_errors, run,
                         &(tepal_spawn_options){ .name = "process errors" });
    if (rc == 0)
        rc = tepal_group_wait(run->group);
    return rc < 0 ? rc : run->error;
}

static int run_to_end(struct running *run, const char *const *argv,
                      const tepal_process_options *options, tepal_process_status *status)
{
    run->group = tepal_group_new();
    if (!run->group)
        return -ENOMEM;
    int rc = tepal_process_open(&run->process, argv, options);
    if (rc == 0)
        rc = move_octets(run);
    if (rc == 0)
        rc = tepal_process_wait(run->process, status);
    tepal_group_close(run->group);
    tepal_process_close(run->process);
    return rc;
}

/* Turns the buffer into a result, with a NUL behind. */
static int give(struct buf *buf, tepal_bytes *bytes)
{
    int rc = buf_reserve(buf, 1);
    if (rc < 0)
        return rc;
    buf->data[buf->len] = '\0';
    *bytes = (tepal_bytes){ .data = buf->data, .len = buf->len };
    buf->data = NULL;
    return 0;
}

int tepal_process_run(const char *const *argv, const tepal_process_options *options,
                      tepal_process_result *result)
{
    if (!result)
        misuse("tepal_process_run", "there is no place for the result");
    tepal_process_options o = options ? *options : (tepal_process_options){ 0 };
    struct running run = { .input = o.input };
    run.max = o.max_output ? o.max_output : DEFAULT_MAX_OUTPUT;
    if (o.in == TEPAL_STDIO_DEFAULT)
        o.in = o.input.len > 0 ? TEPAL_STDIO_PIPE : TEPAL_STDIO_NULL;
    if (o.out == TEPAL_STDIO_DEFAULT)
        o.out = TEPAL_STDIO_PIPE;
    if (o.err == TEPAL_STDIO_DEFAULT)
        o.err = TEPAL_STDIO_PIPE;
    if (o.input.len > 0 && o.in != TEPAL_STDIO_PIPE)
        misuse("tepal_process_run", "there is an input, but no pipe for it");
    buf_init(&run.output, TEPAL_UNLIMITED);
    buf_init(&run.errors, TEPAL_UNLIMITED);
    memset(result, 0, sizeof(*result));
    int rc = run_to_end(&run, argv, &o, &result->status);
    if (rc == 0)
        rc = give(&run.output, &result->output);
    if (rc == 0)
        rc = give(&run.errors, &result->errors);
    buf_clear(&run.output);
    buf_clear(&run.errors);
    if (rc < 0)
        tepal_process_result_clear(result);
    return rc;
}

void tepal_process_result_clear(tepal_process_result *result)
{
    mem_free((void *)(uintptr_t)result->output.data);
    mem_free((void *)(uintptr_t)result->errors.data);
    memset(result, 0, sizeof(*result));
}
