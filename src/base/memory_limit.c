/* The limits come as text of the kernel's. What cannot be read limits nothing. */
#include "base/memory_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The number in a file such as memory.max; SIZE_MAX for "max" and where there is no such file. */
static size_t read_number(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return SIZE_MAX;
    char *line = fgets(text, sizeof(text), file), *end;
    fclose(file);
    if (!line)
        return SIZE_MAX;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || errno || value > SIZE_MAX ? SIZE_MAX : (size_t)value;
}

static size_t limit_in(const char *root, const char *group, const char *name)
{
    char path[4096 + 256];
    snprintf(path, sizeof(path), "%s%s/%s", root, group, name);
    return read_number(path);
}

/* The least limit of a group and all that it is in: root itself, in a container. The names are
 * those of its files. Above memory.high a group is not refused memory, but hardly gets on any
 * more. */
static size_t least_up_to_root(const char *root, char *group, const char *const names[2])
{
    size_t limit = SIZE_MAX;
    while (true) {
        for (int i = 0; i < 2 && names[i]; i++)
            limit = least(limit, limit_in(root, group, names[i]));
        char *slash = strrchr(group, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}

/* A line is "0::/path" of version 2, or "4:cpu,memory:/path" of version 1. */
static size_t limit_of_line(char *line, const char *root)
{
    static const char *const files_1[2] = { "memory.limit_in_bytes" }, *const files_2[2] = {
        "memory.max", "memory.high"
    };
    char *controllers = strchr(line, ':'),
         *group = controllers ? strchr(controllers + 1, ':') : NULL;
    char memory[1024];
    if (!group)
        return SIZE_MAX;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*++controllers == '\0')
        return least_up_to_root(root, group, files_2);
    for (char *save, *name = strtok_r(controllers, ",", &save); name;
         name = strtok_r(NULL, ",", &save))
        if (strcmp(name, "memory") == 0) {
            snprintf(memory, sizeof(memory), "%s/memory", root);
            return least_up_to_root(memory, group, files_1);
        }
    return SIZE_MAX;
}

size_t memory_limit_of_cgroups(const char *cgroups, const char *root)
{
    char line[4096];
    size_t limit = SIZE_MAX;
    FILE *file = fopen(cgroups, "re");
    while (file && fgets(line, sizeof(line), file))
        limit = least(limit, limit_of_line(line, root));
    if (file)
        fclose(file);
    return limit;
}

static size_t limit_of_process(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

size_t memory_space(void)
{
    return least(limit_of_process(RLIMIT_AS), limit_of_process(RLIMIT_DATA));
}

size_t memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t limit = memory_limit_of_cgroups("/proc/self/cgroup", "/sys/fs/cgroup");
    if (pages > 0 && page > 0)
        limit = least(limit, (size_t)pages * (size_t)page);
    return least(limit, memory_space());
}
