/* The SIGSEGV handler: an overflow of the running task's stack is reported, and then the fault is,
 * like any other, left to the handler that was there before. Handlers and signal stacks are the
 * program's: what it has is used, and what it has put in the place of ours stays. */
#include "async/stack/overflow.h"

#include "async/task/task.h"
#include "base/crash.h"
#include "base/mem.h"
#include "base/sanitizer.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIGNAL_STACK_SIZE = 64 * 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t n_watched;                   /* threads */
static struct sigaction before;            /* what was there, while ours is */
static volatile sig_atomic_t is_installed; /* perhaps below one of the program's that calls it */

static _Thread_local void *signal_stack; /* ours */

/* --- The handler ------------------------------------------------------------------------------ */

void overflow_report(const struct tepal_task *task)
{
    struct crash_line line;
    crash_begin(&line, "error");
    crash_add(&line, "task \"");
    crash_add(&line, task->name);
    crash_add(&line, "\" overflowed its stack of ");
    crash_add_number(&line, task->stack->size / 1024);
    crash_add(&line, " KiB; give it a larger stack_size, or put large arrays elsewhere");
    crash_write(&line);
}

/* Where the stack pointer was; NULL where it is not known how to tell. */
static const char *stack_pointer(const void *context)
{
#if defined(__x86_64__)
    return (const char *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const char *)((const ucontext_t *)context)->uc_mcontext.sp;
#else
    (void)context;
    return NULL;
#endif
}

/* The fault is in the guard; or the stack pointer is below the stack, as in a function whose frame
 * reaches over the guard, and the fault is within that frame. */
static bool is_overflow(const struct stack *stack, const char *at, const char *sp)
{
    enum { RED_ZONE = 512, MAX_FRAME = 256 * 1024 * 1024 };
    if (at >= stack->low)
        return false;
    return at >= stack->low - stack->guard_size ||
           (sp && sp < stack->low && stack->low - sp < MAX_FRAME && at >= sp - RED_ZONE);
}

/* The instruction faults again, now under the former handler, on the stack and with the mask that
 * this one wants. What was sent by somebody has to be sent again. */
static void hand_on(siginfo_t *info)
{
    sigaction(SIGSEGV, &before, NULL);
    is_installed = false;
    if (info->si_code <= 0)
        syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGSEGV, info);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    int error = errno;
    struct tepal_task *task = loop_current ? loop_current->current : NULL;
    if (task && info->si_code > 0 &&
        is_overflow(task->stack, info->si_addr, stack_pointer(context)))
        overflow_report(task);
    hand_on(info);
    errno = error;
}

/* --- Installing it ---------------------------------------------------------------------------- */

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, NULL, &before) == 0 && sigaction(SIGSEGV, &action, NULL) == 0)
        is_installed = true;
}

/* The program may call the handler that it has found when it installed its own: this one. */
static void stay_in_memory(void)
{
    Dl_info info;
    if (dladdr((void *)(uintptr_t)on_fault, &info))
        (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static void uninstall(void)
{
    struct sigaction now;
    if (sigaction(SIGSEGV, NULL, &now) < 0)
        return;
    if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault) {
        stay_in_memory();
        return;
    }
    sigaction(SIGSEGV, &before, NULL);
    is_installed = false;
}

/* --- The signal stack ------------------------------------------------------------------------- */

static void take_signal_stack(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
        return; /* the program has one for its own handlers, and this one needs little */
    if (!signal_stack)
        signal_stack = mem_alloc(SIGNAL_STACK_SIZE);
    stack_t new = { .ss_sp = signal_stack, .ss_size = SIGNAL_STACK_SIZE };
    if (signal_stack)
        sigaltstack(&new, NULL); /* the report is a help, not a need */
}

/* Where another one is in its place, the program may put ours back some day. */
static void give_signal_stack(void)
{
    stack_t now, off = { .ss_flags = SS_DISABLE };
    if (!signal_stack || sigaltstack(NULL, &now) < 0 || (now.ss_flags & SS_DISABLE) ||
        now.ss_sp != signal_stack || sigaltstack(&off, NULL) < 0)
        return;
    mem_free(signal_stack);
    signal_stack = NULL;
}

void overflow_watch(void)
{
    if (has_asan() || has_tsan())
        return;
    take_signal_stack();
    pthread_mutex_lock(&mutex);
    n_watched++;
    if (!is_installed)
        install();
    pthread_mutex_unlock(&mutex);
}

void overflow_unwatch(void)
{
    if (has_asan() || has_tsan())
        return;
    pthread_mutex_lock(&mutex);
    if (--n_watched == 0 && is_installed)
        uninstall();
    pthread_mutex_unlock(&mutex);
    give_signal_stack();
}
