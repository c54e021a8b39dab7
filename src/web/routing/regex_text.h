/* What the text of a regular expression shows, before it is compiled. Pure. */
#ifndef TEPAL_WEB_ROUTING_REGEX_TEXT_H
#define TEPAL_WEB_ROUTING_REGEX_TEXT_H

#include <stdbool.h>

/* Whether it is a word and no more, as the name of a type would be: it matches only itself. */
bool regex_text_is_word(const char *text);

/* Whether it refers to one of its groups by number, counted from the beginning (\1, \g{1}, (?1),
 * (?R), (?(1)...)): which is another one when more stands before it. */
bool regex_text_counts_groups(const char *text);

#endif
