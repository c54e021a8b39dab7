/* How much memory this process may have. */
#ifndef TEPAL_BASE_MEMORY_LIMIT_H
#define TEPAL_BASE_MEMORY_LIMIT_H

#include <stddef.h>

/* The least of physical memory, memory_space() and the limits of its control groups, of either
 * version; in octets. Reads some small files: not for each request. */
size_t memory_limit(void);

/* How much the process may map, used or not: the least of RLIMIT_AS and RLIMIT_DATA. SIZE_MAX when
 * it may map as much as it likes. */
size_t memory_space(void);

/* For tests: the least limit of the control groups that the file cgroups (/proc/self/cgroup) names,
 * in their tree below root (/sys/fs/cgroup). SIZE_MAX when there is none. */
size_t memory_limit_of_cgroups(const char *cgroups, const char *root);

#endif
