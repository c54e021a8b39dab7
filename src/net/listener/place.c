/* Places to listen at, and what can be done when one is not to be had. */
#include "net/listener/place.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FIRST_FREE_PORT = 1024 }; /* those below need privileges, unless the system says otherwise */

void place_write(char *out, size_t size, const tepal_listener_options *where, int port)
{
    const char *host = where->host ? where->host : "all addresses";
    if (where->fd)
        snprintf(out, size, "descriptor %d", where->fd);
    else if (where->path)
        snprintf(out, size, "%s", where->path);
    else if (port == TEPAL_ANY_PORT)
        snprintf(out, size, "%s", host);
    else
        snprintf(out, size, "%s, port %d", host, port);
}

static const char *hint_of_path(const char *path, int rc)
{
    struct stat file;
    if (rc == -ENAMETOOLONG)
        return " (that of a socket has at most 107 octets)";
    if (rc == -EADDRINUSE && lstat(path, &file) == 0 && !S_ISSOCK(file.st_mode))
        return " (what is there is not a socket, and is left alone)";
    return "";
}

/* More than the error itself says, or "". */
static const char *hint(const tepal_listener_options *where, int rc)
{
    if (where->fd)
        return rc == -EINVAL ? " (it is no TCP or Unix stream socket that listens)" : "";
    if (where->path)
        return hint_of_path(where->path, rc);
    if (rc == -EACCES && where->port > 0 && where->port < FIRST_FREE_PORT)
        return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
    if (rc == -EADDRNOTAVAIL)
        return " (this machine has no such address)";
    if (rc == -EINVAL && where->port == 0)
        return " (port 0 is none; TEPAL_ANY_PORT is one that is free)";
    if (rc == -EINVAL && where->port != TEPAL_ANY_PORT)
        return " (a port is from 1 to 65535)";
    return "";
}

void place_complain(const tepal_listener_options *where, int rc)
{
    static const tepal_listener_options nowhere;
    char text[300];
    where = where ? where : &nowhere;
    place_write(text, sizeof(text), where, where->port);
    tepal_logf(TEPAL_LOG_ERROR, "cannot listen on %s: %s%s", text, tepal_code_text(rc),
               hint(where, rc));
}
