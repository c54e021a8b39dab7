/* The files of Unix sockets. What is known of a file is its inode; its name may come to mean
 * another one at any time: a server that is started anew takes it over, somebody moves it away. */
#include "net/conn/unix_file.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* --- Who is bound to a file ------------------------------------------------------------------- */

/* A file in question. */
struct suspect {
    const struct stat *st;
    const char *path; /* absolute */
};

/* Whether a socket that the system describes is bound to the file. Some file systems tell another
 * device than the one that they are on; then the name has to be the same. */
static bool is_bound_to(const struct suspect *suspect, const struct nlmsghdr *header)
{
    const struct unix_diag_vfs *vfs = NULL;
    const struct rtattr *name = NULL, *attribute;
    size_t at = NLMSG_LENGTH(sizeof(struct unix_diag_msg));
    for (; at + sizeof(*attribute) <= header->nlmsg_len; at += RTA_ALIGN(attribute->rta_len)) {
        attribute = (const struct rtattr *)((const char *)header + at);
        if (attribute->rta_type == UNIX_DIAG_VFS)
            vfs = RTA_DATA(attribute);
        else if (attribute->rta_type == UNIX_DIAG_NAME)
            name = attribute;
        if (attribute->rta_len < sizeof(*attribute))
            return false;
    }
    if (!vfs || vfs->udiag_vfs_ino != (uint32_t)suspect->st->st_ino)
        return false;
    dev_t device = suspect->st->st_dev;
    if (vfs->udiag_vfs_dev == (major(device) << 20 | minor(device)))
        return true;
    size_t name_len = name ? strnlen(RTA_DATA(name), RTA_PAYLOAD(name)) : 0;
    return name_len == strlen(suspect->path) &&
           memcmp(RTA_DATA(name), suspect->path, name_len) == 0;
}

/* Looks through a part of what the system tells. Returns 1 when a socket is bound to the file, 0
 * when more is to come, and a negative number at the end. */
static int look_through(const struct suspect *suspect, struct nlmsghdr *header, size_t len)
{
    for (; NLMSG_OK(header, len); header = NLMSG_NEXT(header, len)) {
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
            return -1;
        if (is_bound_to(suspect, header))
            return 1;
    }
    return 0;
}

/* Whether a living socket is bound to the file, though it may not listen yet. Where the system does
 * not say (without netlink, or of other network namespaces) the answer is no. */
static bool is_bound(const struct suspect *suspect)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {
        .header = { .nlmsg_len = sizeof(question),
                    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .request = { .sdiag_family = AF_UNIX,
                     .udiag_states = UINT32_MAX,
                     .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS },
    };
    union {
        struct nlmsghdr header;
        char space[8192];
    } answer;
    int fd = fd_keep(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)), rc = -1;
    if (fd < 0)
        return false;
    if (send(fd, &question, sizeof(question), 0) == (ssize_t)sizeof(question)) {
        do {
            ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
            rc = n > 0 ? look_through(suspect, &answer.header, (size_t)n) : -1;
        } while (rc == 0);
    }
    close(fd);
    return rc == 1;
}

/* --- Files that were left behind -------------------------------------------------------------- */

static bool refuses(const struct addr *addr, int type)
{
    int fd = fd_keep(socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    bool refused = fd >= 0 && connect(fd, &addr->sa, addr->len) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

/* Two servers that start at once must not both find the file that is left, and the slower one
 * remove the new file of the other: a lock on the folder, for the moment of the check. Returns it,
 * or -1 when it cannot be had; a program that holds it for long must not hold up this one. */
static int lock_folder(const char *path)
{
    enum { ATTEMPTS = 20, PAUSE_MS = 5 };
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 2];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s/", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = fd_keep(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; fd >= 0 && i < ATTEMPTS && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
    return fd;
}

static bool is_socket(const char *path, struct stat *st)
{
    return lstat(path, st) == 0 && S_ISSOCK(st->st_mode);
}

static void remove_stale(const struct addr *addr, int type, const char *path)
{
    const char *name = addr->un.sun_path;
    struct stat st;
    if (!is_socket(name, &st))
        return;
    int lock = lock_folder(name);
    struct suspect suspect = { .st = &st, .path = path };
    if (is_socket(name, &st) && refuses(addr, type) && !is_bound(&suspect))
        unlink(name);
    if (lock >= 0)
        close(lock);
}

/* --- Ours ------------------------------------------------------------------------------------- */

/* The path as it is meant now. NULL when memory is short. */
static char *absolute(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || !getcwd(folder, sizeof(folder)))
        return mem_strdup(path);
    size_t size = strlen(folder) + 1 + strlen(path) + 1;
    char *whole = mem_alloc(size);
    if (whole)
        snprintf(whole, size, "%s/%s", folder, path);
    return whole;
}

int unix_file_bind(struct unix_file *file, int fd, const struct addr *addr, int type)
{
    const char *name = addr->un.sun_path;
    struct stat st;
    if (name[0] == '\0') /* abstract: there is no file */
        return bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
    char *path = absolute(name);
    if (!path)
        return -ENOMEM;
    remove_stale(addr, type, path);
    int rc = bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
    if (rc < 0 || lstat(path, &st) < 0) {
        mem_free(path);
        return rc;
    }
    *file = (struct unix_file){
        .path = path, .owner = getpid(), .device = st.st_dev, .inode = st.st_ino
    };
    return 0;
}

void unix_file_remove(struct unix_file *file)
{
    struct stat st;
    if (file->path && file->owner == getpid() && lstat(file->path, &st) == 0 &&
        st.st_dev == file->device && st.st_ino == file->inode)
        unlink(file->path);
    mem_free(file->path);
    *file = (struct unix_file){ 0 };
}
