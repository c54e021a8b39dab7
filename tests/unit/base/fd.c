/* Tests of the standard descriptors, in a child: this one has its own to keep. */
#include "../check.h"

#include "base/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child. Returns its exit status. */
static int in_child(int (*fn)(int), int arg)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(fn(arg));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int is_null(int fd)
{
    struct stat st, null;
    return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev &&
           !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int fill_some(int closed)
{
    struct stat before[3], after;
    for (int fd = 0; fd < 3; fd++) {
        fstat(fd, &before[fd]);
        if (closed & (1 << fd))
            close(fd);
    }
    if (fd_fill_standard() != 0)
        return 100;
    for (int fd = 0; fd < 3; fd++) {
        bool kept = fstat(fd, &after) == 0 && after.st_ino == before[fd].st_ino;
        if (closed & (1 << fd) ? !is_null(fd) : !kept)
            return 10 + fd;
    }
    return fcntl(3, F_GETFD) >= 0 ? 3 : 0; /* nothing is left over */
}

static void each_combination(void **state)
{
    (void)state;
    closefrom(3);
    for (int closed = 0; closed < 8; closed++)
        assert_int_equal(in_child(fill_some, closed), 0);
}

/* A descriptor that was given a standard number leaves it, and nothing else gets it. */
static int keep_one(int number)
{
    close(number);
    int fd = open("/", O_RDONLY | O_CLOEXEC), kept = fd_keep(fd);
    struct stat st;
    if (fd != number || kept < 3 || fstat(kept, &st) < 0 || !S_ISDIR(st.st_mode))
        return 1;
    return is_null(number) && (fcntl(kept, F_GETFD) & FD_CLOEXEC) ? 0 : 2;
}

static int keep_both(int number)
{
    int fds[2];
    close(number);
    close(2);
    if (pipe2(fds, O_CLOEXEC) < 0 || fd_keep_both(fds) != 0 || fds[0] < 3 || fds[1] < 3)
        return 1;
    return write(fds[1], "x", 1) == 1 && is_null(number) && is_null(2) ? 0 : 2;
}

static void others_keep_off(void **state)
{
    (void)state;
    for (int number = 0; number < 3; number++)
        assert_int_equal(in_child(keep_one, number), 0);
    for (int number = 0; number < 2; number++)
        assert_int_equal(in_child(keep_both, number), 0);
    errno = EMFILE;
    assert_int_equal(fd_keep(-1), -1);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(fd_keep(17), 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_combination),
        cmocka_unit_test(others_keep_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
