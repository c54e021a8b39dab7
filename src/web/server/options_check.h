/* Options that nobody has set, or that can serve nothing. */
#ifndef TEPAL_WEB_SERVER_OPTIONS_CHECK_H
#define TEPAL_WEB_SERVER_OPTIONS_CHECK_H

#include <tepal/run.h>

#include <stddef.h>

/* Returns 0, or -EINVAL with the reason in text: it names the option and its value. NULL is all
 * defaults. What the limits of a server may be is server_options()' business. */
int options_check(const tepal_run_options *options, char *text, size_t size);

#endif
