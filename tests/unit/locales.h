/* For tests: a locale of other people, made for the test. Its decimal point is a comma, and a small
 * i has no capital I, as in Turkish. */
#ifndef TEPAL_TESTS_UNIT_LOCALES_H
#define TEPAL_TESTS_UNIT_LOCALES_H

#include "check.h"

#include <locale.h>

static inline void locale_write(FILE *out)
{
    static const char *const others[] = { "LC_COLLATE", "LC_MONETARY", "LC_TIME", "LC_MESSAGES" };
    fputs("LC_CTYPE\nupper <U0041>..<U005A>\nlower <U0061>..<U007A>\n"
          "digit <U0030>..<U0039>\ntolower ",
          out);
    for (unsigned c = 'A'; c <= 'Z'; c++)
        if (c != 'I')
            fprintf(out, "(<U%04X>,<U%04X>)%s", c, c + 32, c < 'Z' ? ";" : "\n");
    fputs("END LC_CTYPE\nLC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\n"
          "END LC_NUMERIC\n",
          out);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        fprintf(out, "%s\ncopy \"POSIX\"\nEND %s\n", others[i], others[i]);
}

/* Sets it for the whole process. Returns false where the system cannot make one. */
static inline bool locale_begin(void)
{
    char dir[] = "/tmp/tepal-locale-XXXXXX", text[200];
    if (!mkdtemp(dir))
        return false;
    snprintf(text, sizeof(text), "%s/source", dir);
    FILE *source = fopen(text, "w");
    if (source) {
        locale_write(source);
        fclose(source);
    }
    snprintf(text, sizeof(text),
             "localedef -c -i %s/source -f ANSI_X3.4-1968 %s/odd >/dev/null 2>&1", dir, dir);
    (void)!system(text); /* warnings are an exit status, too: what counts is the result */
    setenv("LOCPATH", dir, 1);
    bool done = setlocale(LC_NUMERIC, "odd") && setlocale(LC_CTYPE, "odd");
    unsetenv("LOCPATH");
    snprintf(text, sizeof(text), "rm -r %s", dir);
    (void)!system(text);
    if (!done)
        print_message("no localedef, or no source of POSIX, here\n");
    return done;
}

static inline void locale_end(void)
{
    setlocale(LC_ALL, "C");
}

#endif
