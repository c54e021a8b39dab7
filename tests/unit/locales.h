/* For tests: a locale of other people, made for the test where the system has its source. */
#ifndef TEPAL_TESTS_UNIT_LOCALES_H
#define TEPAL_TESTS_UNIT_LOCALES_H

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets a locale such as "de_DE" for the whole process. Returns false when the system has not got it
 * and cannot make it. */
static inline bool locale_begin(const char *name)
{
    char full[32], dir[] = "/tmp/tepal-locale-XXXXXX", command[200];
    snprintf(full, sizeof(full), "%s.UTF-8", name);
    if (setlocale(LC_ALL, full))
        return true;
    if (!mkdtemp(dir))
        return false;
    snprintf(command, sizeof(command), "localedef -i %s -f UTF-8 %s/%s >/dev/null 2>&1", name, dir,
             full);
    (void)!system(command); /* warnings are an exit status, too: what counts is the result */
    setenv("LOCPATH", dir, 1);
    bool done = setlocale(LC_ALL, full) != NULL;
    unsetenv("LOCPATH");
    snprintf(command, sizeof(command), "rm -r %s", dir);
    (void)!system(command);
    return done;
}

static inline void locale_end(void)
{
    setlocale(LC_ALL, "C");
}

#endif
