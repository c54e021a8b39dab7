/* Processes: starting them by posix_spawn(), and seeing their end by a pidfd on the poller, so that
 * no SIGCHLD handler comes between the program and its own.
 *
 * A process is reaped as soon as it has ended, whether anybody waits for it or not. Only the leader
 * of a group of its own is kept as a zombie until it is closed: as long as it is there no other
 * group can get its number, and the number is all that the rest of the group is known by.
 *
 * Where there is no pidfd (before Linux 5.3, in some sandboxes) a timer looks whether it has
 * ended. */
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/conn/pipe.h"
#include "net/process/spawn.h"
#include "net/conn/turns.h"

#include <tepal/process.h>

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP 4u
#endif

enum { DEFAULT_KILL_AFTER_MS = 5000, LOOK_EVERY_MS = 10 };

struct tepal_process {
    struct io pidfd;   /* closed when the process has ended, or its group; fd is -1 when there is
                          none */
    struct timer look; /* set when there is none */
    struct loop *loop;
    pid_t pid;
    bool own_group, ended;
    bool waited_for; /* a task is in tepal_process_wait() */
    bool closed;     /* under that task, which frees it when it leaves */
    struct tepal_conn *pipes[SPAWN_N_STDIO];
    struct tepal_task *waiter; /* in tepal_process_wait() or tepal_process_close() */
    struct timer kill;
    int64_t kill_after_ms;
    tepal_process_status status;
    int error; /* that kept the status from us */
};

/* --- Its end ---------------------------------------------------------------------------------- */

/* waitid() for this process and no other, also when somebody else has reaped it and its number is
 * another one's by now. */
static int wait_for(const struct tepal_process *process, siginfo_t *info, int flags)
{
    int fd = process->pidfd.fd;
    *info = (siginfo_t){ 0 };
    int rc = fd < 0 ? waitid(P_PID, (id_t)process->pid, info, flags)
                    : waitid(P_PIDFD, (id_t)fd, info, flags);
    return rc < 0 ? -errno : 0;
}

static void close_pidfd(struct tepal_process *process)
{
    if (process->pidfd.fd >= 0)
        close(process->pidfd.fd);
    process->pidfd.fd = -1;
}

/* Sees whether the process has ended. */
static void look(struct tepal_process *process)
{
    siginfo_t info;
    int rc = wait_for(process, &info, WEXITED | WNOHANG | (process->own_group ? WNOWAIT : 0));
    if (rc == 0 && info.si_pid == 0)
        return;
    process->error = rc; /* -ECHILD: somebody else has reaped it */
    if (info.si_code == CLD_EXITED)
        process->status.exit_code = info.si_status;
    else
        process->status = (tepal_process_status){ .exit_code = -1, .signal = info.si_status };
    process->ended = true;
    if (process->pidfd.fd >= 0)
        poller_remove(&process->loop->poller, &process->pidfd);
    if (!process->own_group) /* else it stands for the rest of the group */
        close_pidfd(process);
    if (process->waiter)
        task_wake(process->waiter, 0);
}

static void on_pidfd(struct io *io)
{
    look(CONTAINER_OF(io, struct tepal_process, pidfd));
}

static void look_later(struct tepal_process *process)
{
    timer_set(&process->loop->timers, &process->look, process->loop->now + LOOK_EVERY_MS);
}

static void on_look(struct timer *timer)
{
    struct tepal_process *process = CONTAINER_OF(timer, struct tepal_process, look);
    look(process);
    if (!process->ended)
        look_later(process);
}

/* --- Signals ---------------------------------------------------------------------------------- */

