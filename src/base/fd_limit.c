/* Raising the limit of descriptors, of the process as a whole, and what it was before. */
#include "base/fd_limit.h"

#include <errno.h>
#include <stdatomic.h>

/* The soft limits: as they were, and as we have set them. 0: we have not. */
static _Atomic rlim_t before, raised;

int fd_limit_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur >= limit.rlim_max)
        return 0;
    rlim_t old = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    before = old;
    raised = limit.rlim_cur;
    return 0;
}

int fd_limit_for_children(struct rlimit *limit)
{
    if (getrlimit(RLIMIT_NOFILE, limit) < 0)
        return -errno;
    if (raised != 0 && limit->rlim_cur == raised)
        limit->rlim_cur = before;
    return 0;
}
