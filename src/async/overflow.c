/* The SIGSEGV handler: a fault in the guard of the running task's stack is reported, and then, like
 * any other fault, left to the handler that was there before. */
#include "async/overflow.h"

#include "async/task.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(TEPAL_ASAN) || defined(TEPAL_TSAN)

void overflow_watch(void **stack)
{
    *stack = NULL;
}

void overflow_unwatch(void **stack)
{
    (void)stack;
}

#else

enum { SIGNAL_STACK_SIZE = 32 * 1024 };

static struct sigaction before;

static void report(const struct tepal_task *task)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "tepal: task \"%s\" overflowed its stack of %zu KiB; "
                     "give it a larger stack_size, or put large arrays elsewhere\n",
                     task->name, task->stack->size / 1024);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        return;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    struct loop *loop = loop_current;
    struct tepal_task *task = loop ? loop->current : NULL;
    if (task) {
        const char *at = info->si_addr, *low = task->stack->low;
        if (at < low && at >= low - task->stack->guard_size)
            report(task);
    }
    /* The instruction faults again, now under the former handler. */
    sigaction(SIGSEGV, &before, NULL);
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before);
}

void overflow_watch(void **stack)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    stack_t old;
    *stack = NULL;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE))
        return; /* the program has one for its own handlers */
    void *memory = mem_alloc(SIGNAL_STACK_SIZE);
    if (!memory)
        return; /* the report is a help, not a need */
    stack_t new = { .ss_sp = memory, .ss_size = SIGNAL_STACK_SIZE };
    if (sigaltstack(&new, NULL) < 0) {
        mem_free(memory);
        return;
    }
    *stack = memory;
    pthread_once(&once, install);
}

void overflow_unwatch(void **stack)
{
    if (!*stack)
        return;
    stack_t off = { .ss_flags = SS_DISABLE };
    sigaltstack(&off, NULL);
    mem_free(*stack);
    *stack = NULL;
}

#endif
