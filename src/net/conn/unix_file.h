/* The file of a Unix socket: it is made by bind(), and goes when the socket is closed; but neither
 * takes nor removes this code what belongs to another server.
 */
#ifndef TEPAL_NET_CONN_UNIX_FILE_H
#define TEPAL_NET_CONN_UNIX_FILE_H

#include "net/addr.h"

#include <sys/stat.h>

/* All zero: there is none. */
struct unix_file {
    char *path; /* absolute, whatever becomes of the working directory; NULL: there is none */
    pid_t owner;
    dev_t device;
    ino_t inode;
};

/* Binds fd, a Unix socket of this type, to the address, and replaces the file of a socket that a
 * dead process has left there: one that nobody is bound to. Returns 0 or a negative errno. */
int unix_file_bind(struct unix_file *file, int fd, const struct addr *addr, int type);

/* Removes the file, if the name still leads to it, and this is the process that made it, no child
 * of it. Before fd is closed: until then no other file can get its inode. */
void unix_file_remove(struct unix_file *file);

#endif
