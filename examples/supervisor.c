/* Keeps programs running: starts each command line it is given, and starts it again when it ends.
 *
 *     build/examples/supervisor 'python3 -m http.server 8000' 'while date; do sleep 5; done'
 *
 * A program that ends soon is started again after a pause, which doubles each time. At Ctrl-C or
 * SIGTERM all programs are asked to end, and killed if they have not after 5 seconds.
 */
#include <tepal.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

enum { SHORTEST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 30000, GOOD_RUN_MS = 10000 };

/* Runs the line to its end. When this task is cancelled the wait is over, and closing the process
 * ends it. */
static int run_once(const char *line)
{
    const char *argv[] = { "/bin/sh", "-c", line, NULL };
    tepal_process_options options = { .own_group = true }; /* what the shell starts ends with it */
    tepal_process_status status;
    tepal_process *process;
    int rc = tepal_process_open(&process, argv, &options);
    if (rc < 0)
        return rc;
    tepal_logf(TEPAL_LOG_INFO, "%s: started, process %d", line, (int)tepal_process_pid(process));
    rc = tepal_process_wait(process, &status);
    if (rc == 0 && status.signal)
        tepal_logf(TEPAL_LOG_WARNING, "%s: ended by signal %d", line, status.signal);
    else if (rc == 0)
        tepal_logf(TEPAL_LOG_WARNING, "%s: ended with %d", line, status.exit_code);
    tepal_process_close(process);
    return rc;
}

/* The task of each line. */
static int supervise(void *line)
{
    int64_t pause_ms = SHORTEST_PAUSE_MS;
    while (!tepal_is_cancelled()) {
        int64_t start = tepal_now_ms();
        int rc = run_once(line);
        if (rc < 0 && rc != -ECANCELED)
            tepal_logf(TEPAL_LOG_ERROR, "%s: %s", (char *)line, tepal_code_text(rc));
        if (tepal_now_ms() - start >= GOOD_RUN_MS)
            pause_ms = SHORTEST_PAUSE_MS;
        tepal_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
    tepal_logf(TEPAL_LOG_INFO, "%s: stopped", (char *)line);
    return 0;
}

static int supervise_all(void *arg)
{
    static const int wanted[] = { SIGINT, SIGTERM, 0 };
    tepal_signals *signals = tepal_signals_open(wanted);
    tepal_group *group = tepal_group_new();
    int rc = signals && group ? 0 : -ENOMEM;
    for (char **line = arg; rc == 0 && *line; line++)
        rc = tepal_spawn(group, supervise, *line, &(tepal_spawn_options){ .name = *line });
    if (rc == 0)
        rc = tepal_signals_next(signals); /* the tasks run meanwhile */
    tepal_group_close(group);             /* cancels them, and waits until all have ended */
    tepal_signals_close(signals);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s COMMAND-LINE...\n", argv[0]);
        return 2;
    }
    int rc = tepal_main(supervise_all, argv + 1);
    if (rc < 0)
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", tepal_code_text(rc));
    return rc < 0 ? 1 : 0;
}
