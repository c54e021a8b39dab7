/* Processes: starting them by posix_spawn(), and seeing their end by a pidfd on the poller, so that
 * no SIGCHLD handler comes between the program and its own.
 *
 * A process is reaped as soon as it has ended, whether anybody waits for it or not. Only the leader
 * of a group of its own is kept as a zombie until it is closed: as long as it is there no other
 * group can get its number, and the number is all that the rest of the group is known by.
 *
 * Where there is no pidfd (before Linux 5.3, in some sandboxes) a timer looks whether it has ended. */
#include "async/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/pipe.h"

#include <tepal/process.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_KILL_AFTER_MS = 5000, LOOK_EVERY_MS = 10, N_STDIO = 3 };

struct tepal_process {
    struct io pidfd;   /* closed when the process has ended; fd is -1 when there is none */
    struct timer look; /* set when there is none */
    struct loop *loop;
    pid_t pid;
    bool own_group, ended;
    struct tepal_conn *pipes[N_STDIO];
    struct tepal_task *waiter; /* in tepal_process_wait() or tepal_process_close() */
    struct timer kill;
    int64_t kill_after_ms;
    tepal_process_status status;
    int error; /* that kept the status from us */
};

/* --- Its end ---------------------------------------------------------------------------------- */

/* Sees whether the process has ended. */
static void look(struct tepal_process *process)
{
    siginfo_t info = { 0 };
    int flags = WEXITED | WNOHANG | (process->own_group ? WNOWAIT : 0);
    if (waitid(P_PID, (id_t)process->pid, &info, flags) < 0)
        process->error = -errno; /* -ECHILD: somebody else has reaped it */
    else if (info.si_pid == 0)
        return;
    if (info.si_code == CLD_EXITED)
        process->status.exit_code = info.si_status;
    else
        process->status = (tepal_process_status){ .exit_code = -1, .signal = info.si_status };
    process->ended = true;
    if (process->pidfd.fd >= 0) {
        poller_remove(&process->loop->poller, &process->pidfd);
        close(process->pidfd.fd);
    }
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

static void on_kill(struct timer *timer)
{
    tepal_process_signal(CONTAINER_OF(timer, struct tepal_process, kill), SIGKILL);
}

/* --- Starting --------------------------------------------------------------------------------- */

/* What is needed until the process runs. */
struct launch {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int ends[N_STDIO]; /* of the pipes, that the process gets; -1: none */
    int place; /* holds a descriptor ready for the pidfd: when the process runs it is too late
                          to find that there is none */
};

/* Says in the actions where a standard descriptor of the process leads. */
static int redirect(struct tepal_process *process, struct launch *launch, int fd,
                    enum tepal_process_stdio to)
{
    int rc = 0;
    switch (to) {
    case TEPAL_STDIO_DEFAULT:
    case TEPAL_STDIO_INHERIT:
        return 0;
    case TEPAL_STDIO_PIPE:
        rc = pipe_open(&process->pipes[fd], &launch->ends[fd], process->loop, fd == STDIN_FILENO);
        return rc < 0 ? rc
                      : -posix_spawn_file_actions_adddup2(&launch->actions, launch->ends[fd], fd);
    case TEPAL_STDIO_NULL:
        return -posix_spawn_file_actions_addopen(&launch->actions, fd, "/dev/null", O_RDWR, 0);
    case TEPAL_STDIO_OUTPUT:
        if (fd == STDERR_FILENO)
            return -posix_spawn_file_actions_adddup2(&launch->actions, STDOUT_FILENO, fd);
    }
    misuse("tepal_process_open", "not a place for a standard descriptor");
}

static int set_actions(struct tepal_process *process, struct launch *launch,
                       const tepal_process_options *options)
{
    int rc = redirect(process, launch, STDIN_FILENO, options->in);
    if (rc == 0)
        rc = redirect(process, launch, STDOUT_FILENO, options->out);
    if (rc == 0)
        rc = redirect(process, launch, STDERR_FILENO, options->err);
    if (rc == 0)
        rc = -posix_spawn_file_actions_addclosefrom_np(&launch->actions, N_STDIO);
    if (rc == 0 && options->cwd)
        rc = -posix_spawn_file_actions_addchdir_np(&launch->actions, options->cwd);
    return rc;
}

/* The process begins with all signals as they are by default. */
static int set_attributes(struct launch *launch, bool own_group)
{
    sigset_t signals;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (own_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    sigemptyset(&signals);
    int rc = posix_spawnattr_setsigmask(&launch->attributes, &signals);
    sigfillset(&signals);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&launch->attributes, &signals);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(&launch->attributes, 0);
    return rc ? -rc : -posix_spawnattr_setflags(&launch->attributes, flags);
}

/* Watches for the end of a process that runs. */
static int watch(struct tepal_process *process)
{
    int fd = fd_keep((int)syscall(SYS_pidfd_open, process->pid, 0));
    int rc = fd < 0 ? -errno : 0;
    process->pidfd = (struct io){ .fd = fd, .fn = on_pidfd };
    if (rc == -ENOSYS || rc == -EPERM) {
        look_later(process);
        return 0;
    }
    if (rc == 0)
        rc = poller_add(&process->loop->poller, &process->pidfd);
    if (rc < 0) {
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        if (fd >= 0)
            close(fd);
    }
    return rc == -ESRCH ? -ECHILD : rc; /* gone already, since nobody waits: see look() */
}

static int spawn(struct tepal_process *process, struct launch *launch, const char *const *argv,
                 const tepal_process_options *options)
{
    launch->place = fcntl(process->loop->poller.fd, F_DUPFD_CLOEXEC, N_STDIO);
    if (launch->place < 0)
        return -errno;
    int rc = set_actions(process, launch, options);
    if (rc == 0)
        rc = set_attributes(launch, process->own_group);
    if (rc == 0) {
        const char *const *env = options->env ? options->env : (const char *const *)environ;
        rc = -posix_spawnp(&process->pid, argv[0], &launch->actions, &launch->attributes,
                           (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    }
    for (int i = 0; i < N_STDIO; i++)
        if (launch->ends[i] >= 0)
            close(launch->ends[i]);
    close(launch->place);
    return rc < 0 ? rc : watch(process);
}

static int start(struct tepal_process *process, const char *const *argv,
                 const tepal_process_options *options)
{
    struct launch launch = { .ends = { -1, -1, -1 } };
    int rc = -posix_spawn_file_actions_init(&launch.actions);
    if (rc < 0)
        return rc;
    rc = -posix_spawnattr_init(&launch.attributes);
    if (rc == 0) {
        rc = spawn(process, &launch, argv, options);
        posix_spawnattr_destroy(&launch.attributes);
    }
    posix_spawn_file_actions_destroy(&launch.actions);
    return rc;
}

static void close_pipes(struct tepal_process *process)
{
    for (int i = 0; i < N_STDIO; i++)
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
    options = options ? options : &defaults;
    int rc = task_check(loop, task);
    if (rc < 0)
        return rc;
    tepal_process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->loop = loop;
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

pid_t tepal_process_pid(const tepal_process *process)
{
    return process->pid;
}

tepal_conn *tepal_process_stdin(const tepal_process *process)
{
    return process->pipes[STDIN_FILENO];
}

tepal_conn *tepal_process_stdout(const tepal_process *process)
{
    return process->pipes[STDOUT_FILENO];
}

tepal_conn *tepal_process_stderr(const tepal_process *process)
{
    return process->pipes[STDERR_FILENO];
}

int tepal_process_wait(tepal_process *process, tepal_process_status *status)
{
    struct tepal_task *task = task_need("tepal_process_wait");
    int rc = task_check(process->loop, task);
    if (rc == 0 && process->waiter)
        return -EBUSY;
    while (rc == 0 && !process->ended) {
        process->waiter = task;
        rc = task_wait(process->loop, "the end of a process", TEPAL_NEVER);
        process->waiter = NULL;
    }
    if (rc == 0)
        rc = process->error;
    if (rc == 0 && status)
        *status = process->status;
    return rc;
}

int tepal_process_signal(tepal_process *process, int signal)
{
    if (process->ended)
        return -ESRCH;
    return kill(process->own_group ? -process->pid : process->pid, signal) < 0 ? -errno : 0;
}

static void end(tepal_process *process)
{
    struct tepal_task *task = task_need("tepal_process_close");
    struct loop *loop = process->loop;
    tepal_process_signal(process, SIGTERM);
    tepal_process_signal(process, SIGCONT); /* one that is stopped would not see it */
    int64_t now = (loop_clock_us(loop) + 999) / 1000;
    if (process->kill_after_ms != TEPAL_NEVER)
        timer_set(&loop->timers, &process->kill, loop_time_after(now, process->kill_after_ms));
    process->waiter = task;
    while (!process->ended)
        task_wait_shielded(loop, "a process to end");
    timer_cancel(&process->kill);
}

void tepal_process_close(tepal_process *process)
{
    if (!process)
        return;
    if (process->waiter)
        misuse("tepal_process_close", "a task still waits for the process");
    close_pipes(process);
    if (!process->ended)
        end(process);
    if (process->own_group && process->error == 0) {
        siginfo_t info;
        kill(-process->pid, SIGKILL);
        waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG);
    }
    mem_free(process);
}
