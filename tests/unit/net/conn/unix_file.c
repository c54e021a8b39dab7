/* Tests of the files of Unix sockets: whose they are, when a server takes a name over, and what
 * goes when one is closed. */
#include "../sockets.h"

#include <linux/netlink.h>
#include <sys/stat.h>
#include <tepal/udp.h>

static char folder[] = "/tmp/tepal-unix-XXXXXX", path[200], other[200];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

/* What has the name: a listener, or a datagram socket. */
struct holder {
    tepal_listener *listener;
    tepal_udp *udp;
};

static int open_holder(struct holder *holder, bool datagrams, const char *name)
{
    *holder = (struct holder){ 0 };
    return datagrams
               ? tepal_udp_open(&holder->udp, &(tepal_udp_options){ .path = name })
               : tepal_listener_open(&holder->listener, &(tepal_listener_options){ .path = name });
}

static void close_holder(struct holder *holder)
{
    tepal_listener_close(holder->listener);
    tepal_udp_close(holder->udp);
}

/* A plain socket that is bound. */
static int bind_plain(bool datagrams, const char *name)
{
    struct addr addr;
    int fd = socket(AF_UNIX, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    assert_int_equal(addr_from_path(&addr, name), 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    return fd;
}

static bool can_be_reached(bool datagrams, const char *name)
{
    struct addr addr;
    int fd = socket(AF_UNIX, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    assert_int_equal(addr_from_path(&addr, name), 0);
    bool can = connect(fd, &addr.sa, addr.len) == 0;
    close(fd);
    return can;
}

/* --- Taking a name ---------------------------------------------------------------------------- */

/* Another server is between its bind() and its listen(): it is no dead one. */
static int leave_the_living(void *arg)
{
    struct holder holder;
    assert_int_equal(chdir(folder), 0);
    static const char *const names[] = { "socket", "./socket", NULL };
    for (int i = 0; i < 3; i++) {
        const char *name = names[i] ? names[i] : path;
        int living = bind_plain(false, i == 1 ? "socket" : name);
        assert_int_equal(open_holder(&holder, false, name), -EADDRINUSE);
        assert_int_equal(open_holder(&holder, false, path), -EADDRINUSE);
        assert_int_equal(listen(living, 1), 0);
        assert_true(can_be_reached(false, path));
        assert_int_equal(open_holder(&holder, false, name), -EADDRINUSE);
        close(living);
        assert_int_equal(open_holder(&holder, false, name), 0); /* now it is */
        close_holder(&holder);
        assert_false(exists(path));
    }
    int living = bind_plain(true, path);
    assert_int_equal(open_holder(&holder, true, path), -EADDRINUSE);
    assert_true(can_be_reached(true, path));
    close(living);
    assert_int_equal(open_holder(&holder, true, path), 0);
    close_holder(&holder);
    assert_int_equal(chdir("/"), 0);
    (void)arg;
    return 0;
}

static void a_living_server_keeps_its_name(void **state)
{
    (void)state;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) /* the system does not tell who is bound */
        skip();
    close(fd);
    assert_int_equal(run(leave_the_living, NULL), 0);
}

/* Its file was moved away, and then a dead server left one there: that is not the living one's. */
static int take_a_dead_name(void *arg)
{
    struct holder holder;
    int living = bind_plain(false, path);
    assert_int_equal(rename(path, other), 0);
    close(bind_plain(false, path));
    assert_int_equal(open_holder(&holder, false, path), 0);
    assert_true(can_be_reached(false, path));
    close_holder(&holder);
    assert_false(exists(path));
    assert_true(exists(other));
    close(living);
    unlink(other);
    (void)arg;
    return 0;
}

static void a_dead_name_of_a_living_server(void **state)
{
    (void)state;
    assert_int_equal(run(take_a_dead_name, NULL), 0);
}

/* --- Giving it back --------------------------------------------------------------------------- */

static int be_succeeded(void *arg)
{
    bool datagrams = arg;
    struct holder old, new;
    for (int by_rename = 0; by_rename < 2; by_rename++) {
        assert_int_equal(open_holder(&old, datagrams, path), 0);
        if (!by_rename)
            assert_int_equal(unlink(path), 0);
        assert_int_equal(open_holder(&new, datagrams, by_rename ? other : path), 0);
        if (by_rename)
            assert_int_equal(rename(other, path), 0);
        close_holder(&old);
        assert_true(can_be_reached(datagrams, path));
        close_holder(&new);
        assert_int_equal(exists(path), by_rename); /* it has another name than it was given */
        unlink(path);
        assert_false(exists(other));
    }
    /* A file of another kind. */
    assert_int_equal(open_holder(&old, datagrams, path), 0);
    assert_int_equal(unlink(path), 0);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close_holder(&old);
    assert_true(exists(path));
    close(file);
    unlink(path);
    /* Nothing at all. */
    assert_int_equal(open_holder(&old, datagrams, path), 0);
    assert_int_equal(unlink(path), 0);
    close_holder(&old);
    return 0;
}

static void a_successor_keeps_its_file(void **state)
{
    (void)state;
    assert_int_equal(run(be_succeeded, NULL), 0);
    assert_int_equal(run(be_succeeded, "datagrams"), 0);
}

static int move_around(void *arg)
{
    bool datagrams = arg;
    struct holder here, there;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("below", 0700), 0);
    assert_int_equal(open_holder(&here, datagrams, "socket"), 0);
    assert_int_equal(chdir("below"), 0);
    assert_int_equal(open_holder(&there, datagrams, "socket"), 0);
    close_holder(&here);
    assert_false(exists(path));    /* its own file has gone, */
    assert_true(exists("socket")); /* and not the one that has the name here */
    assert_int_equal(chdir("/"), 0);
    close_holder(&there);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(rmdir("below"), 0);
    assert_int_equal(chdir("/"), 0);
    return 0;
}

static void the_working_directory_changes(void **state)
{
    (void)state;
    assert_int_equal(run(move_around, NULL), 0);
    assert_int_equal(run(move_around, "datagrams"), 0);
}

/* What cannot be opened leaves no file, and removes none. */
static int fail_to_open(void *arg)
{
    bool datagrams = arg;
    struct holder holder, living;
    for (size_t nth = 1; nth < 10; nth++) {
        mem_fail_nth(nth, 0);
        int rc = open_holder(&holder, datagrams, path);
        mem_fail_nth(0, 0);
        if (rc == 0)
            close_holder(&holder);
        else
            assert_int_equal(rc, -ENOMEM);
        assert_false(exists(path));
    }
    assert_int_equal(open_holder(&living, datagrams, path), 0);
    assert_int_equal(open_holder(&holder, datagrams, path), -EADDRINUSE);
    assert_int_equal(open_holder(&holder, !datagrams, path), -EADDRINUSE);
    assert_true(can_be_reached(datagrams, path));
    close_holder(&living);
    return 0;
}

static void failures_leave_files_alone(void **state)
{
    (void)state;
    assert_int_equal(run(fail_to_open, NULL), 0);
    assert_int_equal(run(fail_to_open, "datagrams"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_living_server_keeps_its_name),
        cmocka_unit_test(a_dead_name_of_a_living_server),
        cmocka_unit_test(a_successor_keeps_its_file),
        cmocka_unit_test(the_working_directory_changes),
        cmocka_unit_test(failures_leave_files_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