/* By its number, which is its own as long as nobody has reaped it. */
static int signal_by_number(const struct tepal_process *process, int signal)
{
    siginfo_t info;
    if (wait_for(process, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -ESRCH;
    return kill(process->own_group ? -process->pid : process->pid, signal) < 0 ? -errno : 0;
}

/* Sends a signal to the process or its group, and never to another one. */
static int send_signal(const struct tepal_process *process, int signal)
{
    unsigned flags = process->own_group ? PIDFD_SIGNAL_PROCESS_GROUP : 0;
    int fd = process->pidfd.fd;
    if (fd >= 0 && syscall(SYS_pidfd_send_signal, fd, signal, NULL, flags) == 0)
        return 0;
    /* Groups are known since Linux 6.9; some sandboxes know nothing of it. */
    return fd >= 0 && errno == ESRCH ? -ESRCH : signal_by_number(process, signal);
}

static void on_kill(struct timer *timer)
{
    (void)send_signal(CONTAINER_OF(timer, struct tepal_process, kill), SIGKILL);
}

/* --- Starting --------------------------------------------------------------------------------- */

/* Finds out where a standard descriptor of the process leads. */
static int redirect(struct tepal_process *process, struct spawn *spawn, int fd,
                    tepal_process_stdio to)
{
    switch (to) {
    case TEPAL_STDIO_DEFAULT:
    case TEPAL_STDIO_INHERIT:
        return 0;
    case TEPAL_STDIO_PIPE:
        return pipe_open(&process->pipes[fd], &spawn->stdio[fd], process->loop, fd == STDIN_FILENO);
    case TEPAL_STDIO_NULL:
        spawn->stdio[fd] = SPAWN_NULL;
        return 0;
    case TEPAL_STDIO_OUTPUT:
        if (fd == STDERR_FILENO) {
            spawn->stdio[fd] = SPAWN_OUTPUT;
            return 0;
        }
    }
    misuse("tepal_process_open", "not a place for a standard descriptor");
}

/* Without a descriptor from the beginning: one that is opened now, if it is of our child. */
static int open_pidfd(const struct tepal_process *process)
{
    struct tepal_process opened = *process;
    siginfo_t info;
    opened.pidfd.fd = fd_keep((int)syscall(SYS_pidfd_open, process->pid, 0));
    if (opened.pidfd.fd < 0)
        return errno == ENOSYS || errno == EPERM ? -1 : -errno;
    int rc = wait_for(&opened, &info, WEXITED | WNOHANG | WNOWAIT);
    if (rc < 0)
        close(opened.pidfd.fd);
    return rc < 0 ? rc : opened.pidfd.fd;
}

/* Watches for the end of a process that runs. */
static int watch(struct tepal_process *process, int pidfd)
{
    siginfo_t info;
    process->pidfd = (struct io){ .fd = pidfd, .fn = on_pidfd };
    int rc = pidfd < 0 ? open_pidfd(process) : pidfd;
    if (rc == -1) {
        look_later(process);
        return 0;
    }
    if (rc >= 0) {
        process->pidfd.fd = rc;
        rc = poller_add(&process->loop->poller, &process->pidfd);
    }
    if (rc < 0) {
        (void)send_signal(process, SIGKILL);
        while (wait_for(process, &info, WEXITED) == -EINTR)
            continue;
        close_pidfd(process);
    }
    return rc == -ESRCH ? -ECHILD : rc; /* gone already, since nobody waits: see look() */
}

static int start(struct tepal_process *process, const char *const *argv,
                 const tepal_process_options *options)
{
    struct spawn spawn = { .argv = argv,
                           .env = options->env ? options->env : (const char *const *)environ,
                           .cwd = options->cwd,
                           .stdio = { SPAWN_INHERIT, SPAWN_INHERIT, SPAWN_INHERIT },
                           .own_group = options->own_group,
                           .death_signal = options->death_signal };
    int pidfd = -1;
    int rc = redirect(process, &spawn, STDIN_FILENO, options->in);
    if (rc == 0)
        rc = redirect(process, &spawn, STDOUT_FILENO, options->out);
    if (rc == 0)
        rc = redirect(process, &spawn, STDERR_FILENO, options->err);
    if (rc == 0)
        rc = spawn_program(&spawn, &process->pid, &pidfd);
    for (int i = 0; i < SPAWN_N_STDIO; i++)
        if (spawn.stdio[i] >= 0)
            close(spawn.stdio[i]);
    return rc < 0 ? rc : watch(process, fd_keep(pidfd));
}

static void close_pipes(struct tepal_process *process)
{
    for (int i = 0; i < SPAWN_N_STDIO; i++)
        tepal_conn_close(process->pipes[i]);
}

int tepal_process_open(tepal_process **process, const char *const *argv,
                       const tepal_process_options *options)
{
    static const tepal_process_options defaults;
    struct tepal_task *task = task_need("tepal_process_open");
    struct loop *loop = loop_current;
    if (!argv || !argv[0])
        misuse("tepal_process_open", "argv names no program");
    need_place("tepal_process_open", process);
    options = options ? options : &defaults;
    if (options->death_signal < 0 || options->death_signal > SIGRTMAX)
        return -EINVAL;
    int rc = task_check(loop, task);
    if (rc == 0)
        rc = room_check("tepal_process_open", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    tepal_process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->loop = loop;
    p->pidfd.fd = -1;
    p->own_group = options->own_group;
    p->kill_after_ms = options->kill_after_ms ? options->kill_after_ms : DEFAULT_KILL_AFTER_MS;
    timer_init(&p->look, on_look);
    timer_init(&p->kill, on_kill);
    rc = start(p, argv, options);
    if (rc < 0) {
        close_pipes(p);
        mem_free(p);
        return rc;
    }
    *process = p;
    return 0;
}

/* --- Its life --------------------------------------------------------------------------------- */

/* Misuse, named call, when the process is NULL. */
static void need(const tepal_process *process, const char *call)
{
    if (UNLIKELY(!process))
        misuse(call, "the process is NULL");
}

pid_t tepal_process_pid(const tepal_process *process)
{
    need(process, "tepal_process_pid");
    return process->pid;
}

tepal_conn *tepal_process_stdin(const tepal_process *process)
{
    need(process, "tepal_process_stdin");
    return process->pipes[STDIN_FILENO];
}

tepal_conn *tepal_process_stdout(const tepal_process *process)
{
    need(process, "tepal_process_stdout");
    return process->pipes[STDOUT_FILENO];
}

tepal_conn *tepal_process_stderr(const tepal_process *process)
{
    need(process, "tepal_process_stderr");
    return process->pipes[STDERR_FILENO];
}

/* Suspends until the process has ended. */
static int wait_for_end(tepal_process *process)
{
    struct tepal_task *task = process->loop->current;
    int rc = 0;
    process->waited_for = true;
    while (rc == 0 && !process->ended && !process->closed) {
        process->waiter = task;
        rc = task_wait(process->loop, "the end of a process", TEPAL_NEVER);
        if (process->waiter == task) /* and not one that closes it */
            process->waiter = NULL;
    }
    process->waited_for = false;
    return rc == 0 && process->closed ? -ECANCELED : rc;
}

int tepal_process_wait(tepal_process *process, tepal_process_status *status)
{
    struct tepal_task *task = task_need("tepal_process_wait");
    need(process, "tepal_process_wait");
    int rc = task_check(process->loop, task);
    if (rc < 0) /* who was held back there may find it closed */
        return rc;
    if (process->waiter)
        return -EBUSY;
    rc = wait_for_end(process);
    if (rc == 0)
        rc = process->error;
    if (rc == 0 && status)
        *status = process->status;
    if (UNLIKELY(process->closed))
        mem_free(process);
    return rc;
}

int tepal_process_signal(tepal_process *process, int signal)
{
    need(process, "tepal_process_signal");
    return process->ended ? -ESRCH : send_signal(process, signal);
}

static void end(tepal_process *process)
{
    struct tepal_task *task = task_need("tepal_process_close");
    struct loop *loop = process->loop;
    (void)send_signal(process, SIGTERM);
    (void)send_signal(process, SIGCONT); /* one that is stopped would not see it */
    int64_t now = (loop_clock_us(loop) + 999) / 1000;
    if (process->kill_after_ms != TEPAL_NEVER)
        timer_set(&loop->timers, &process->kill, loop_time_after(now, process->kill_after_ms));
    process->waiter = task;
    while (!process->ended)
        task_wait_shielded(loop, "a process to end");
    timer_cancel(&process->kill);
}

static void end_group(tepal_process *process)
{
    siginfo_t info;
    (void)send_signal(process, SIGKILL);
    (void)wait_for(process, &info, WEXITED | WNOHANG);
}

void tepal_process_close(tepal_process *process)
{
    if (!process)
        return;
    bool ours = !loop_is_forked(); /* else it is the parent's */
    if (!turns_is_leaving(process->waiter))
        misuse("tepal_process_close", "a task still waits for the process");
    close_pipes(process);
    if (!process->ended && ours)
        end(process);
    if (process->own_group && ours)
        end_group(process);
    close_pidfd(process);
    process->closed = process->waited_for;
    if (!process->closed)
        mem_free(process);
}
