/* Starting programs by clone(): as posix_spawn() does it, without a copy of this process's memory,
 * and with what that cannot: a descriptor of the new process from its very beginning, limits, and
 * the signal at our end.
 *
 * Until it becomes the program the child runs in our memory, on a stack of its own, while this
 * thread stands still. It makes system calls only, and those without the C library's wrappers,
 * which a sanitizer would take for calls of this process. */
#include "net/process/spawn.h"

#include "base/fd_limit.h"
#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

enum { STACK_SIZE = 32 * 1024, N_SIGNALS = 64, SIGNAL_SET_SIZE = 8 };

/* What the child needs, and where it says what has failed. */
struct birth {
    const struct spawn *spawn;
    struct rlimit limit;
    bool has_limit;
    pid_t parent;
    const char *path; /* where the program is searched for: folders, with ':' between them */
    int error;
    char candidate[PATH_MAX];
    _Alignas(16) char stack[STACK_SIZE];
};

/* --- In the child ----------------------------------------------------------------------------- */

static IN_CHILD int set_signals(const struct birth *birth)
{
    static const uint64_t by_default[8], none; /* a struct sigaction of the system, all zero */
    for (int i = 1; i <= N_SIGNALS; i++)
        syscall(SYS_rt_sigaction, i, by_default, NULL, SIGNAL_SET_SIZE);
    if (birth->spawn->death_signal) {
        if (syscall(SYS_prctl, PR_SET_PDEATHSIG, birth->spawn->death_signal, 0, 0, 0) < 0)
            return -1;
        if (syscall(SYS_getppid) != birth->parent) /* too late for it */
            syscall(SYS_exit_group, 127);
    }
    return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SIGNAL_SET_SIZE);
}

static IN_CHILD int set_stdio(const struct spawn *spawn)
{
    for (int i = 0; i < SPAWN_N_STDIO; i++) {
        int from = spawn->stdio[i] == SPAWN_OUTPUT ? STDOUT_FILENO : spawn->stdio[i];
        if (from == SPAWN_INHERIT)
            continue;
        if (from == SPAWN_NULL)
            from = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
        if (from < 0 || (from != i && syscall(SYS_dup3, from, i, 0) < 0))
            return -1;
        if (spawn->stdio[i] == SPAWN_NULL && from != i)
            syscall(SYS_close, from);
    }
    if (syscall(SYS_close_range, SPAWN_N_STDIO, UINT_MAX, 0) < 0)
        closefrom(SPAWN_N_STDIO); /* where that is forbidden: slower */
    return 0;
}

static IN_CHILD int set_all(const struct birth *birth)
{
    const struct spawn *spawn = birth->spawn;
    if (spawn->own_group && syscall(SYS_setpgid, 0, 0) < 0)
        return -1;
    if (birth->has_limit && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &birth->limit, NULL) < 0)
        return -1;
    if (set_stdio(spawn) < 0 || (spawn->cwd && syscall(SYS_chdir, spawn->cwd) < 0))
        return -1;
    return set_signals(birth);
}

/* Joins a folder, of this length, and the program's name. Returns false when it is too long. */
static IN_CHILD bool join(char *out, const char *folder, size_t len, const char *name)
{
    size_t at = 0;
    if (len + 1 >= PATH_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        out[at++] = folder[i];
    if (len > 0)
        out[at++] = '/';
    do {
        if (at == PATH_MAX)
            return false;
        out[at++] = *name;
    } while (*name++);
    return true;
}

/* Whether a search goes on after this error. */
static IN_CHILD bool is_absence(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ESTALE ||
           error == ENODEV || error == ETIMEDOUT;
}

/* Becomes the program. Returns only when that fails, with errno. */
static IN_CHILD void execute(struct birth *birth)
{
    const struct spawn *spawn = birth->spawn;
    const char *name = spawn->argv[0], *folder = birth->path;
    int error = ENOENT;
    while (folder) {
        size_t len = 0;
        while (folder[len] && folder[len] != ':')
            len++;
        if (!join(birth->candidate, folder, len, name))
            errno = ENAMETOOLONG;
        else
            syscall(SYS_execve, birth->candidate, spawn->argv, spawn->env);
        if (errno == EACCES) /* another one may be found, but this tells more than that none was */
            error = EACCES;
        else if (!is_absence(errno))
            return;
        folder = folder[len] ? folder + len + 1 : NULL;
    }
    errno = error;
}

static IN_CHILD int run_child(void *arg)
{
    struct birth *birth = arg;
    if (set_all(birth) == 0) {
        if (birth->path)
            execute(birth);
        else
            syscall(SYS_execve, birth->spawn->argv[0], birth->spawn->argv, birth->spawn->env);
    }
    birth->error = errno;
    syscall(SYS_exit_group, 127);
    return 0;
}

/* --- In the parent ---------------------------------------------------------------------------- */

/* Whether a program is looked for; one without a name is nowhere. */
static bool is_searched_for(const char *name)
{
    return name[0] != '\0' && !strchr(name, '/');
}

static int bear(struct birth *birth, int flags, int *pidfd)
{
    void *top = birth->stack + sizeof(birth->stack);
    int pid = clone(run_child, top, CLONE_VM | CLONE_VFORK | SIGCHLD | flags, birth, pidfd);
    return pid < 0 ? -errno : pid;
}

/* Takes back a child that has not become the program. */
static void take_back(pid_t pid, int *pidfd)
{
    siginfo_t info;
    bool by_number = *pidfd < 0;
    while (waitid(by_number ? P_PID : P_PIDFD, (id_t)(by_number ? pid : *pidfd), &info, WEXITED) <
               0 &&
           errno == EINTR)
        continue;
    if (!by_number)
        close(*pidfd);
    *pidfd = -1;
}

int spawn_program(const struct spawn *spawn, pid_t *pid, int *pidfd)
{
    struct birth *birth = mem_alloc(sizeof(*birth));
    sigset_t all, before;
    if (!birth)
        return -ENOMEM;
    const char *path = getenv("PATH");
    birth->spawn = spawn;
    birth->path = !is_searched_for(spawn->argv[0]) ? NULL : path ? path : "/bin:/usr/bin";
    birth->has_limit = fd_limit_for_children(&birth->limit) == 0;
    birth->parent = getpid();
    birth->error = 0;
    *pidfd = -1;
    /* No handler of ours may run in the child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = bear(birth, CLONE_PIDFD, pidfd);
    if (rc == -EINVAL) { /* before Linux 5.2, or not quite Linux */
        *pidfd = -1;
        rc = bear(birth, 0, pidfd);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *pid = rc;
    if (rc > 0) {
        rc = -birth->error;
        if (rc < 0)
            take_back(*pid, pidfd);
    }
    mem_free(birth);
    return rc;
}
