/* Standard descriptors that are closed are filled, and others kept off their numbers. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_nothing(void)
{
    int fd = open("/dev/null", O_RDWR); /* children inherit it, as they would a standard one */
    return fd >= 0 ? fd : open("/", O_PATH | O_DIRECTORY);
}

static int fill(int fd)
{
    if (fcntl(fd, F_GETFD) >= 0)
        return 0;
    int nothing = open_nothing();
    if (nothing < 0)
        return -errno;
    if (nothing == fd)
        return 0;
    /* Another thread has been quicker, or a lower one is closed as well. */
    int rc = fcntl(fd, F_GETFD) < 0 && dup2(nothing, fd) < 0 ? -errno : 0;
    close(nothing);
    return rc;
}

int fd_fill_standard(void)
{
    int rc = 0;
    for (int fd = 0; fd < FD_FIRST && rc == 0; fd++)
        rc = fill(fd);
    return rc;
}

int fd_move(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_FIRST), error = errno;
    close(fd);
    fd_fill_standard(); /* the next one would be given this number again */
    errno = error;
    return moved;
}

int fd_move_both(int fds[2])
{
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        fds[i] = fd_keep(fds[i]);
        if (fds[i] < 0)
            rc = -errno;
    }
    for (int i = 0; rc < 0 && i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return rc;
}
