/* The one place where tepal takes memory from the system, so that tests can count allocations and
 * make the n-th one fail.
 */
#ifndef TEPAL_BASE_MEM_H
#define TEPAL_BASE_MEM_H

#include <stddef.h>

/* As malloc, calloc, realloc and free. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_resize(void *old, size_t size);
void mem_free(void *p);

/* The size of the system's pages, which is 64 KiB on some machines; and size rounded up to whole
 * ones. */
size_t mem_page_size(void);
size_t mem_whole_pages(size_t size);

/* Whole pages outside of the heap: zero, and there only once they are touched. NULL when memory is
 * short. */
void *mem_map(size_t size);
void mem_unmap(void *base, size_t size);

/* Gives the memory of whole pages back to the system: they are as if fresh. Returns 0 or a negative
 * errno: nothing has happened then, as in a program that has locked its memory (mlockall()). */
int mem_discard(void *from, size_t size);

/* A copy of the string, or of len octets with a NUL behind. */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);

/* For tests: how many allocations there were in all, and: let the n-th from now fail (1 is the
 * next; 0 none), once. With sticky, all after it fail too. */
size_t mem_count(void);
void mem_fail_nth(size_t n, int sticky);

/* For tests: how many failures have been injected since mem_fail_nth() was called. */
size_t mem_failures(void);

#endif
