/* A folder of the test's own with the path of a socket in it, which is gone again at its end. */
#ifndef TEPAL_TESTS_UNIT_NET_FOLDER_H
#define TEPAL_TESTS_UNIT_NET_FOLDER_H

#include "../check.h"

#include <unistd.h>

static char folder[] = "/tmp/tepal-net-XXXXXX", path[64];

static inline int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#endif
