/* Two comparisons for the stack of a task, and a question to the system for that of a thread. */
#include "base/platform.h"

#include "web/message/on_stack.h"

#include "async/task/task.h"

#include <pthread.h>

#ifdef TEPAL_ASAN
#include <sanitizer/asan_interface.h>
#endif

static bool task_has(const struct tepal_task *task, const void *p)
{
    return task && (const char *)p >= task->stack->low && (const char *)p < task->stack->top;
}

static bool thread_has(const void *p)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    int rc = pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return rc == 0 && (uintptr_t)p - (uintptr_t)low < size;
}

/* The sanitizer may keep variables elsewhere, to notice when they are used too long. */
static bool sanitizer_has(const void *p)
{
#ifdef TEPAL_ASAN
    void *fake = __asan_get_current_fake_stack();
    return fake && __asan_addr_is_in_fake_stack(fake, (void *)(uintptr_t)p, NULL, NULL);
#else
    (void)p;
    return false;
#endif
}

bool is_on_stack(const tepal_req *req, const void *p)
{
    const struct tepal_task *task = loop_current ? loop_current->current : NULL;
    return task_has(req->exchange->task, p) || (task ? task_has(task, p) : thread_has(p)) ||
           sanitizer_has(p);
}
