/* The guards below stacks, on which the program faults, and how many mappings of the process they
 * may use up.
 *
 * A guard is MADV_GUARD_INSTALL where the kernel has it (6.13), which costs no mapping. Elsewhere
 * it is mprotect(), which costs two: vm.max_map_count bounds those of the whole process, the
 * program's own and those of all loops together, so guards are made only while half of them are
 * free.
 */
#ifndef TEPAL_ASYNC_STACK_GUARD_H
#define TEPAL_ASYNC_STACK_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Without a guard, by canary, the stack's owner must see for itself whether it overflowed. */
enum stack_guard { STACK_GUARD_MADVISE, STACK_GUARD_MPROTECT, STACK_GUARD_CANARY };

/* Makes the pages a guard, of the kind that is given or the next one that can be had. *kind: the
 * kind to try first, which is moved on where the kernel does not have it. Returns the kind that it
 * has become. */
enum stack_guard guard_make(char *from, size_t size, enum stack_guard *kind);

/* As many guards by mprotect() are gone. */
void guard_forget(size_t n_mprotected);

/* For tests: how many mappings the process may have, 0: as the system says; and how many guards by
 * mprotect() there are in the process. */
void guard_set_max_mappings(size_t max);
size_t guard_count(void);

#endif
