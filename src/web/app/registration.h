/* What all calls that register something with an application have in common. */
#ifndef TEPAL_WEB_APP_REGISTRATION_H
#define TEPAL_WEB_APP_REGISTRATION_H

#include "web/app/application.h"

#include <stdbool.h>
#include <stddef.h>

/* What is said of an application that has been closed. */
extern const char registration_closed[];

/* Whether the application may still be changed by this call. False when it is NULL; misuse when it
 * is closed, or served. */
bool registration_is_open(tepal_app *app, const char *call);

/* Keeps a mistake, unless there has been one. */
void registration_mistake(tepal_app *app, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes room for one more item of this size in an array of n; array is where its address is.
 * Returns the new item, or NULL, which the application remembers. */
void *registration_room(tepal_app *app, void *array, size_t n, size_t size);

/* An argument is given as a constant, as it is not looked into, and reaches its function as it
 * was. */
void *registration_arg(const void *arg);

#endif
