/* Programs that run beside this one: started, talked to by pipes, waited for and ended by tasks.
 *
 *     const char *argv[] = { "git", "rev-parse", "HEAD", NULL };
 *     tepal_process_result result;
 *     int rc = tepal_process_run(argv, NULL, &result);
 *     if (rc == 0 && result.status.exit_code == 0)
 *         printf("%s", result.output.data);
 *     tepal_process_result_clear(&result);
 *
 * argv[0] is a path, or a name that is searched for in the PATH of this program. There is no shell
 * in between, so nothing in an argument is special; to have one, run "/bin/sh", "-c", "the line". A
 * program starts with no signal blocked or ignored, and of this program's descriptors it has only
 * the standard ones; the limit of descriptors is what this program was given, though tepal_run()
 * has raised its own. The clock of a test (testing.h) does not wait for a program, as it does for a
 * call in a thread: a deadline comes before its end.
 */
#ifndef TEPAL_PROCESS_H
#define TEPAL_PROCESS_H

#include <tepal/base.h>
#include <tepal/conn.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a standard descriptor of the program leads. */
typedef enum tepal_process_stdio {
    TEPAL_STDIO_DEFAULT = 0, /* tepal_process_open(): inherited. tepal_process_run(): a pipe */
    TEPAL_STDIO_INHERIT,     /* to where that of this program does */
    TEPAL_STDIO_PIPE,        /* to this program */
    TEPAL_STDIO_NULL,        /* to /dev/null */
    TEPAL_STDIO_OUTPUT,      /* for err: to where its standard output does */
} tepal_process_stdio;

typedef struct tepal_process_options {
    tepal_process_stdio in, out, err;
    const char *const *env; /* "NAME=value", ..., NULL. Default: this program's environment */
    const char *cwd;        /* the folder that it starts in. Default: this program's; a relative
                               argv[0] with a slash is relative to it */
    bool own_group;         /* a process group of its own, which is signalled and ended as a whole;
                               a Ctrl-C at the terminal does not reach it. When it has ended its
                               number stays taken, by a zombie, until it is closed */
    int64_t kill_after_ms;  /* how long it may take to end after SIGTERM when it is closed, before
                               SIGKILL. Default 5000; TEPAL_NEVER: any time */

    /* For tepal_process_run(). */
    tepal_bytes input; /* what it reads from its standard input. Default: nothing */
    size_t max_output; /* how many octets it may write to its pipes, together. Default 1 MiB */

    int death_signal; /* that it gets when this thread of the loop ends without having closed it,
                         even by SIGKILL; not what it has started itself. Default 0: none */
    uint64_t later[4];
} tepal_process_options;

/* How a program has ended. */
typedef struct tepal_process_status {
    int exit_code; /* 0 to 255; -1 when a signal has ended it */
    int signal;    /* that has ended it, or 0 */
    uint64_t later[4];
} tepal_process_status;

/* --- A program from beginning to end ---------------------------------------------------------- */

typedef struct tepal_process_result {
    tepal_process_status status;
    tepal_bytes output, errors; /* what it wrote to standard output and standard error, with a NUL
                                   behind; empty where there was no pipe */
    uint64_t later[4];
} tepal_process_result;

/* Runs a program: writes the input to it, takes what it writes, and waits for its end and for that
 * of its output (which is later when it leaves another program behind that has inherited the pipe).
 * Whatever the program's exit code, the result is 0. Suspends. Returns 0, or with an empty result:
 * -EFBIG when it wrote more than max_output; -ECANCELED or -ETIMEDOUT; an error of
 * tepal_process_open() or tepal_process_wait(). In these cases, too, the program has ended when the
 * call returns: by SIGTERM, or SIGKILL after kill_after_ms. */
TEPAL_API int tepal_process_run(const char *const *argv, const tepal_process_options *options,
                                tepal_process_result *result);

/* Frees what is in the result, which is empty then; also after a call that failed. */
TEPAL_API void tepal_process_result_clear(tepal_process_result *result);

/* --- A program that runs along ---------------------------------------------------------------- */

typedef struct tepal_process tepal_process;

/* Starts a program. It runs when the call returns, which takes as long as the system needs to load
 * it; does not suspend. Returns 0 and the process, which the caller closes; -ENOENT or -EACCES for
 * the program or cwd, -ENOEXEC, -E2BIG, -EAGAIN, -EMFILE, -ENOMEM, ...; -EINVAL when death_signal
 * is no signal; -ECANCELED or -ETIMEDOUT in a task that is cancelled or late. */
TEPAL_API int tepal_process_open(tepal_process **process, const char *const *argv,
                                 const tepal_process_options *options);

TEPAL_API pid_t tepal_process_pid(const tepal_process *process);

/* Our end of a pipe: to write to the program's standard input, to read from the others. NULL when
 * there is none. It belongs to the process and is closed with it, or before it by
 * tepal_conn_close(); for standard input tepal_conn_shutdown() does, too: the program reads the end
 * of its input. A program that writes much must be read from, or it waits. */
TEPAL_API tepal_conn *tepal_process_stdin(const tepal_process *process);
TEPAL_API tepal_conn *tepal_process_stdout(const tepal_process *process);
TEPAL_API tepal_conn *tepal_process_stderr(const tepal_process *process);

/* Waits until the program has ended; may be called again. Suspends. Returns 0 and how it ended
 * (status may be NULL); -EBUSY when another task waits for it; -ECHILD when the system does not
 * tell, since this program ignores SIGCHLD or has waited for the process by itself. */
TEPAL_API int tepal_process_wait(tepal_process *process, tepal_process_status *status);

/* Sends a signal to the program, or to its group, and never to another one that has its number by
 * now, although this program may have waited for it by itself. Does not suspend. Returns 0, -ESRCH
 * when it has ended, -EPERM, or -EINVAL for what is no signal. */
TEPAL_API int tepal_process_signal(tepal_process *process, int signal);

/* Closes the pipes, ends the program if it still runs (SIGTERM; after kill_after_ms SIGKILL), waits
 * until it has ended, and frees the process. What is left of a group of its own is killed. One that
 * this program may not signal (set-user-ID) is waited for. No task may wait for the process, but
 * for one that has been cancelled or whose time is over, and that only has not run since; those
 * that wait on its pipes are told as by tepal_conn_close(). Suspends, but cannot be cancelled or
 * time out, so that it works in a task that was. NULL is allowed. */
TEPAL_API void tepal_process_close(tepal_process *process);

#ifdef __cplusplus
}
#endif
#endif
